"""A trace of what passes on all links, for as long as somebody at the machine reads it: bounded, and without secrets.

Links tell the tracer (`firmware_bridge.tap`); it makes lines of that (`firmware_bridge.capture`), which wait in a queue
for the one reader. A reader that is too slow misses lines, and the last line says how many; nothing else waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
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
LOOK_S = 0.2
"""s between two looks at whether it is over, while nothing comes."""

End = Literal["seconds", "bytes", "stopped"]


class Tracer:
    """The daemon's one tracer. It belongs to the event loop's thread."""

    def __init__(self, gateway: str) -> None:
        self.active = False
        """Whether a trace is being taken."""
        self._gateway = gateway
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self._scrubber = Scrubber()
        self._begun_s = 0.0
        self._missed = 0

    # -- what links tell (`firmware_bridge.tap.Tap`) ------------------------------------------------------------------

    def serial(self, link: str, way: Way, data: bytes) -> None:
        """See `Tap.serial`."""
        if self.active:
            for piece in self._scrubber.stream(link, way, data):
                self._put(link, way, piece)

    def packet(self, link: str, way: Way, payload: bytes) -> None:
        """See `Tap.packet`."""
        if self.active:
            self._put(link, way, self._scrubber.packet(payload))

    # -- the reader's side --------------------------------------------------------------------------------------------

    async def lines(
        self, seconds: float, max_bytes: int, links: Iterable[Link], stopping: asyncio.Event
    ) -> AsyncIterator[bytes]:
        """The trace, line by line, until its time is over, `max_bytes` have no room for more, or the daemon stops.

        It ends as well when the reader closes it. There may be one at a time: look at `active` first.
        """
        self._lines, self._scrubber = asyncio.Queue(QUEUED), Scrubber()
        self._begun_s, self._missed = time.monotonic(), 0
        self.active = True
        try:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            head = _line({"capture": FORMAT, "gateway": self._gateway, "at": at})
            room = max_bytes - len(head) - END_BYTES
            yield head
            for link in links:
                self._put_hello(link)
            while (end := self._end(seconds, stopping)) is None or (end == "seconds" and not self._lines.empty()):
                line = await self._next()
                if line is not None and len(line) > room:
                    end = "bytes"
                    break
                if line is not None:
                    room -= len(line)
                    yield line
            yield _line({"ms": self._ms(), "end": end, "missed": self._missed})
        finally:
            self.active = False

    async def _next(self) -> bytes | None:
        """The next line; None if none comes for a while."""
        if not self._lines.empty():
            return self._lines.get_nowait()
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._lines.get()
        except TimeoutError:
            return None

    def _end(self, seconds: float, stopping: asyncio.Event) -> End | None:
        if stopping.is_set():
            return "stopped"
        return "seconds" if self._ms() >= seconds * 1000 else None

    def _put_hello(self, link: Link) -> None:
        """Who is at a link that was opened before."""
        hello = link.session.hello
        if link.open and hello is not None:
            data = encode_packet(hello) if link.name.startswith("mqtt:") else encode_message(hello)
            self._put(link.name, "up", Piece(name_of(hello), data), before=True)

    def _put(self, link: str, way: Way, piece: Piece, *, before: bool = False) -> None:
        data = piece.data.hex() if piece.data is not None else None
        entry = Entry(ms=self._ms(), link=link, way=way, is_=piece.is_, hex=data, before=before)
        try:
            self._lines.put_nowait(_line(entry))
        except asyncio.QueueFull:
            self._missed += 1

    def _ms(self) -> float:
        return round((time.monotonic() - self._begun_s) * 1000, 1)


def _line(content: object) -> bytes:
    return msgspec.json.encode(content) + b"\n"
