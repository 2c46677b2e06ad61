"""What travels on the links, as lines of a file without secrets: from a gateway's trace to `picante sim replay`.

One JSON object a line, so that a file is good up to wherever it was cut:

    {"capture": 1, "gateway": "gw-1", "at": "2026-05-01T09:30:00Z"}                         first
    {"ms": 12.3, "link": "/dev/serial/by-id/...", "way": "up", "is": "event", "hex": "00..00"}
    {"ms": 12.9, "link": "mqtt:bar-1", "way": "down", "is": "ack", "hex": "0184.."}
    {"ms": 60000.0, "end": "seconds", "missed": 0}                                          last, unless it was cut

`is` names the message, or says what was bad: `bad:crc`. `hex` is what was on the line: a frame with its zeros, an MQTT
payload. What opens a link, and what commands carry, is told without its bytes. In an ASK each loyalty token has a
stand-in of its length, the same one for the same token, and what the customer must not get is left out; in a customer's
own words an ellipsis stands for addresses and telephone numbers. Of whatever is no good message nothing is kept but its
length and what was wrong with it (of a message: its version and type): a damaged ASK still holds a token, and on a line
that echoes, a damaged PROVISION a key. A stand-in that is bad in the same way takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.bodies import UNREADABLE
from firmware_bridge.codec import (
    BadMessage,
    BadMessageReason,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
)
from firmware_bridge.framing import BadFrame, BadFrameReason, Frame, FrameDecoder, encode_frame
from firmware_bridge.messages import Ask, Command, EventMessage, Message, Provision, Ready, Welcome
from firmware_bridge.own_words import without_contacts_in
from heat.errors import DataError

FORMAT = 1
Way = Literal["up", "down"]

LONGEST_BLOCK = 1_100
"""Bytes without a zero that are kept: enough to be too long for a frame."""
_SECRET = (Ready, Welcome, Provision, Command)
"""Messages with a MAC or a key, or that may have one."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a capture."""

    ms: Annotated[float, Meta(ge=0)]
    """Since the trace began."""
    link: str
    way: Way
    is_: str = msgspec.field(name="is")
    hex: Annotated[str, Meta(pattern="^([0-9a-fA-F]{2})*$")] | None = None
    """None where the bytes are withheld."""
    before: bool = False
    """A HELLO of before the trace began, by which the link was opened."""

    @property
    def data(self) -> bytes:
        """The bytes; none where they are withheld."""
        return bytes.fromhex(self.hex or "")


@dataclass(frozen=True, slots=True)
class Piece:
    """A frame, a packet or a stretch of noise, fit to be kept. `data` is None where nothing of it may be."""

    is_: str
    data: bytes | None


class Scrubber:
    """Makes pieces of what travels, and keeps secrets out of them. One for a whole capture."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[str, Way], bytearray | None] = {}
        """None while what precedes the first zero, or follows too much, is passed over."""
        self._stand_ins: dict[str, str] = {}

    def stream(self, link: str, way: Way, data: bytes) -> Iterator[Piece]:
        """The pieces that end in these bytes of a serial line. What was under way when the trace began is left out."""
        *ended, rest = data.split(b"\x00")
        for block in ended:
            pending = self._unfinished.get((link, way))
            self._unfinished[link, way] = bytearray()
            if pending is not None and (whole := bytes(pending) + block):
                yield self._block(whole[:LONGEST_BLOCK])
        pending = self._unfinished.get((link, way))
        if pending is not None:
            pending += rest
            if len(pending) > LONGEST_BLOCK:
                yield self._block(bytes(pending[:LONGEST_BLOCK]))
                self._unfinished[link, way] = None

    def packet(self, payload: bytes) -> Piece:
        """An MQTT payload."""
        message = decode_packet(payload)
        if isinstance(message, BadMessage):
            body = bad_body(message.reason, len(payload[2:LONGEST_BLOCK]))
            return Piece(f"bad:{message.reason}", payload[:2] + body)
        return self._good(message, payload, lambda clean: encode_packet(clean, payload[0]))

    def _block(self, block: bytes) -> Piece:
        frame = _frame_in(block)
        if isinstance(frame, BadFrame):
            return Piece(f"bad:{frame.reason}", _delimited(bad_block(frame.reason, len(block))))
        message = decode_message(frame)
        if isinstance(message, BadMessage):
            body = bad_body(message.reason, len(frame.body))
            return Piece(f"bad:{message.reason}", encode_frame(frame.version, frame.type, body))
        return self._good(message, _delimited(block), lambda clean: encode_message(clean, frame.version))

    def _good(self, message: Message, data: bytes, encode: Callable[[Message], bytes]) -> Piece:
        is_ = name_of(message)
        match message:
            case Ask(token=token):
                token = None if token is None else self._stand_in(token)
                clean = msgspec.structs.replace(message, token=token, avoid=(), adult=False)
                return Piece(is_, encode(clean))
            case EventMessage(kind=kind) if kind == UNREADABLE:
                return Piece(is_, None)
            case _ if isinstance(message, _SECRET):
                return Piece(is_, None)
            case EventMessage():
                plain = without_contacts_in(message)
                return Piece(is_, data if plain is message else encode(plain))
            case _:  # without keys that are not known here: nobody can tell what they hold
                return Piece(is_, encode(message))

    def _stand_in(self, token: str) -> str:
        """The same for the same token, and as long on the line."""
        size = len(token.encode())
        if token not in self._stand_ins:
            self._stand_ins[token] = f"token{len(self._stand_ins) + 1}".ljust(size, "x")[:size]
        return self._stand_ins[token]


def name_of(message: Message) -> str:
    """What a capture calls a message: hello, event, ask, ..."""
    return type(message).__name__.removesuffix("Message").lower()


# -- bad blocks --------------------------------------------------------------------------------------------------------


def _frame_in(block: bytes) -> Frame | BadFrame:
    return FrameDecoder().feed(_delimited(block))[0]


def _delimited(block: bytes) -> bytes:
    return b"\x00" + block + b"\x00"


def bad_block(reason: BadFrameReason, size: int) -> bytes:
    """A block of so many bytes that is no frame, for this reason, whatever its content was."""
    match reason:
        case "cobs":  # the last group is to have one byte more
            return b"\x01" * (size - 1) + b"\x02"
        case "crc":  # whole groups first: they take the least room in the frame
            groups, rest = divmod(size, 255)
            return (b"\xff" * 255) * groups + b"\x01" * rest
        case "short" | "oversize":
            return b"\x01" * size


def bad_body(reason: BadMessageReason, size: int) -> bytes:
    """A body of so many bytes that makes no message, for this reason."""
    match reason:
        case "invalid_cbor":  # an end of nothing
            return b"\xff" * size
        case "invalid_body":  # a string, and not a map
            return _cbor_bytes(size) if size else b""
        case "oversize" | "unknown_type" | "unknown_version":
            return bytes(size)


def _cbor_bytes(size: int) -> bytes:
    """One CBOR item of so many bytes: a string of zeros, or a zero."""
    if size == 1:
        return b"\x00"
    if size <= 24:
        head = bytes((0x40 | (size - 1),))
    elif size <= 257:
        head = bytes((0x58, size - 2))
    else:
        head = b"\x59" + (size - 3).to_bytes(2, "big")
    return head.ljust(size, b"\x00")


# -- files -------------------------------------------------------------------------------------------------------------


def parse_capture(lines: Iterable[bytes]) -> list[Entry]:
    """The entries of a capture, in order; a last line that was cut off is left out.

    Raises:
        DataError: it is no capture, or of a format that is not known here.
    """
    entries: list[Entry] = []
    known = False
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            break
        try:
            fields = msgspec.json.decode(line, type=dict[str, object])
            if not known:
                known = _check_head(fields)
            elif "end" not in fields:
                entries.append(msgspec.convert(fields, Entry))
        except msgspec.MsgspecError as error:
            raise DataError(f"line {number} is no line of a capture: {error}") from error
    if not known:
        raise DataError("this is no capture", hint="`picante gateway trace --out FILE` makes one")
    return entries


def _check_head(fields: dict[str, object]) -> bool:
    if fields.get("capture") != FORMAT:
        raise DataError(f"this is no capture of format {FORMAT}", hint="`picante gateway trace --out FILE` makes one")
    return True


def read_capture(path: Path) -> list[Entry]:
    """The entries of the capture in a file. Raises DataError, naming the file and the line."""
    try:
        with path.open("rb") as file:
            return parse_capture(file)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except DataError as error:
        raise DataError(f"{path}: {error.args[0]}", hint=error.hint) from error
