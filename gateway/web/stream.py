"""Event streams: the status as it changes, for programs as JSON and for the page as HTML.

    event: snapshot   data: the whole status                  first
    event: change     data: its members that changed          at most twice a second
    event: tick       data: {"now": ...}                      after those, and every 5 s: silence means a dead line

`/live` sends the page's parts instead, under their ids. A stream ends when the web closes; browsers come back by
themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from gateway.web.glance import Status
from gateway.web.page import PARTS, render_part
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb, Web

router = APIRouter(tags=["v1"])

EVERY_S = 0.5
TICK_S = 5.0
RETRY_MS = 1000
"""ms after which a browser comes back."""
MAX_STREAMS = 20
"""Open streams; a forgotten script can't make the gateway hold more."""


async def _counted(web: TheWeb) -> AsyncIterator[Web]:
    if web.streams >= MAX_STREAMS:
        raise Problem(503, "too-many-streams", f"{MAX_STREAMS} streams are open", hint="Close pages that nobody reads")
    web.streams += 1
    try:
        yield web
    finally:
        web.streams -= 1


Streaming = Annotated[Web, Depends(_counted)]
Told = Callable[[Status | None, Status], list[ServerSentEvent]]
"""What is sent of a status to somebody who knows the one before (None: nothing yet)."""


@router.get("/api/v1/stream", response_class=EventSourceResponse, responses=documented(503))
async def stream(web: Streaming) -> AsyncIterator[ServerSentEvent]:
    """The status: once whole, then what changes, at most twice a second."""
    async for event in _follow(web, _as_json):
        yield event


@router.get("/live", response_class=EventSourceResponse, include_in_schema=False)
async def live(web: Streaming) -> AsyncIterator[ServerSentEvent]:
    """The page's parts as they change."""
    async for event in _follow(web, _as_html):
        yield event


async def _follow(web: Web, tell: Told) -> AsyncIterator[ServerSentEvent]:
    before: Status | None = None
    told_s = 0.0
    while not web.closing.is_set():
        status = web.status()
        events = tell(before, status)
        before = status
        if events or time.monotonic() - told_s >= TICK_S:
            told_s = time.monotonic()
            for event in events:
                yield event
            yield ServerSentEvent(event="tick", data={"now": status.now}, retry=RETRY_MS)
        await _pause(web)


async def _pause(web: Web) -> None:
    try:
        async with asyncio.timeout(EVERY_S):
            await web.closing.wait()
    except TimeoutError:
        pass


def _as_json(before: Status | None, status: Status) -> list[ServerSentEvent]:
    if before is None:
        return [ServerSentEvent(event="snapshot", data=status)]
    names = [name for name in Status.model_fields if name != "now" and getattr(status, name) != getattr(before, name)]
    if not names:
        return []
    return [ServerSentEvent(event="change", raw_data=status.model_dump_json(include={"now", *names}))]


def _as_html(before: Status | None, status: Status) -> list[ServerSentEvent]:
    return [
        ServerSentEvent(event=part, raw_data=render_part(part, status))
        for part, members in PARTS.items()
        if before is None or any(getattr(status, name) != getattr(before, name) for name in members)
    ]
