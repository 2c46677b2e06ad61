"""A lot: which bottles had it, where they are, who poured from it; and that it must not be poured any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from gateway.web.confirm import confirmed
from gateway.web.dispensers.recalls import LotView, checked, lift_recall, lot_view, recall_lot
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who

router = APIRouter(include_in_schema=False)

ROWS = 100
RECALL, LIFT = Text("recall"), Text("lift")
"""Typed where no button can be held."""


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    asked, found, error = query.get("lot", "")[:200], None, None
    after = query.get("after", "0")
    if asked.strip():
        try:
            position = int(after) if after.isascii() and after.isdecimal() and len(after) < 16 else 0
            found = await lot_view(web, checked(asked), position, ROWS)
        except Problem:
            error = Text("This can't be a lot: letters and digits, 32 at most")
    return {
        "asked": asked,
        "found": found,
        "there": _there(found),
        "error": error,
        "recalls": web.state.lots.recalls,
        "names": {sauce.id: sauce.name for sauce in web.state.catalog.values()},
        "serves": who.role >= Role.TECHNICIAN,
        "reason": "",
        "errors": {},
        "words": {"recall": RECALL, "lift": LIFT},
        "first": after in {"", "0"},
    }


def _there(found: LotView | None) -> int:
    return 0 if found is None else sum(each.until is None for each in found.bottles)


PAGE = Page("recall", Text("Lots and recalls"), _context, (), "recall/page.html", menu="dispensers")


@router.get("/recall")
async def page(request: Request, web: TheWeb, who: Viewer) -> Response:  # noqa: ARG001
    """A lot that is looked for, and all that were recalled."""
    return await show(request, web, PAGE)


@router.post("/recall")
async def change(  # noqa: PLR0913, PLR0917 -- a form's parts
    request: Request,
    web: TheWeb,
    who: Technician,
    lot: Annotated[str, Query(max_length=200)],
    do: Annotated[str, Form(max_length=16)] = "recall",
    reason: Annotated[str, Form(max_length=200)] = "",
    confirm: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Recall a lot, or lift its recall."""
    name = checked(lot)
    errors: dict[str, Text] = {}
    if do == "recall" and not reason.strip():
        errors["reason"] = Text("Say what is wrong with it")
    if not confirmed(confirm, RECALL if do == "recall" else LIFT):
        errors["confirm"] = Text("Hold the button for a second, or type the word")
    if errors:
        return await show(request, web, PAGE, {"lot": name}, status=422, errors=errors, reason=reason)
    if do == "recall":
        await recall_lot(request, web, name, who.name, reason)
    else:
        await lift_recall(request, web, name)
    return RedirectResponse(f"/recall?lot={quote(name, safe='')}", 303)
