"""The event stream for programs: the status as it changes, as JSON. Pages have streams of their own (`live`).

    event: snapshot   data: the whole status                  first
    event: change     data: its members that changed          at most twice a second
    event: tick       data: {"now": ...}                      after those, and every 5 s: silence means a dead line

A stream ends when the web closes, and when whoever reads it may no more.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import zlib
from collections.abc import AsyncGenerator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.web.examples import as_text
from gateway.web.glance import Status
from gateway.web.problems import Problem, documented
from gateway.web.seats import FreeSeat
from gateway.web.web import Web
from gateway.web.who import Viewer, Who

router = APIRouter(tags=["v1"])

EVERY_S = 0.5
TICK_S = 5.0
RETRY_MS = 1000
"""ms after which a browser comes back."""
GZIP, MEMORY_LEVEL = 16 + 13, 6
"""zlib's window of 8 KB with gzip's head, and its memory: 64 KB a stream, a quarter of what is usual."""


def may_look_on(web: Web, who: Who) -> bool:
    """Whether whoever was let in still is what they were then: sessions end, tokens are revoked, roles change."""
    if who.session is None:
        return True
    if who.scope is not None:
        return web.access.tokens.is_good(who.session)
    return web.access.sessions.role_of(who.session) == who.role


class EventStream(StreamingResponse):
    """Server-sent events. FastAPI's own class logs a traceback whenever a browser leaves while it is being sent to.

    They are packed, event by event, for whoever unpacks: a page's parts are a tenth of their size then. A stream
    ends where what it tells of is gone, or can't be read: whoever comes back is answered with why.
    """

    media_type: str | None = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], status_code: int = 200) -> None:  # FastAPI reads the status here
        headers = {"x-accel-buffering": "no", "vary": "Accept-Encoding"}
        self._events = _as_far_as_it_goes(events)
        super().__init__(self._events, status_code, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            self.headers["content-encoding"] = "gzip"
            self.body_iterator = _packed(self._events)
        await super().__call__(scope, receive, send)


async def _as_far_as_it_goes(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(events):
        with contextlib.suppress(Problem, sqlite3.Error):
            async for event in events:
                yield event


async def _packed(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    packer = zlib.compressobj(5, zlib.DEFLATED, GZIP, MEMORY_LEVEL)
    async with contextlib.aclosing(events):
        async for event in events:
            yield packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)  # all of it, now
    yield packer.flush()


STREAM = as_text("text/event-stream", "event: start\nid: 17\ndata: {}\n\n")


@router.get("/api/v1/stream", response_class=EventStream, responses={200: STREAM, **documented(503)})
async def stream(seat: FreeSeat, who: Viewer) -> EventStream:
    """The status: once whole, then what changes, at most twice a second."""
    return EventStream(_follow(seat.web, who))


async def _follow(web: Web, who: Who) -> AsyncGenerator[bytes]:
    before: Status | None = None
    told_s = 0.0
    while not web.closing.is_set() and may_look_on(web, who):
        status, told = await web.status(), True
        if before is None:
            yield format_sse_event(event="snapshot", data_str=status.model_dump_json())
        elif changed := _changed(before, status):
            yield format_sse_event(event="change", data_str=status.model_dump_json(include={"now", *changed}))
        else:
            told = False
        before = status
        if told or time.monotonic() - told_s >= TICK_S:
            told_s = time.monotonic()
            yield format_sse_event(event="tick", data_str=before.model_dump_json(include={"now"}), retry=RETRY_MS)
        await web.pause(EVERY_S)


def _changed(before: Status, status: Status) -> set[str]:
    members = Status.model_fields.keys() - {"now"}
    return {name for name in members if getattr(status, name) != getattr(before, name)}
