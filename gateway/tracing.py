"""A trace of what passes on links, for as long as somebody reads it: bounded, and without secrets.

Links tell the tracer (`firmware_bridge.tap`); it makes pieces of that (`firmware_bridge.capture`) for whoever listens,
a few at a time. The lines of a trace wait in a queue for its reader. One that is too slow misses lines, and the last
line says how many; nothing else waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Literal

import msgspec

from firmware_bridge.capture import FORMAT, Entry, Piece, Scrubber, Way, name_of
from firmware_bridge.codec import encode_message, encode_packet
from firmware_bridge.link import Link

QUEUED = 2_000
"""Lines that wait for the reader; an EVENT's has about 300 bytes."""
MAX_SECONDS = 86_400.0
MAX_BYTES = 1_000_000_000
END_BYTES = 100
"""Bytes that are kept for the last line: 60, and a large number of missed lines."""
MAX_LISTENERS = 6
"""Who may listen at a time: to make a line of a frame costs about 20 µs, and a fleet sends some hundred a second."""
LOOK_S = 0.2
"""s between two looks at whether it is over, while nothing comes."""

End = Literal["seconds", "bytes", "stopped"]
Listener = Callable[[str, Way, Piece], None]
"""Is told the link, the way and what passed there."""


class Tracer:
    """The daemon's one tracer. It belongs to the event loop's thread."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._listeners: list[Listener] = []
        self._scrubber = Scrubber()

    @property
    def active(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @property
    def full(self) -> bool:
        """Whether nobody else may listen."""
        return len(self._listeners) >= MAX_LISTENERS

    def add(self, listener: Listener) -> None:
        """Have somebody listen; look at `full` first."""
        if not self._listeners:
            self._scrubber = Scrubber()
        self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Let them go."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    # -- what links tell (`firmware_bridge.tap.Tap`) ------------------------------------------------------------------

    def serial(self, link: str, way: Way, data: bytes) -> None:
        """See `Tap.serial`."""
        if self._listeners:
            for piece in self._scrubber.stream(link, way, data):
                self._tell(link, way, piece)

    def packet(self, link: str, way: Way, payload: bytes) -> None:
        """See `Tap.packet`."""
        if self._listeners:
            self._tell(link, way, self._scrubber.packet(payload))

    def _tell(self, link: str, way: Way, piece: Piece) -> None:
        for listener in tuple(self._listeners):
            listener(link, way, piece)

    # -- the reader's side --------------------------------------------------------------------------------------------

    async def lines(
        self, seconds: float, max_bytes: int, links: Iterable[Link], stopping: asyncio.Event, only: str | None = None
    ) -> AsyncIterator[bytes]:
        """The trace, line by line, until its time is over, `max_bytes` have no room for more, or the daemon stops.

        It ends as well when the reader closes it. With `only`, it is of the link of this name alone. Look at `full`
        first.
        """
        lines = _Lines(only)
        self.add(lines.put)
        try:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            head = _line({"capture": FORMAT, "gateway": self._gateway, "at": at})
            room = max_bytes - len(head) - END_BYTES
            yield head
            for link in links:
                lines.put_hello(link)
            while (end := lines.end(seconds, stopping)) is None or (end == "seconds" and not lines.empty):
                line = await lines.next()
                if line is not None and len(line) > room:
                    end = "bytes"
                    break
                if line is not None:
                    room -= len(line)
                    yield line
            yield _line({"ms": lines.ms(), "end": end, "missed": lines.missed})
        finally:
            self.remove(lines.put)


class _Lines:
    """What waits for the reader of one trace."""

    def __init__(self, only: str | None) -> None:
        self.missed = 0
        self._only = only
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self._begun_s = time.monotonic()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._lines.empty()

    def ms(self) -> float:
        """Since the trace began."""
        return round((time.monotonic() - self._begun_s) * 1000, 1)

    def end(self, seconds: float, stopping: asyncio.Event) -> End | None:
        """Why it is over, if it is."""
        if stopping.is_set():
            return "stopped"
        return "seconds" if self.ms() >= seconds * 1000 else None

    async def next(self) -> bytes | None:
        """The next line; None if none comes for a while."""
        if not self._lines.empty():
            return self._lines.get_nowait()
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._lines.get()
        except TimeoutError:
            return None

    def put_hello(self, link: Link) -> None:
        """Who is at a link that was opened before."""
        hello = link.session.hello
        if link.open and hello is not None:
            data = encode_packet(hello) if link.name.startswith("mqtt:") else encode_message(hello)
            self._put(link.name, "up", Piece(name_of(hello), data), before=True)

    def put(self, link: str, way: Way, piece: Piece) -> None:
        """Something passed."""
        self._put(link, way, piece, before=False)

    def _put(self, link: str, way: Way, piece: Piece, *, before: bool) -> None:
        if self._only is not None and link != self._only:
            return
        data = piece.data.hex() if piece.data is not None else None
        entry = Entry(ms=self.ms(), link=link, way=way, is_=piece.is_, hex=data, before=before)
        try:
            self._lines.put_nowait(_line(entry))
        except asyncio.QueueFull:
            self.missed += 1


def _line(content: object) -> bytes:
    return msgspec.json.encode(content) + b"\n"
