"""The first page: what is wrong, what it costs, and what mends it; a few figures below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from gateway.web.confirm import YES
from gateway.web.language import Text
from gateway.web.mending.api import SPANS, Button, For, Key, look_at_all
from gateway.web.mending.fixes import mend
from gateway.web.problems import Problem
from gateway.web.repairs.answers import steps
from gateway.web.repairs.board import EVERY_S
from gateway.web.repairs.checks import check
from gateway.web.repairs.repair import Repair
from gateway.web.shell import Page, show
from gateway.web.status import pick_times
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who

router = APIRouter(include_in_schema=False)

LET_BE: dict[str, Text] = {"hour": Text("1 hour"), "day": Text("1 day"), "week": Text("1 week")}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    await web.board.fresh()
    repairs = web.board.repairs
    dispensers, sync = web.board.views
    awake = [repair for repair in repairs if repair.snoozed is None]
    return {
        "awake": awake,
        "asleep": [repair for repair in repairs if repair.snoozed is not None],
        "urgent": sum(repair.urgent for repair in awake),
        "later": sum(not repair.urgent for repair in awake),
        "looked": web.board.looked,
        "every_s": EVERY_S,
        "steps": steps,
        "may": who.role >= Role.TECHNICIAN,
        "word": YES,
        "let_be": LET_BE,
        "dispensers": len(dispensers),
        "online": sum(each.online for each in dispensers),
        "sync": sync,
        "times": pick_times(web.state),
        "problem": None,
        "of": None,
    }


PARTS = ("repairs/state", "repairs/list", "repairs/figures")
PAGE = Page("repairs", Text("Repairs"), _context, PARTS, "repairs/page.html")


@router.get("/")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)


@router.post("/repairs/check")
async def look_again(web: TheWeb, who: Technician) -> Response:  # noqa: ARG001
    """Look at everything anew."""
    await look_at_all(web)
    return _back()


@router.post("/repairs/{key}/check")
async def check_again(web: TheWeb, who: Technician, key: Key) -> Response:  # noqa: ARG001
    """Try what failed now."""
    if (repair := await web.board.get(key)) is not None:
        await check(web.state, web.board, repair)
    return _back(key)


@router.post("/repairs/{key}/fix/{button}")
async def fix(
    request: Request,
    web: TheWeb,
    who: Technician,
    key: Key,
    button: Button,
    confirm: Annotated[str, Form()] = "",
) -> Response:
    """Press a button. What is mended already was pressed twice."""
    repair = await web.board.get(key)
    if repair is None:
        return _back()
    try:
        await mend(web, repair, button, who, confirm)
    except Problem as problem:
        return await _again(request, web, repair, problem)
    await web.board.look()
    return _back(key)


@router.post("/repairs/{key}/snooze")
async def snooze(web: TheWeb, who: Technician, key: Key, span: Annotated[For, Form()]) -> Response:
    """Let one be."""
    if (repair := await web.board.get(key)) is not None:
        await web.board.snooze(repair, SPANS[span], who.name)
    return _back()


@router.post("/repairs/{key}/wake")
async def wake(web: TheWeb, who: Technician, key: Key) -> Response:  # noqa: ARG001
    """Let it be no more."""
    if (repair := await web.board.get(key)) is not None:
        await web.board.wake(repair)
    return _back()


async def _again(request: Request, web: Web, repair: Repair, problem: Problem) -> Response:
    """The page, with what is wrong beside the repair."""
    return await show(request, web, PAGE, {}, problem.details.status, problem=problem.details, of=repair.key)


def _back(key: str | None = None) -> Response:
    return RedirectResponse("/" if key is None else f"/#{key}", 303)
