"""The dispensers: a page of them at a time, and a search; those that wait to be let in stand on top."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.web import fleet
from gateway.web.fleet import STATES, State
from gateway.web.language import Text
from gateway.web.pages.bottles_drawn import drawn
from gateway.web.readings import PERIOD_S, levels_at
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer, Who

router = APIRouter(include_in_schema=False)

STATE_WORDS: dict[State, Text] = {
    "waiting": Text("Waits to be let in"),
    "away": Text("Away"),
    "care": Text("Needs care"),
    "well": Text("Well"),
}
STATE_TONES: dict[str, str] = {"waiting": "bad", "away": "bad", "care": "fair", "well": "good"}
"""How the badge looks."""
MAX_SEARCH = 100
"""Characters; longer ones are cut."""


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    search, only = (
        query.get("search", "")[:MAX_SEARCH],
        next((one for one in STATES if one == query.get("state")), None),
    )
    asked = query.get("page", "")
    page = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 4 else 1
    found = await fleet.look_for(web.state, web.watch, search=search, only=only, page=page)
    await asyncio.sleep(0)  # customers' questions come between

    def at(page: int = 1, state: str | None = only) -> str:
        terms = {"search": search, "state": state or "", "page": page if page > 1 else ""}
        said = urlencode({name: value for name, value in terms.items() if value})
        return "/dispensers" + (f"?{said}" if said else "")

    return {
        "found": found,
        "search": search,
        "only": only,
        "at": at,
        "state_words": STATE_WORDS,
        "tones": STATE_TONES,
        "bottles": {one.name: drawn(one) for one in found.dispensers},
        "levels_at": {one.name: _once_old(levels_at(web.state, one)) for one in found.dispensers},
        "period_s": PERIOD_S,
    }


def _once_old(at: datetime | None) -> datetime | None:
    """It, where it is three periods ago; before, the whole list would be sent again with each SAMPLE."""
    return at if at is not None and datetime.now(UTC) - at > timedelta(seconds=3 * PERIOD_S) else None


PAGE = Page("dispensers", Text("Dispensers"), _context, ("dispensers/found",), "dispensers/page.html")


@router.get("/dispensers")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)
