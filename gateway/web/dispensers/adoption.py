"""What a technician may do to a dispenser: adopt, name, plan, forget it, give it another key. And to look at one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from gateway.keyring import KEY_BYTES
from gateway.web.answers import SOURCE, Answer, example
from gateway.web.dispenser_answers import DispenserView, Forgotten
from gateway.web.dispenser_views import dispenser_view
from gateway.web.dispensers import planograms
from gateway.web.dispensers.told import BY_NOZZLE
from gateway.web.etags import check_match
from gateway.web.explained import Explained
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb, Web

router = APIRouter(prefix="/api/v1/dispensers", tags=["v1"])

Dispenser = Annotated[str, Path(pattern=SOURCE, examples=["hot-bar-1"])]
Planogram = Annotated[
    dict[Annotated[int, Field(ge=0, le=255)], Annotated[str, Field(max_length=32)]],
    Field(
        max_length=12,
        examples=[{"1": "table-red", "2": "chipotle-honey"}],
        json_schema_extra=BY_NOZZLE,
    ),
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class Adopt(_Asked):
    """How a dispenser is adopted. All of it may be left out."""

    key: Annotated[SecretStr, Field(json_schema_extra={"pattern": "^[0-9a-fA-F]{64}$"})] | None = None
    """The key that it has, 64 hex digits; without it, one is made and told to it."""
    name: Annotated[str, Field(max_length=200, examples=["Bar, left"])] | None = None
    """What people call it."""
    planogram: Planogram = {}
    """Sauces by nozzle."""


class Rename(_Asked):
    """A name."""

    name: Annotated[str, Field(max_length=200, examples=["Bar, left"])]


class Place(_Asked):
    """A planogram: nozzles that are not named stay as they are."""

    planogram: Annotated[Planogram, Field(min_length=1)]


class PlanogramView(Answer):
    """Sauces by nozzle."""

    planogram: Annotated[dict[int, str], example({"1": "table-red", "2": "chipotle-honey"})]
    """As they are to be."""
    told: Annotated[dict[int, str], example({"1": "table-red", "2": "garden-green"})]
    """As the dispenser tells."""


@router.get("/{dispenser}", responses=documented(404, 422))
async def one(web: TheWeb, dispenser: Dispenser) -> DispenserView:
    """One dispenser."""
    return _view(web, dispenser)


@router.post("/{dispenser}/adopt", responses=documented(400, 404, 409, 422, 503))
async def adopt(web: TheWeb, dispenser: Dispenser, asked: Adopt | None = None) -> DispenserView:
    """Let a dispenser in that waits. It opens its link within 10 s, unless `waiting` says what is missing.

    Its key is told on no answer, ever.
    """
    return await let_in(web, dispenser, asked or Adopt())


async def let_in(web: Web, dispenser: str, how: Adopt) -> DispenserView:
    """Adopt it. Raises Problem."""
    key = None if how.key is None else _key(how.key)
    with Explained():
        await web.state.adoption.adopt(dispenser, key=key, name=how.name, planogram=how.planogram)
    return _view(web, dispenser)


@router.put("/{dispenser}/name", responses=documented(400, 404, 422, 503))
async def rename(web: TheWeb, dispenser: Dispenser, asked: Rename) -> DispenserView:
    """Give a dispenser a name for people. Its id, the source of its events, stays."""
    return await called(web, dispenser, asked.name)


async def called(web: Web, dispenser: str, name: str, seen: str | None = None) -> DispenserView:
    """Call it so; `seen` is the ETag of the name that was shown. Raises Problem."""
    async with web.changing:
        check_match(seen, web.state.plans.of(dispenser).name)
        with Explained():
            await web.state.adoption.rename(dispenser, name)
    return _view(web, dispenser)


@router.get("/{dispenser}/planogram", responses=documented(404, 422))
async def plan(web: TheWeb, response: Response, dispenser: Dispenser) -> PlanogramView:
    """Which sauces are to be on a dispenser's nozzles; the ETag goes into `If-Match` of a change."""
    response.headers["etag"] = planograms.etag(web, dispenser)
    return PlanogramView(planogram=planograms.planned(web, dispenser), told=planograms.told(web, dispenser))


@router.put("/{dispenser}/planogram", responses=documented(400, 404, 409, 412, 422, 503))
async def place(
    web: TheWeb,
    response: Response,
    dispenser: Dispenser,
    asked: Place,
    if_match: Annotated[str | None, Header(max_length=200)] = None,
) -> DispenserView:
    """Say which sauces are to be on a dispenser's nozzles. It is told at once, or when it is back.

    With the ETag of what you saw in `If-Match`, it is refused (412) where somebody has planned otherwise since.
    """
    await planograms.place(web, dispenser, asked.planogram, if_match)
    response.headers["etag"] = planograms.etag(web, dispenser)
    return _view(web, dispenser)


@router.post("/{dispenser}/rotate-key", responses=documented(404, 409, 422, 503))
async def rotate_key(web: TheWeb, dispenser: Dispenser) -> DispenserView:
    """Have a dispenser take a new key, at once, or when it is back. The old one goes when the new one is proved."""
    with Explained():
        await web.state.adoption.rotate(dispenser)
    return _view(web, dispenser)


@router.delete("/{dispenser}", responses=documented(404, 422, 503))
async def forget(web: TheWeb, dispenser: Dispenser) -> Forgotten:
    """Take a dispenser's key away, its name and its planogram, and close its link. Its events stay."""
    provisioning, keyring = web.state.provisioning, web.state.dispensers.keyring
    told = None if provisioning is None else provisioning.told_of(dispenser)
    given = dispenser in keyring.given or (told is not None and told.key is not None)
    with Explained():
        await web.state.adoption.forget(dispenser)
    return Forgotten(name=dispenser, provisioned=told is not None and told.key is None, given=given)


def _key(given: SecretStr) -> bytes:
    text = given.get_secret_value()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(text) != 2 * KEY_BYTES:
        raise Problem(422, "not-a-key", "key is not 64 hex digits", hint="Make one: openssl rand -hex 32")
    return key


def _view(web: Web, dispenser: str) -> DispenserView:
    view = dispenser_view(web.state, web.watch, dispenser)
    if view is None:
        hint = "/api/v1/dispensers lists those that are adopted, or wait"
        raise Problem(404, "no-such-dispenser", "there is no dispenser of this name", hint=hint)
    return view
