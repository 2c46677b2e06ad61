"""The daemon's log: the last lines, by level and text, and as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from cloud_sync.log_ring import RING
from gateway.web.language import Text
from gateway.web.machine.answers import LogLines
from gateway.web.machine.gathering import log_file, scrubber_of
from gateway.web.machine.log_lines import LEVELS, Level, select
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Who

router = APIRouter(include_in_schema=False)

SHOWN = 100
MAX_SEARCH = 200
NAMES: dict[str, Text] = {
    "debug": Text("everything"),
    "info": Text("what happened"),
    "warning": Text("warnings"),
    "error": Text("errors"),
}
"""Levels from which on lines are shown."""
WORDS: dict[str, tuple[Text, str]] = {
    "debug": (Text("detail"), ""),
    "info": (Text("info"), ""),
    "warning": (Text("warning"), "fair"),
    "error": (Text("error"), "bad"),
    "critical": (Text("failure"), "bad"),
}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    level = query.get("level", "info")
    level = level if level in LEVELS else "info"
    search = query.get("search", "")[:MAX_SEARCH]
    return {
        "log": await asyncio.to_thread(_select, web, level, search),
        "level": level,
        "levels": NAMES,
        "words": WORDS,
        "search": search,
    }


def _select(web: Web, level: Level, search: str) -> LogLines:
    return select(RING.lines(), scrubber_of(web.state), level, search, SHOWN)


PAGE = Page("log", Text("Log"), _context, ("log/lines",), "log/page.html", Role.TECHNICIAN, every_s=2.0, menu="system")


@router.get("/system/log")
async def page(request: Request, web: TheWeb, who: Technician) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)


@router.get("/system/log.jsonl")
async def download(web: TheWeb, who: Technician) -> Response:  # noqa: ARG001
    """All that is kept, as a file."""
    made = await asyncio.to_thread(lambda: log_file(scrubber_of(web.state)))
    headers = {"content-disposition": f'attachment; filename="{web.state.config.gateway.id}-log.jsonl"'}
    return Response(made, media_type="application/x-ndjson", headers=headers)
