"""The forms of one dispenser's page. Each does what a route of the API does, and comes back to the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import RedirectResponse, Response

from gateway.web.audited import audit
from gateway.web.confirm import must_be_confirmed
from gateway.web.dispensers import adoption
from gateway.web.dispensers.commands import Dispenser, order
from gateway.web.dispensers.told import AnyTold
from gateway.web.language import Text
from gateway.web.once import once_id
from gateway.web.pages.dispenser import NEW_KEY, PAGE, POUR, REBOOT
from gateway.web.pages.forms import Words, wrong
from gateway.web.problems import Fault, Problem
from gateway.web.shell import show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Who

router = APIRouter(prefix="/dispensers/{dispenser}", include_in_schema=False)

ASKER_CHARS = 32
"""Of a name, as a command tells who asked."""
_told: TypeAdapter[AnyTold] = TypeAdapter(AnyTold)


@router.post("/tell/identify")
async def identify(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> Response:
    """Let it blink."""
    return await _tell(request, web, dispenser, who, {"verb": "identify"})


@router.post("/tell/lock")
async def lock(
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    who: Technician,
    locked: Annotated[Literal["yes", "no"], Form()],
) -> Response:
    """Have it pour for nobody, or for everybody again."""
    return await _tell(request, web, dispenser, who, {"verb": "lock", "arguments": {"locked": locked == "yes"}})


@router.post("/tell/reboot")
async def reboot(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician, confirm: Words = "") -> Response:
    """Have it start anew."""
    return await _tell(request, web, dispenser, who, {"verb": "reboot"}, confirm=(confirm, REBOOT))


@router.post("/tell/flow")
async def flow(  # noqa: PLR0913, PLR0917 -- a form's fields
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    who: Technician,
    verb: Annotated[Literal["test_pour", "prime", "clean"], Form()],
    nozzle: Words = "",
    volume_ml: Words = "",
    seconds: Words = "",
    confirm: Words = "",
) -> Response:
    """Have something flow."""
    typed = {"verb": verb, "nozzle": nozzle, "volume_ml": volume_ml, "seconds": seconds}
    amount = "volume_ml" if verb == "test_pour" else "seconds"
    arguments = {"nozzle": nozzle, amount: typed[amount].replace(",", ".").strip()}
    told = {"verb": verb, "arguments": arguments}
    return await _tell(request, web, dispenser, who, told, confirm=(confirm, POUR), typed=typed)


@router.post("/label")
async def label(
    request: Request, web: TheWeb, dispenser: Dispenser, who: Technician, name: Words = "", etag: Words = ""
) -> Response:
    """Call it so."""
    try:
        await adoption.called(web, dispenser, name, etag)
    except Problem as problem:
        return await _again(request, web, dispenser, problem, {"name": name})
    audit(request, f"called {name}, by {who.name}")
    return _back(dispenser)


@router.post("/rotate-key")
async def rotate_key(
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    who: Technician,  # noqa: ARG001 -- its role is checked
    confirm: Words = "",
) -> Response:
    """Have it take a new key."""
    try:
        must_be_confirmed(confirm, NEW_KEY)
        await adoption.rotate_key(web, dispenser)
    except Problem as problem:
        return await _again(request, web, dispenser, problem)
    return _back(dispenser)


@router.post("/forget")
async def forget(
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    who: Technician,  # noqa: ARG001 -- its role is checked
    typed: Words = "",
) -> Response:
    """Let it in no more."""
    try:
        if typed.strip() != dispenser:
            faults = (Fault(where="typed", what="must be its id"),)
            raise Problem(422, "not-confirmed", "this was not confirmed", hint="Type its id", faults=faults)
        await adoption.forget(web, dispenser)
    except Problem as problem:
        return await _again(request, web, dispenser, problem, {"typed": typed})
    return RedirectResponse("/dispensers", 303)


async def _tell(  # noqa: PLR0913, PLR0917 -- what is told, and what became of the form
    request: Request,
    web: Web,
    dispenser: str,
    who: Who,
    told: Mapping[str, Any],
    confirm: tuple[str, Text] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Give a command, which has the same id when the form is sent again."""
    try:
        if confirm is not None:
            must_be_confirmed(*confirm)
        ordered = {**told, "asked_by": who.name[:ASKER_CHARS]}
        await order(web, dispenser, _told.validate_python(ordered), once_id(request))
    except (Problem, ValidationError) as error:
        return await _again(request, web, dispenser, error, typed)
    audit(request, " ".join(f"{name}={value}" for name, value in told.get("arguments", {}).items()))
    return _back(dispenser, "#dispenser-commands")


async def _again(
    request: Request,
    web: Web,
    dispenser: str,
    error: Problem | ValidationError,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The page again: what is wrong, and what was typed."""
    problem, more = wrong(request, web, error, typed or {})
    return await show(request, web, PAGE, {"dispenser": dispenser}, problem.details.status, **more)


def _back(dispenser: str, where: str = "") -> Response:
    return RedirectResponse(f"/dispensers/{dispenser}{where}", 303)
