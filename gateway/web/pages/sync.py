"""The way to Kafka: what waits, how fast it goes, and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway import letters
from gateway.web.language import Text
from gateway.web.records.ledger import read_ledger, totals
from gateway.web.records.rates import rates
from gateway.web.records.reading import date_of, day_of, in_thread
from gateway.web.sentences import REASONS
from gateway.web.shell import Page, show
from gateway.web.views import sync_view
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer, Who
from heat.identity import SOURCE_NAME

router = APIRouter(include_in_schema=False)

STATES: dict[str, tuple[Text, str]] = {
    "idle": (Text("Kafka has everything"), "good"),
    "draining": (Text("Kafka is catching up"), "fair"),
    "connecting": (Text("Looking for Kafka"), "fair"),
    "unreachable": (Text("Kafka is away; events are kept here"), "fair"),
    "refused": (Text("Kafka and this gateway don't accept each other; events are kept here"), "bad"),
    "foreign": (Text("Stopped: another gateway has our name"), "bad"),
    "off": (Text("No Kafka is set up; events are kept here"), "fair"),
}
"""What the uplink's states mean, and how much they should worry somebody."""
MODES: dict[str, Text] = {
    "kafka": Text("Kafka keeps the position: it gets each event exactly once"),
    "sqlite": Text("This gateway keeps the position: Kafka gets each event at least once"),
    "off": Text("Nobody keeps a position yet"),
}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    source = query.get("source", "")
    wanted = source if SOURCE_NAME.match(source) else None
    view = await read_ledger(web, day_of(query.get("day", "")), wanted)
    sync = sync_view(web.state, web.watch)
    state = "draining" if sync.state == "idle" and sync.pending else sync.state
    return {
        "sync": sync,
        "state": STATES[state],
        "mode": MODES[sync.mode],
        "rates": rates(web),
        "ledger": view,
        "totals": totals(view.rows),
        "shown_day": None if view.day is None else date_of(view.day),
        "open": await in_thread(web.state, letters.counts),
        "reasons": REASONS,
    }


PAGE = Page("sync", Text("Sync"), _context, ("sync/backlog", "sync/refused", "sync/ledger"), "sync/page.html")


@router.get("/sync")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)
