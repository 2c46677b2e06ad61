"""How many event streams may be open: in all, and of one session, one program, one kiosk.

A browser opens six connections to one host, and a page must load while others are open: one session has four streams,
whatever they tell. Its further pages poll; a program is refused. Kiosks have a room of their own, so that neither a
technician's pages nor a program's streams ever take a customer's screen its line, nor the other way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from gateway.web.problems import Problem
from gateway.web.web import TheWeb, Web
from gateway.web.who import Who, asker

MAX_STREAMS = 60
"""Of pages and programs; with the kiosks' they stay below what the server takes (`MAX_CONNECTIONS`)."""
MAX_KIOSK_STREAMS = 100
"""Of kiosks: half of the connections that the server takes."""
MAX_OF_SESSION = 4
"""Of one session: two of a browser's six connections stay free."""
MAX_OF_PROGRAM = 12
"""Of one token, or the console: five programs that take all they may have room beside each other."""
MAX_OF_KIOSK = 4
"""Of one kiosk's token: its page, and those that it reloaded or lost on a bad line until their end is noticed."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Whoever asks for a stream, and whether they have one to spare."""

    web: Web
    who: Who
    free: bool
    """If not, whoever can poll is told what is true now, and the answer ends."""


async def take_seat(web: TheWeb, who: Annotated[Who, Depends(asker)]) -> AsyncIterator[Seat]:
    """The stream is the session's, the program's or the kiosk's own until its answer ends.

    Raises Problem where the room is full.
    """
    room, most = ("kiosks", MAX_KIOSK_STREAMS) if who.is_kiosk else ("pages", MAX_STREAMS)
    if web.streams[room] >= most:
        raise Problem(503, "too-many-streams", f"{most} streams are open", hint="Close pages that nobody reads")
    whose = who.session or who.via
    taken = [room, whose] if web.streams[whose] < _most_of(who) else [room]
    web.streams.update(taken)
    try:
        yield Seat(web, who, free=len(taken) > 1)
    finally:
        web.streams.subtract(taken)
        web.streams += Counter()  # forgets whoever has none


def _most_of(who: Who) -> int:
    if who.is_kiosk:
        return MAX_OF_KIOSK
    return MAX_OF_SESSION if who.person is not None else MAX_OF_PROGRAM


async def take_free_seat(seat: Annotated[Seat, Depends(take_seat)]) -> Seat:
    """A stream for whoever can't be told to poll. Raises Problem where they have all that they may."""
    if not seat.free:
        most = _most_of(seat.who)
        hint = "Close one of them, or ask now and then"
        raise Problem(503, "too-many-streams", f"{seat.who.name} has {most} streams open already", hint=hint)
    return seat


AnySeat = Annotated[Seat, Depends(take_seat)]
"""An endpoint's parameter of this type is a stream of whoever asks, or the word that they have all they may."""
FreeSeat = Annotated[Seat, Depends(take_free_seat)]
