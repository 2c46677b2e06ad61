"""The gateway itself: clock, disk, power, certificates, parts of the daemon; and the ways to its log and backups."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.web.confirm import must_be_confirmed
from gateway.web.language import Text
from gateway.web.machine import doing
from gateway.web.machine.api import RESTART
from gateway.web.machine.look import setting_views, system_view
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who

router = APIRouter(include_in_schema=False)

STATES: dict[str, tuple[Text, str]] = {
    "running": (Text("runs"), "good"),
    "waiting": (Text("tries again"), "fair"),
    "stopped": (Text("stopped"), "bad"),
}
"""What the states of a part mean, and how much they should worry somebody."""
SOON_DAYS = 30
"""Days before its end from which on a certificate should be renewed."""
HOT_C = 80
"""°C from which on a Raspberry Pi makes itself slower."""
SHORT_H = 72
"""h of autonomy below which somebody should look: a weekend without Internet."""


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    view = await asyncio.to_thread(system_view, web.state)
    return {
        "system": view,
        "states": STATES,
        "settings": setting_views(web.state.config),
        "serves": who.role >= Role.TECHNICIAN,
        "owns": who.role >= Role.OWNER,
        "limits": {"soon_days": SOON_DAYS, "hot_c": HOT_C, "short_h": SHORT_H},
        "restart_word": RESTART,
        "error": None,
    }


PAGE = Page(
    "system",
    Text("System"),
    _context,
    ("system/restored", "system/clock", "system/disk", "system/machine", "system/certificates", "system/daemon"),
    "system/page.html",
    every_s=5.0,
)


@router.get("/system")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)


@router.post("/system/clock", response_model=None)
async def vouch(request: Request, web: TheWeb, who: Technician) -> Response:
    """The clock is right."""
    try:
        doing.vouch_for_the_clock(web, who.name)
    except Problem as problem:
        return await show(request, web, PAGE, {}, problem.details.status, error=problem.details)
    return back("/system#system-clock")


@router.post("/system/restart", response_model=None)
async def restart(
    request: Request, web: TheWeb, who: Technician, confirm: Annotated[str, Form(max_length=40)] = ""
) -> Response:
    """Begin anew."""
    try:
        must_be_confirmed(confirm, RESTART)
    except Problem as problem:
        return await show(request, web, PAGE, {}, problem.details.status, error=problem.details)
    response = await show(request, web, RESTARTING, {}, 202)
    doing.restart(web, f"{who.name} said so")
    return response


async def _nothing(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    return {}


RESTARTING = Page("restarting", Text("The gateway starts anew"), _nothing, (), "system/restarting.html", menu="system")
"""What is shown while it does: the page asks again by itself."""


def back(path: str) -> Response:
    """To a page, with a GET."""
    return RedirectResponse(path, 303)
