"""What happened, row by row: looked for by filters, a page at a time, one in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from gateway.web import dispenser_views, reads, views
from gateway.web.language import Text
from gateway.web.reads import Row
from gateway.web.records import search
from gateway.web.records.events import TEXT_CHARS, find_event
from gateway.web.records.reading import date_of, day_of, in_thread
from gateway.web.records.search import Filters
from gateway.web.sentences import REASONS, TYPES, saying
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer, Who
from heat.identity import PSEUDONYM, SAFE_INTEGER, SOURCE_NAME, EventId

router = APIRouter(prefix="/events", include_in_schema=False)

PAGE_SIZE = 100
"""Rows on a page."""
Position = Annotated[int, Path(ge=1, le=SAFE_INTEGER)]


async def _list(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    asked = {name: query.get(name, "").strip()[:TEXT_CHARS] for name in _NAMES}
    filters = _filters(web, asked)
    before, after = _position(query, "before"), _position(query, "after")
    newer: int | None
    older: int | None
    if after is not None:
        found = await in_thread(web.state, lambda reader: search.newer(reader, filters, after, PAGE_SIZE))
        rows = found.rows[::-1]
        newer, older = found.next, (rows[-1].position if rows else after + 1)
    else:
        found = await in_thread(web.state, lambda reader: search.older(reader, filters, before, PAGE_SIZE))
        rows = found.rows
        newer = None if before is None else (rows[0].position if rows else before - 1)
        older = found.next
    kept = {name: value for name, value in asked.items() if value}
    names = [*(one.name for one in dispenser_views.everybody(web.state)), web.state.config.gateway.id]
    return {
        "rows": [_told(web, row) for row in rows],
        "asked": asked,
        "filtered": bool(kept),
        "looked_to": found.looked_to,
        "newer": None if newer is None else _address(kept, after=newer),
        "older": None if older is None else _address(kept, before=older),
        "exports": {
            each: "/api/v1/events/export?" + urlencode(_exported(kept) | {"format": each}) for each in _EXPORTS
        },
        "sources": [(name, name) for name in names],
        "sauces": [(sauce.id, sauce.name) for sauce in web.state.ingest.door.catalog.values()],
        "types": TYPES,
    }


_NAMES = ("source", "type", "subject", "sauce", "day", "refused", "text")
_EXPORTS = ("csv", "jsonl")


def _filters(web: Web, asked: Mapping[str, str]) -> Filters:
    """What was asked for; what can't be meant is nothing."""
    return Filters(
        source=asked["source"] if SOURCE_NAME.match(asked["source"]) else None,
        type=f"picante.{asked['type']}.v1" if asked["type"] in TYPES else None,
        subject=asked["subject"] or None,
        sauce=asked["sauce"] if asked["sauce"] in web.state.ingest.door.catalog else None,
        day=day_of(asked["day"]),
        refused=bool(asked["refused"]),
        text=asked["text"] or None,
    )


def _exported(kept: Mapping[str, str]) -> dict[str, str]:
    """The same filters as the API has them."""
    named = dict(kept)
    if "type" in named:
        named["type"] = f"picante.{named['type']}.v1"
    if "refused" in named:
        named["refused"] = "true"
    return named


def _position(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 16 else None


def _address(kept: Mapping[str, str], **position: int) -> str:
    return "/events?" + urlencode({**kept, **position})


def _told(web: Web, row: Row) -> dict[str, Any]:
    said = saying(row, web.state.catalog)
    return {
        "position": row.position,
        "time": reads.moment(row.time_ms),
        "clock": row.clock,
        "said": said,
        "customer": row.subject if row.subject is not None and PSEUDONYM.match(row.subject) else None,
        "waits": row.day < 0,
    }


LIST = Page("events", Text("Events"), _list, ("events/list",), "events/page.html")
PAGE = LIST


@router.get("")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """A page of events."""
    return await show(request, web, LIST)


# -- one ------------------------------------------------------------------------------------------------------------


async def _one(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    row = await find_event(web, int(query["position"]))
    confirmed = reads.backlog(web.state.reader).confirmed
    data = views.event(row).get("data")
    text = None if data is None else msgspec.json.format(bytes(data), indent=2).decode()
    return {
        "row": row,
        "told": _told(web, row),
        "id": str(EventId(row.source, row.generation, row.sequence)),
        "day": date_of(row.day),
        "data": text,
        "in_kafka": row.position <= confirmed,
        "reasons": REASONS,
    }


ONE = Page("event", Text("Event"), _one, ("events/one",), "events/one_page.html", about=("position",), menu="events")


@router.get("/{position}")
async def one(request: Request, web: TheWeb, who: Viewer, position: Position) -> HTMLResponse:  # noqa: ARG001
    """One event in full."""
    return await show(request, web, ONE, {"position": str(position)})
