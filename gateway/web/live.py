"""A page's event stream: the parts of the page, first all of them, then those that changed.

    id: 9f2c4e1a.07d31b55         what is shown from then on, a tag for each part; a browser that comes back says it
    data: <...>                   parts (macros/live.html), which replace those in the document

    event: samples   data: ...    what a page has beside its parts, for an element that draws itself: a chart
    id: 9f2c4e1a.07d31b55~1790000000000      the same, and how far that went

    event: tick   data: {"now": ...}     after those, and every 5 s: silence means a dead line
    event: gone                          it is about something that is there no more, and ends
    event: full                          first, where this session has its streams: it ends, to be asked again in 5 s

A page has this one stream, and closes it in the background. It ends when the web closes; browsers come back by
themselves, and say what they have.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Path, Request
from fastapi.sse import format_sse_event

from gateway.web.feeds import Feed, Feeds
from gateway.web.problems import Problem
from gateway.web.seats import AnySeat, Seat
from gateway.web.shell import Told, environment, language_of
from gateway.web.stream import TICK_S, EventStream, may_look_on
from gateway.web.web import Web

router = APIRouter(include_in_schema=False)

BACK_MS, POLL_MS = 500, 5_000
"""ms after which a browser comes back: when it lost its stream, and when it could have none."""
MAX_QUERY = 2_000
"""Characters of a page's query; a feed is kept for each."""


@dataclass(slots=True)
class Seen:
    """What a document shows."""

    tags: Sequence[str]
    """Of its parts."""
    at: str
    """How far what it has beside them went."""

    @property
    def id(self) -> str:
        """What its browser says when it comes back."""
        return ".".join(self.tags) + (f"~{self.at}" if self.at else "")


@router.get("/live/{name}/{once}")
async def live(
    request: Request,
    name: str,
    once: Annotated[str, Path(pattern=r"^[\w-]{1,32}$")],
    seat: AnySeat,
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
    tags, _, at = last_event_id.partition("~")
    return EventStream(_follow(seat, feed, query, Seen(tags.split(".") if tags else [], at), once))


async def _follow(seat: Seat, feed: Feed, query: Mapping[str, str], seen: Seen, once: str) -> AsyncGenerator[bytes]:
    told_s, web = float("-inf"), seat.web
    with feed.page.beside(web, query) as source:
        told = await source.begin(seen.at)
        if not seat.free:
            news = await _news(web, feed, seen, once)
            yield format_sse_event(event="full", data_str="") + news + _beside(told, seen) + _tick(POLL_MS)
            return
        while not web.closing.is_set() and may_look_on(web, seat.who):
            try:
                news = await _news(web, feed, seen, once) + _beside(told, seen)
            except Problem:  # what the page is about: loaded again, it says so
                yield format_sse_event(event="gone", data_str="")
                return
            if news or time.monotonic() - told_s >= TICK_S:
                told_s = time.monotonic()
                yield news + _tick()
            told = await source.next(feed.page.every_s)


async def _news(web: Web, feed: Feed, seen: Seen, once: str) -> bytes:
    """The parts that changed; they are seen then."""
    parts = await feed.look(web)
    changed = [each for each, tag in zip_longest(parts, seen.tags[: len(parts)]) if each.tag != tag]
    if not changed:
        return b""
    seen.tags = [each.tag for each in parts]
    html = "".join(_partial(each.name.replace("/", "-"), each.of(once)) for each in changed)
    return format_sse_event(data_str=html, id=seen.id)


def _beside(told: Sequence[Told], seen: Seen) -> bytes:
    """What was told beside the parts; it is seen then."""
    events = []
    for each in told:
        seen.at = each.at or seen.at
        events.append(format_sse_event(event=each.name, data_str=each.data, id=seen.id))
    return b"".join(events)


def _partial(element: str, html: str) -> str:
    return environment.get_template("macros/live.html").module.partial(element, html)  # type: ignore[attr-defined, no-any-return]


def _tick(back_ms: int = BACK_MS) -> bytes:
    now = msgspec.json.encode({"now": datetime.now(UTC)}).decode()
    return format_sse_event(event="tick", data_str=now, retry=back_ms)
