"""A dispenser's sensors: a chart of what they say, live, and the same as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.web.dispensers.commands import Dispenser
from gateway.web.dispensers.sample_stream import Samples, Span, samples, thin
from gateway.web.language import Text
from gateway.web.pages.bottles_drawn import drawn
from gateway.web.pages.dispenser import known
from gateway.web.readings import PERIOD_S, read_at
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer, Who

router = APIRouter(include_in_schema=False)

SPANS: dict[Span, Text] = {600: Text("10 minutes"), 3600: Text("1 hour"), 86400: Text("24 hours")}


def _span(query: Mapping[str, str]) -> Span:
    return next((span for span in SPANS if str(span) == query.get("seconds")), 600)


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    view = known(web, query["dispenser"])
    return {
        "one": view,
        "bottles": drawn(view),
        "seconds": _span(query),
        "spans": SPANS,
        "period_s": PERIOD_S,
        "values": {} if view.readings is None else {each.nozzle: each for each in view.readings.nozzles},
        "read_at": read_at(web.state, view.name),
    }


def _samples(web: Web, query: Mapping[str, str]) -> AbstractContextManager[Samples]:
    return samples(web.state, query["dispenser"], _span(query))


PAGE = Page(
    "readings",
    Text("Live readings"),
    _context,
    ("readings/values",),
    "readings/page.html",
    about=("dispenser",),
    menu="dispensers",
    beside=_samples,
)


@router.get("/dispensers/{dispenser}/readings")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    query = {"dispenser": dispenser, "seconds": str(_span(dict(request.query_params)))}
    view = known(web, dispenser)
    lines = [{"nozzle": each.nozzle, "name": each.name, "band": each.band} for each in drawn(view)]
    history = await thin(web.state, dispenser, _span(query))
    spread = {
        (each.channel, each.nozzle): (
            min((value for value in each.least if value is not None), default=None),
            max((value for value in each.most if value is not None), default=None),
        )
        for each in history.series
    }
    return await show(request, web, PAGE, query, lines=json.dumps(lines), spread=spread)
