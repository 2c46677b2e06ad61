"""One dispenser: how it is, what is in its bottles and on its screen, what it was told, and what it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.web import fleet
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import dispenser_view
from gateway.web.dispensers.commands import Dispenser, newest
from gateway.web.etags import etag_of
from gateway.web.kiosk.words import reason
from gateway.web.language import Text
from gateway.web.pages.bottles_drawn import drawn
from gateway.web.pages.commands_said import said
from gateway.web.pages.dispensers import STATE_TONES, STATE_WORDS
from gateway.web.problems import Problem
from gateway.web.readings import PERIOD_S, levels_at, read_at
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Viewer, Who

router = APIRouter(include_in_schema=False)

COMMANDS = 8
"""Commands that are shown."""
POUR, REBOOT, NEW_KEY = Text("POUR"), Text("REBOOT"), Text("KEY")
"""What is typed where no button can be held."""
TONES = {**STATE_TONES, "open": "fair", "good": "good", "bad": "bad"}
"""How a badge of a dispenser's or a command's state looks."""


def known(web: Web, dispenser: str) -> DispenserView:
    """A dispenser. Raises Problem where nobody knows it."""
    view = dispenser_view(web.state, web.watch, dispenser)
    if view is None:
        hint = "/dispensers lists those that are adopted, or wait"
        raise Problem(404, "no-such-dispenser", "there is no dispenser of this name", hint=hint)
    return view


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    view = known(web, query["dispenser"])
    nozzles = [(each.nozzle, each.sauce, each.level_ml) for each in view.nozzles]
    commands = await newest(web.state, view.name, COMMANDS)
    return {
        "one": view,
        "its": fleet.state_of(web.state, web.watch, view.name, nozzles),
        "state_words": STATE_WORDS,
        "bottles": drawn(view),
        "period_s": PERIOD_S,
        "read_at": read_at(web.state, view.name),
        "levels_at": levels_at(web.state, view),
        "why": reason,
        "commands": [said(each, away=not view.online) for each in commands],
        "serves": who.role >= Role.TECHNICIAN,
        "base": f"/dispensers/{view.name}",
        "tones": TONES,
        "label_etag": etag_of(view.label),
        "nozzle_names": [(str(each.nozzle), f"{each.nozzle}: {each.name}") for each in view.nozzles],
        "words": {"pour": POUR, "reboot": REBOOT, "new_key": NEW_KEY},
        "failed": None,
        "stubborn": web.state.adoption.is_stubborn(view.name, bytes),
        "errors": {},
        "typed": {},
    }


PAGE = Page(
    "dispenser",
    Text("Dispenser"),
    _context,
    ("dispenser/head", "dispenser/bottles", "dispenser/screen", "dispenser/commands"),
    "dispenser/page.html",
    about=("dispenser",),
    menu="dispensers",
)


@router.get("/dispensers/{dispenser}")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE, {"dispenser": dispenser})
