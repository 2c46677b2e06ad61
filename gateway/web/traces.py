"""The last frames of a dispenser's line, kept while a page shows them, and each in words.

A page that is drawn takes a lease of half a minute: without anybody who draws it again, nobody listens any more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from firmware_bridge.capture import Piece, Way
from firmware_bridge.codec import BadMessage, decode_event_body, decode_message, decode_packet
from firmware_bridge.framing import Frame, FrameDecoder
from firmware_bridge.messages import EventMessage, Message, Sample
from gateway.tracing import Tracer

FRAMES = 60
"""Frames that are shown."""
LEASE_S = 30.0
LINES = 4
"""Lines that are shown at a time; who downloads a trace needs room, too."""
VALUE_CHARS = 120
SHOWN_BYTES = 8
"""Of a nonce, a MAC: enough to tell two apart."""


@dataclass(frozen=True, slots=True)
class FrameSaid:
    """A frame in words."""

    number: int
    at: float
    """Unix time, s."""
    way: Way
    name: str
    """HELLO, ACK; or what was bad about it."""
    bad: bool
    sequence: int | None
    fields: list[tuple[str, str]]
    """Names and values; none where the content is withheld."""
    size: int | None


class _Line:
    """What one line's pages show."""

    def __init__(self, link: str, clock_s: Callable[[], float]) -> None:
        self.frames: deque[FrameSaid] = deque(maxlen=FRAMES)
        self.until_s = 0.0
        self._link = link
        self._clock_s = clock_s
        self._count = 0

    def heard(self, link: str, way: Way, piece: Piece) -> None:
        if link == self._link and self._clock_s() < self.until_s:
            self._count += 1
            self.frames.append(in_words(piece, way, self._count, time.time(), packet=link.startswith("mqtt:")))


class Traces:
    """All lines that are shown."""

    def __init__(self, tracer: Tracer, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._tracer = tracer
        self._clock_s = clock_s
        self._lines: dict[str, _Line] = {}

    def look_at(self, link: str) -> list[FrameSaid] | None:
        """The last frames on a line, the newest first: since somebody began to look. None: too many look elsewhere."""
        now_s = self._clock_s()
        for name in [name for name, line in self._lines.items() if line.until_s <= now_s]:
            self._tracer.remove(self._lines.pop(name).heard)
        line = self._lines.get(link)
        if line is None:
            if len(self._lines) >= LINES or self._tracer.full:
                return None
            line = self._lines[link] = _Line(link, self._clock_s)
            self._tracer.add(line.heard)
        line.until_s = now_s + LEASE_S
        return list(reversed(line.frames))


def in_words(piece: Piece, way: Way, number: int, at: float, *, packet: bool) -> FrameSaid:
    """What passed, field by field."""
    size = None if piece.data is None else len(piece.data)
    message = None if piece.data is None or piece.is_.startswith("bad:") else _message(piece.data, packet=packet)
    bad = piece.is_.startswith("bad:")
    name = piece.is_.removeprefix("bad:").replace("_", " ") if bad else piece.is_.upper()
    if message is None:
        return FrameSaid(number, at, way, name, bad, None, [], size)
    sequence: int | None = getattr(message, "sequence", None)
    return FrameSaid(number, at, way, name, bad, sequence, list(_fields(message)), size)


def _message(data: bytes, *, packet: bool) -> Message | None:
    if packet:
        message = decode_packet(data)
    else:
        frame = FrameDecoder().feed(data)[0]
        if not isinstance(frame, Frame):
            return None
        message = decode_message(frame)
    return None if isinstance(message, BadMessage) else message


def _fields(message: Message) -> list[tuple[str, str]]:
    told: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(message).items():
        if name == "raw" or value is None:
            continue
        told[name] = value
    if isinstance(message, EventMessage):
        body = decode_event_body(message.kind, message.body)
        del told["body"]
        if not isinstance(body, BadMessage):
            told["kind"] = type(body).__name__.removesuffix("Body").lower()
            told |= {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    if isinstance(message, Sample):
        longest = max((len(each.values) for each in message.series), default=0)
        told["series"] = f"{len(message.series)} of {longest} values"
    return [(name, _value(value)) for name, value in told.items()]


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return value[:SHOWN_BYTES].hex() + ("…" if len(value) > SHOWN_BYTES else "")
    if isinstance(value, tuple):
        text = ", ".join(_value(each) for each in value)
    elif isinstance(value, msgspec.Struct):
        text = " ".join(_value(each) for each in msgspec.structs.astuple(value))
    else:
        text = str(value)
    return text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 1] + "…"
