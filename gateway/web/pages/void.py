"""One pour, and a form that takes it back: it was no customer's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from gateway import voids
from gateway.web import reads
from gateway.web.confirm import confirmed
from gateway.web.dispensers.voids import Position, take_back
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who
from heat.events import Poured, VoidReason, read_data

router = APIRouter(include_in_schema=False)

WORD = Text("void")
"""Typed where no button can be held."""
REASONS: dict[VoidReason, Text] = {
    "test": Text("Somebody tried the dispenser"),
    "leak": Text("It leaked"),
    "cleaning": Text("It was cleaned"),
    "stuck": Text("A button hung"),
    "other": Text("Something else"),
}
_REFUSALS: dict[str, Text] = {
    "already-voided": Text("This pour was taken back before."),
    "too-old": Text("This pour is more than {days} days old, and stays.", days=voids.MAX_AGE_DAYS),
    "not-stored": Text("The gateway could not write it down. Try again."),
}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    position = int(query["position"])
    found, voided = await asyncio.to_thread(_look, web, position)
    pour = None if found is None or found.type != Poured.type else read_data(found.type, found.data)
    if found is None or not isinstance(pour, Poured):
        raise Problem(404, "no-such-pour", "no pour is at this position", hint="/events lists those that are kept")
    known = web.state.catalog.get(pour.sauce)
    return {
        "position": position,
        "dispenser": found.source,
        "at": reads.moment(found.time_ms),
        "clock": found.clock,
        "pour": pour,
        "sauce": known.name if known else pour.sauce,
        "voided": voided,
        "serves": who.role >= Role.TECHNICIAN,
        "reasons": [("", Text("Choose ...")), *REASONS.items()],
        "word": WORD,
        "reason": "",
        "errors": {},
    }


def _look(web: Web, position: int) -> tuple[reads.Row | None, bool]:
    with closing(web.state.store.reader()) as reader:
        rows = reads.rows_after(reader, position - 1, 1)
        return (rows[0] if rows and rows[0].position == position else None), voids.is_voided(reader, position)


PAGE = Page("void", Text("Take a pour back"), _context, (), "events/void.html", menu="events")


@router.get("/events/{position}/void")
async def page(request: Request, web: TheWeb, position: Position, who: Viewer) -> Response:  # noqa: ARG001
    """The pour, and whether it was taken back."""
    return await show(request, web, PAGE, {"position": str(position)})


@router.post("/events/{position}/void")
async def void(
    request: Request,
    web: TheWeb,
    position: Position,
    who: Technician,  # noqa: ARG001
    reason: Annotated[str, Form()] = "",
    confirm: Annotated[str, Form()] = "",
) -> Response:
    """Take it back."""
    errors: dict[str, Text | str] = {}
    why = next((each for each in get_args(VoidReason) if each == reason), None)
    if why is None:
        errors["reason"] = Text("Say why it was no customer's")
    if not confirmed(confirm, WORD):
        errors["confirm"] = Text("Hold the button for a second, or type the word")
    status = 422
    if why is not None and not errors:
        try:
            await take_back(request, web, position, why)
        except Problem as problem:
            code = problem.details.type.rpartition(":")[2]
            errors["all"], status = _REFUSALS.get(code, heard(problem.details.detail)), problem.details.status
        else:
            return RedirectResponse(f"/events/{position}/void", 303)
    return await show(request, web, PAGE, {"position": str(position)}, status=status, reason=reason, errors=errors)
