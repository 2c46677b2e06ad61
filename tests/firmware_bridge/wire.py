"""One direction of a line that a test decides about: what comes out of it late, twice, or never."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from firmware_bridge.codec import decode_message, encode_message
from firmware_bridge.framing import Frame, FrameDecoder
from firmware_bridge.messages import Message

WIRE_MS = 5
LATE_MS = 300
"""ms; long enough for dozens of messages to overtake."""
LATE, LOST, DOUBLED = "late", "lost", "doubled"
Fates = Iterable[str]


class Wire:
    """One direction of the line: messages come out a while later, some of them late, twice, or never."""

    def __init__(self, fates: Fates = ()) -> None:
        self._fates = iter(fates)
        self._under_way: list[tuple[int, int, Message]] = []
        self._count = 0
        self.kept = False
        """Whether a broker keeps what is under way while a side is away; a cable doesn't."""

    def put(self, message: Message, now_ms: int) -> None:
        fate = next(self._fates, "")
        if fate == LOST:
            return
        for _ in range(2 if fate == DOUBLED else 1):
            self._count += 1
            heapq.heappush(self._under_way, (now_ms + (LATE_MS if fate == LATE else WIRE_MS), self._count, message))

    def take(self, now_ms: int) -> list[Message]:
        """What has come out by now. It went through the codec, as bytes."""
        out = []
        while self._under_way and self._under_way[0][0] <= now_ms:
            out.append(through_bytes(heapq.heappop(self._under_way)[2]))
        return out

    def cut(self) -> None:
        """Whatever was under way is gone, but where a broker keeps it."""
        if not self.kept:
            self._under_way.clear()


def through_bytes(message: Message) -> Message:
    """The message after its way over a serial line."""
    [frame] = FrameDecoder().feed(encode_message(message, 2))
    assert isinstance(frame, Frame)
    decoded = decode_message(frame)
    assert isinstance(decoded, type(message))
    return decoded
