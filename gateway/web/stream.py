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
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from gateway.web.glance import Status
from gateway.web.problems import Problem, documented
from gateway.web.rendering import PARTS, Drawn
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
Told = Callable[[Status | None, Drawn], Iterator[ServerSentEvent]]
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
        drawn, told = web.drawn(), False
        for event in tell(before, drawn):  # made one by one: customers' questions come between
            told = True
            yield event
        before = drawn.status
        if told or time.monotonic() - told_s >= TICK_S:
            told_s = time.monotonic()
            yield ServerSentEvent(event="tick", data={"now": drawn.status.now}, retry=RETRY_MS)
        await _pause(web)


async def _pause(web: Web) -> None:
    try:
        async with asyncio.timeout(EVERY_S):
            await web.closing.wait()
    except TimeoutError:
        pass


def _as_json(before: Status | None, drawn: Drawn) -> Iterator[ServerSentEvent]:
    status = drawn.status
    if before is None:
        yield ServerSentEvent(event="snapshot", data=status)
    elif changed := _changed(before, status):
        yield ServerSentEvent(event="change", raw_data=status.model_dump_json(include={"now", *changed}))


def _as_html(before: Status | None, drawn: Drawn) -> Iterator[ServerSentEvent]:
    changed = _changed(before, drawn.status)
    for part, members in PARTS.items():
        if not changed.isdisjoint(members):
            yield ServerSentEvent(event=part, raw_data=drawn.part(part))


def _changed(before: Status | None, status: Status) -> set[str]:
    members = Status.model_fields.keys() - {"now"}
    return {name for name in members if before is None or getattr(status, name) != getattr(before, name)}
