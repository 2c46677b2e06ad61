"""A page's event stream: the parts of the page, first all of them, then those that changed.

    id: 9f2c4e1a.07d31b55         what is shown from then on, a tag for each part; a browser that comes back says it
    data: <hx-partial ...>        parts, which replace those in the document

    event: tick   data: {"now": ...}     after those, and every 5 s: silence means a dead line
    event: gone                          it is about something that is there no more, and ends
    event: full                          first, where this session has its streams: it ends, to be asked again in 5 s

A browser opens six connections to one host, and a page must load while others are open: so one session has four streams
at most. A stream ends when the web closes; browsers come back by themselves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.sse import format_sse_event

from gateway.web.feeds import Feed, Feeds
from gateway.web.problems import Problem
from gateway.web.shell import environment, language_of
from gateway.web.stream import TICK_S, EventStream, Streaming, may_look_on
from gateway.web.web import Web
from gateway.web.who import Viewer, Who

router = APIRouter(include_in_schema=False)

MAX_OF_SESSION = 4
"""Streams of one session."""
BACK_MS, POLL_MS = 500, 5_000
"""ms after which a browser comes back: when it lost its stream, and when it could have none."""
MAX_QUERY = 2_000
"""Characters of a page's query; a feed is kept for each."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who looks, and whether their session has a stream to spare."""

    web: Web
    who: Who
    free: bool


async def take_seat(web: Streaming, who: Viewer) -> AsyncIterator[Seat]:
    """The stream is the session's own until its answer ends."""
    session = who.session or who.name
    if web.streams_of[session] >= MAX_OF_SESSION:
        yield Seat(web, who, free=False)
        return
    web.streams_of[session] += 1
    try:
        yield Seat(web, who, free=True)
    finally:
        web.streams_of[session] -= 1
        web.streams_of += Counter()  # forgets whoever has none


@router.get("/live/{name}/{once}")
async def live(
    request: Request,
    name: str,
    once: Annotated[str, Path(pattern=r"^[\w-]{1,32}$")],
    seat: Annotated[Seat, Depends(take_seat)],
    last_event_id: Annotated[str, Header(max_length=500)] = "",
) -> EventStream:
    """The parts of the page of this name, with the page's query, as they change; `once` is the document's."""
    web, who, query = seat.web, seat.who, dict(request.query_params)
    feeds: Feeds = request.app.state.feeds
    page = feeds.pages.get(name)
    if page is None or not page.parts or not page.is_about(query) or len(request.url.query) > MAX_QUERY:
        raise Problem(404, "not-found", "there is no such page", hint="Load the page again")
    if who.role < page.role:
        raise Problem(403, "not-allowed", f"{who.name} may not see this")
    feed = feeds.of(page, who, language_of(request, web, who), query)
    await feed.look(web)  # what is wrong with it is answered with a status
    seen = last_event_id.split(".") if last_event_id else []
    events = _follow(seat, feed, seen, once) if seat.free else _once(web, feed, seen, once)
    return EventStream(events)


async def _follow(seat: Seat, feed: Feed, seen: list[str], once: str) -> AsyncGenerator[bytes]:
    told_s, web = float("-inf"), seat.web
    while not web.closing.is_set() and may_look_on(web, seat.who):
        try:
            news, seen = await _news(web, feed, seen, once)
        except Problem:  # what the page is about: loaded again, it says so
            yield format_sse_event(event="gone", data_str="")
            return
        if news or time.monotonic() - told_s >= TICK_S:
            told_s = time.monotonic()
            yield news + _tick()
        await web.pause(feed.page.every_s)


async def _once(web: Web, feed: Feed, seen: list[str], once: str) -> AsyncGenerator[bytes]:
    news, _ = await _news(web, feed, seen, once)
    yield format_sse_event(event="full", data_str="") + news + _tick(POLL_MS)


async def _news(web: Web, feed: Feed, seen: list[str], once: str) -> tuple[bytes, list[str]]:
    parts = await feed.look(web)
    changed = [each for each, tag in zip_longest(parts, seen[: len(parts)]) if each.tag != tag]
    if not changed:
        return b"", seen
    tags = [each.tag for each in parts]
    html = "".join(_partial(each.name.replace("/", "-"), each.of(once)) for each in changed)
    return format_sse_event(data_str=html, id=".".join(tags)), tags


def _partial(element: str, html: str) -> str:
    return environment.get_template("macros/live.html").module.partial(element, html)  # type: ignore[attr-defined, no-any-return]


def _tick(back_ms: int = BACK_MS) -> bytes:
    now = msgspec.json.encode({"now": datetime.now(UTC)}).decode()
    return format_sse_event(event="tick", data_str=now, retry=back_ms)
