"""A kiosk's event stream: what it shows, whole, whenever that has changed; a tick where it has not.

    event: page    data: the version of the daemon         first: a page of another one loads itself anew
    event: start   data: what is shown to nobody           id: of this very content
    event: visit   data: what is shown to a customer       the same
    event: tick    data: nothing                           every 2 s: silence means a dead line
    event: full    first, on a page of a session that has its streams: it ends, to be asked again in 5 s

Whoever comes back with `Last-Event-ID`, and has on its screen what is true now, gets a tick alone. Nothing is polled: a
pick is on its way as soon as PICKS are written to the dispenser.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable

from fastapi.sse import format_sse_event

from gateway.web.kiosk.screen import Screen, screen_of
from gateway.web.seats import Seat
from gateway.web.status import VERSION
from gateway.web.stream import EventStream, may_look_on

TICK_S = 2.0

Draw = Callable[[Screen], str]


def stream(seat: Seat, dispenser: str, draw: Draw, last_id: str | None) -> EventStream:
    """The stream of a dispenser's kiosk, which ends when whoever looks may no more.

    Raises a Problem where there is no such dispenser.
    """
    screen_of(seat.web.state, dispenser)
    return EventStream(_follow(seat, dispenser, draw, last_id))


def tag(text: str) -> str:
    """The id of what is shown."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def _follow(seat: Seat, dispenser: str, draw: Draw, last_id: str | None) -> AsyncGenerator[bytes]:
    web, before = seat.web, None
    closing = asyncio.create_task(web.closing.wait())
    try:
        with web.state.kiosk.visits.watching(dispenser) as changed:
            if not seat.free:
                yield format_sse_event(event="full", data_str="")
            yield format_sse_event(event="page", data_str=VERSION)
            while not closing.done() and may_look_on(web, seat.who):
                changed.clear()
                screen = screen_of(web.state, dispenser)
                if screen == before:
                    yield format_sse_event(event="tick", data_str="")
                else:
                    text = draw(screen)
                    id_ = tag(text)
                    name = "tick" if before is None and id_ == last_id else screen.state
                    yield format_sse_event(event=name, data_str="" if name == "tick" else text, id=id_)
                    before = screen
                if not seat.free:
                    return
                await _pause(changed, closing)
    finally:
        closing.cancel()


async def _pause(changed: asyncio.Event, closing: asyncio.Task[object]) -> None:
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait([waiting, closing], timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
