"""Which bottle is on which nozzle, through the API: it is told by whoever changes it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import Field

from gateway import lots
from gateway.lots import Bottle, Lots
from gateway.web import reads
from gateway.web.answers import Answer, example
from gateway.web.api import nozzles_of
from gateway.web.audited import audit
from gateway.web.dispensers.commands import Dispenser
from gateway.web.dispensers.planograms import place_now, planned
from gateway.web.dispensers.told import Model
from gateway.web.etags import check_match, etag_of
from gateway.web.problems import Fault, Problem, documented
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician
from heat.errors import DataError, StoreError

router = APIRouter(prefix="/api/v1/dispensers/{dispenser}/nozzles/{nozzle}/bottle", tags=["v1"])

NozzleNumber = Annotated[int, Path(ge=0, le=255, examples=[2])]
KEPT = 10
"""Bottles of a nozzle that are told of."""
MAX_ML = 20_000
LATEST = date(2099, 12, 31)


class NewBottle(Model):
    """What is put on the nozzle."""

    sauce: Annotated[str, Field(max_length=32, examples=["chipotle-honey"])]
    lot: Annotated[str, Field(max_length=64, examples=["L2026-118"])]
    best_before: Annotated[date | None, Field(examples=["2027-06-30"])] = None
    """The last day on which it may be poured from; a label of a month means its last day."""
    volume_ml: Annotated[int, Field(ge=1, le=MAX_ML)] = 750


class BottleView(Answer):
    """A bottle on a nozzle."""

    sauce: Annotated[str, example("chipotle-honey")]
    lot: Annotated[str, example("L2026-118")]
    best_before: date | None
    volume_ml: Annotated[int, example(750)]
    hung_by: Annotated[str, example("Ada")]
    since: datetime
    until: datetime | None
    """None: it hangs there."""
    unfit: Annotated[Literal["expired", "recalled"] | None, example("expired")]
    """Why it is never picked."""


class NozzleBottles(Answer):
    """The bottle that hangs on a nozzle, and those before it."""

    dispenser: Annotated[str, example("hot-bar-1")]
    nozzle: Annotated[int, example(2)]
    now: BottleView | None
    """None: nobody said, or the dispenser was refilled since."""
    before: list[BottleView]
    """The newest first, ten at most."""


@router.get("", responses=documented(404, 422))
async def look(web: TheWeb, response: Response, dispenser: Dispenser, nozzle: NozzleNumber) -> NozzleBottles:
    """The bottle on a nozzle; its ETag goes into `If-Match` of a change."""
    check_nozzle(web, dispenser, nozzle)
    response.headers["etag"] = etag(web, dispenser, nozzle)
    return await bottles_of(web, dispenser, nozzle)


@router.put("", responses=documented(400, 404, 409, 412, 422, 503))
async def change(  # noqa: PLR0913, PLR0917 -- a request's parts
    request: Request,
    web: TheWeb,
    response: Response,
    dispenser: Dispenser,
    nozzle: NozzleNumber,
    new: NewBottle,
    who: Technician,
    if_match: Annotated[str | None, Header(max_length=200)] = None,
) -> NozzleBottles:
    """Say that a bottle was put on a nozzle. Where its sauce is another one, the dispenser is told, at once or later.

    Refused for a bottle past its date, or of a lot that was recalled.
    """
    await hang(request, web, (dispenser, nozzle), new, who.name, if_match)
    response.headers["etag"] = etag(web, dispenser, nozzle)
    return await bottles_of(web, dispenser, nozzle)


async def hang(request: Request, web: Web, spot: tuple[str, int], new: NewBottle, by: str, seen: str | None) -> Bottle:
    """A bottle was put on a nozzle. Raises Problem."""
    async with web.changing:
        hung = await _hang(web, spot, new, by, seen)
    audit(request, f"{hung.sauce}, lot {hung.lot}")
    return hung


async def _hang(web: Web, spot: tuple[str, int], new: NewBottle, by: str, seen: str | None) -> Bottle:
    state, (dispenser, nozzle) = web.state, spot
    check_nozzle(web, dispenser, nozzle)
    check_match(seen, _shown(state.lots, dispenser, nozzle))
    if new.sauce not in state.catalog:
        raise _wrong("sauce", "is not in the catalogue", "GET /api/v1/picks, or the catalogue, has the sauces")
    if new.best_before is not None and new.best_before > LATEST:
        raise _wrong("best_before", "is too far away", "Look at the year again")
    try:
        lot = lots.read_lot(new.lot)
    except DataError as error:
        raise _wrong("lot", str(error.args[0]), error.hint) from None
    bottle = Bottle(
        dispenser, nozzle, new.sauce, lot, new.best_before, new.volume_ml, by[:64], state.clock.now().wall_ms
    )
    if (why := state.lots.unfit(bottle)) is not None:
        where, what = ("lot", "was recalled") if why == "recalled" else ("best_before", "has passed")
        hint = "Set this bottle aside, and take another one"
        raise Problem(409, f"bottle-{why}", f"{where} {what}", hint=hint, faults=(Fault(where=where, what=what),))
    # first the planogram: a kill in between has it told again, and a bottle that is known is on the right nozzle
    if planned(web, dispenser).get(nozzle) != new.sauce:
        await place_now(web, dispenser, {nozzle: new.sauce})
    try:
        return await state.lots.hang(bottle)
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None


async def bottles_of(web: Web, dispenser: str, nozzle: int) -> NozzleBottles:
    """A nozzle's bottles."""
    found = await asyncio.to_thread(_before, web, dispenser, nozzle)
    now = web.state.lots.bottle(dispenser, nozzle)
    views = [bottle_view(web.state.lots, each) for each in found if now is None or each.id != now.id]
    return NozzleBottles(
        dispenser=dispenser,
        nozzle=nozzle,
        now=None if now is None else bottle_view(web.state.lots, now),
        before=views[:KEPT],
    )


def _before(web: Web, dispenser: str, nozzle: int) -> list[Bottle]:
    with closing(web.state.store.reader()) as reader:
        return lots.before(reader, dispenser, nozzle, KEPT + 1)


def bottle_view(known: Lots, bottle: Bottle) -> BottleView:
    """A bottle as the API tells it."""
    return BottleView(
        sauce=bottle.sauce,
        lot=bottle.lot,
        best_before=bottle.best_before,
        volume_ml=bottle.volume_ml,
        hung_by=bottle.hung_by,
        since=reads.moment(bottle.since_ms),
        until=None if bottle.until_ms is None else reads.moment(bottle.until_ms),
        unfit=known.unfit(bottle),
    )


def etag(web: Web, dispenser: str, nozzle: int) -> str:
    """Of what hangs there."""
    return etag_of(_shown(web.state.lots, dispenser, nozzle))


def check_nozzle(web: Web, dispenser: str, nozzle: int) -> None:
    """The dispenser has this nozzle. Raises Problem."""
    if nozzle not in {each.nozzle for each in nozzles_of(web.state, dispenser)}:
        hint = f"GET /api/v1/dispensers/{dispenser} has its nozzles"
        raise Problem(404, "no-such-nozzle", f"{dispenser} has no nozzle {nozzle}", hint=hint)


def _shown(known: Lots, dispenser: str, nozzle: int) -> list[object]:
    bottle = known.bottle(dispenser, nozzle)
    return [] if bottle is None else [bottle.id, bottle.sauce, bottle.lot, bottle.best_before, bottle.volume_ml]


def _wrong(where: str, what: str, hint: str) -> Problem:
    return Problem(
        422, f"bad-{where.replace('_', '-')}", f"{where} {what}", hint=hint, faults=(Fault(where=where, what=what),)
    )
