"""Event streams: the status as it changes, for programs as JSON and for the page as HTML.

    event: snapshot   data: the whole status                  first
    event: change     data: its members that changed          at most twice a second
    event: tick       data: {"now": ...}                      after those, and every 5 s: silence means a dead line

`/live` sends the page's parts instead, under their ids. A stream ends when the web closes; browsers come back by
themselves.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from gateway.web.glance import Status
from gateway.web.problems import Problem, documented
from gateway.web.rendering import PARTS, Drawn
from gateway.web.web import TheWeb, Web

router = APIRouter(tags=["v1"])

EVERY_S = 0.5
TICK_S = 5.0
RETRY_MS = 1000
"""ms after which a browser comes back."""
MAX_STREAMS = 60
"""Open streams; a forgotten script can't make the gateway hold more."""


class EventStream(StreamingResponse):
    """Server-sent events. FastAPI's own class logs a traceback whenever a browser leaves while it is being sent to."""

    media_type: str | None = "text/event-stream"


async def _counted(web: TheWeb) -> AsyncIterator[Web]:
    if web.streams >= MAX_STREAMS:
        raise Problem(503, "too-many-streams", f"{MAX_STREAMS} streams are open", hint="Close pages that nobody reads")
    web.streams += 1
    try:
        yield web
    finally:
        web.streams -= 1


Streaming = Annotated[Web, Depends(_counted)]
Tell = Callable[[Status | None, Drawn], Iterator[tuple[str, str]]]
"""The events (name, data) that tell a status to somebody who knows the one before (None: nothing yet)."""


@router.get("/api/v1/stream", response_class=EventStream, responses=documented(503))
async def stream(web: Streaming) -> EventStream:
    """The status: once whole, then what changes, at most twice a second."""
    return _response(web, _as_json)


@router.get("/live/old", response_class=EventStream, include_in_schema=False)
async def live(web: Streaming) -> EventStream:
    """The page's parts as they change."""
    return _response(web, _as_html)


def _response(web: Web, tell: Tell) -> EventStream:
    return EventStream(_follow(web, tell), headers={"x-accel-buffering": "no"})


async def _follow(web: Web, tell: Tell) -> AsyncIterator[bytes]:
    before: Status | None = None
    told_s = 0.0
    while not web.closing.is_set():
        drawn, told = web.drawn(), False
        for name, text in tell(before, drawn):  # made one by one: customers' questions come between
            told = True
            yield format_sse_event(event=name, data_str=text)
        before = drawn.status
        if told or time.monotonic() - told_s >= TICK_S:
            told_s = time.monotonic()
            yield format_sse_event(event="tick", data_str=before.model_dump_json(include={"now"}), retry=RETRY_MS)
        await web.pause(EVERY_S)


def _as_json(before: Status | None, drawn: Drawn) -> Iterator[tuple[str, str]]:
    status = drawn.status
    if before is None:
        yield "snapshot", status.model_dump_json()
    elif changed := _changed(before, status):
        yield "change", status.model_dump_json(include={"now", *changed})


def _as_html(before: Status | None, drawn: Drawn) -> Iterator[tuple[str, str]]:
    changed = _changed(before, drawn.status)
    for part, members in PARTS.items():
        if not changed.isdisjoint(members):
            yield part, drawn.part(part)


def _changed(before: Status | None, status: Status) -> set[str]:
    members = Status.model_fields.keys() - {"now"}
    return {name for name in members if before is None or getattr(status, name) != getattr(before, name)}
