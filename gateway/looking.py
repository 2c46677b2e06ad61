"""Somebody looks at a dispenser's sensors: its SAMPLEs go to them as they come, and it reads more often meanwhile.

Each who looks has a queue of their own, which loses the oldest if it is not read, and counts what it lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from firmware_bridge.messages import Series

LOOK_S = 30
"""s for which a dispenser is asked to read often: it goes on over three that were lost."""
LOOK_EVERY_S = 8.0
QUEUED = 40
"""SAMPLEs that wait for a reader: forty seconds of one that pours."""


class Came(NamedTuple):
    """A SAMPLE as it came."""

    at_ms: int
    """The gateway's uptime at its last values."""
    period_ms: int
    series: Sequence[Series]


class Looked(Protocol):
    """A dispenser's open link."""

    def look(self, seconds: int) -> None:
        """See `Link.look`."""


class Eye:
    """One who looks."""

    def __init__(self) -> None:
        self.missed = 0
        """SAMPLEs that went by unread."""
        self._queue: asyncio.Queue[Came] = asyncio.Queue(QUEUED)

    def see(self, came: Came) -> None:
        """A SAMPLE came."""
        if self._queue.full():
            self._queue.get_nowait()
            self.missed += 1
        self._queue.put_nowait(came)

    async def next(self, within_s: float) -> Came | None:
        """The next SAMPLE; None if none comes in this time."""
        try:
            async with asyncio.timeout(within_s):
                return await self._queue.get()
        except TimeoutError:
            return None


class Looking:
    """Who looks at which dispenser. It belongs to the event loop's thread."""

    def __init__(self, link_of: Callable[[str], Looked | None], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._link_of = link_of
        self._clock_s = clock_s
        self._eyes: defaultdict[str, set[Eye]] = defaultdict(set)
        self._asked_s: dict[str, float] = {}

    @contextmanager
    def at(self, dispenser: str) -> Iterator[Eye]:
        """Look at a dispenser."""
        eye = Eye()
        self._eyes[dispenser].add(eye)
        try:
            yield eye
        finally:
            self._eyes[dispenser].discard(eye)
            if not self._eyes[dispenser]:
                del self._eyes[dispenser]
                self._asked_s.pop(dispenser, None)

    def ask(self, dispenser: str) -> None:
        """Have it read often; whoever looks calls this every few seconds."""
        now_s = self._clock_s()
        if now_s - self._asked_s.get(dispenser, -LOOK_EVERY_S) < LOOK_EVERY_S:
            return
        if (link := self._link_of(dispenser)) is not None:
            self._asked_s[dispenser] = now_s
            link.look(LOOK_S)

    def came(self, dispenser: str, came: Came) -> None:
        """A SAMPLE was taken in."""
        for eye in self._eyes.get(dispenser, ()):
            eye.see(came)
