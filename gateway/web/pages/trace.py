"""What passes on a dispenser's line, in words, as it passes; and all of it as a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.web.dispensers.commands import Dispenser
from gateway.web.language import Text
from gateway.web.pages.dispenser import known
from gateway.web.shell import Page, show
from gateway.web.traces import FRAMES, LINES
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Who

router = APIRouter(include_in_schema=False)


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    view = known(web, query["dispenser"])
    frames = web.traces.look_at(view.link) if view.link else []
    return {
        "one": view,
        "frames": None if frames is None else [(each, datetime.fromtimestamp(each.at, UTC)) for each in frames],
        "most": FRAMES,
        "lines": LINES,
    }


PAGE = Page(
    "trace",
    Text("What passes on its line"),
    _context,
    ("trace/frames",),
    "trace/page.html",
    Role.TECHNICIAN,
    about=("dispenser",),
    menu="dispensers",
)


@router.get("/dispensers/{dispenser}/trace")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE, {"dispenser": dispenser})
