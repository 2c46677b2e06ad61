"""What may come as any bytes at all: each target reads some, and raises if a promise of the decoders was broken.

line     bytes of a serial line, whole and in pieces
packet   an MQTT payload: version, type, CBOR body; the arguments or measurements inside
body     the CBOR of an EVENT's body, after one byte with its kind; on to what the brand records of it
session  a serial line to a gateway whose link is open, and to its dispenser
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from firmware_bridge.codec import (
    BadMessage,
    body_map,
    decode_arguments,
    decode_event_body,
    decode_measured,
    decode_message,
    decode_packet,
    encode_body,
    encode_packet,
)
from firmware_bridge.framing import MAX_FRAME_BYTES, BadFrame, Frame, FrameDecoder, encode_frame
from firmware_bridge.messages import Command, EventMessage, Message, Ping, Result
from firmware_bridge.verbs import ARGUMENTS_BY_VERB, MEASURED_BY_VERB
from gateway.door import Door
from heat.catalog import default_catalog
from heat.scale import default_words
from tests.firmware_bridge.pair import Pair

_AFTER = Frame(1, Ping.number, bytes.fromhex("a10148") + bytes(8))
_HELD_BYTES = MAX_FRAME_BYTES + 100
"""Bytes that a decoder may hold of an unfinished block."""


def line(given: bytes) -> None:
    """However it is cut, a line gives the same frames; they are what they say; the next good one is read."""
    whole = FrameDecoder().feed(given)
    step = 1 + (given[0] if given else 0) % 64
    decoder, pieces = FrameDecoder(), []
    for at in range(0, len(given), step):
        pieces += decoder.feed(given[at : at + step])
        assert len(decoder._pending) <= _HELD_BYTES
    assert pieces == whole
    for frame in whole:
        if isinstance(frame, Frame):
            assert FrameDecoder().feed(encode_frame(frame.version, frame.type, frame.body)) == [frame]
            decode_message(frame)
    assert decoder.feed(encode_frame(_AFTER.version, _AFTER.type, _AFTER.body))[-1] == _AFTER


def packet(given: bytes) -> None:
    """A payload is a message that is written again as it was understood, or a reason."""
    message = decode_packet(given)
    if isinstance(message, BadMessage):
        return
    repr(message)
    match message:
        case EventMessage():
            _event_body(message)
        case Command():
            _arguments(message.arguments)
        case Result():
            _arguments(message.measured or {})
        case _:
            again = decode_packet(encode_packet(message, given[0]))
            assert again == message


def body(given: bytes) -> None:
    """An event with whatever body keeps its identity, so it can be filed and acknowledged; else it is no CBOR."""
    kind, value = (given[0] % 24, given[1:]) if given else (0, b"")
    cbor = bytes.fromhex("a8 01 05 02 09 03 01 04 0a 05 14 06 04 07") + bytes([kind, 8]) + value
    message = decode_message(Frame(1, EventMessage.number, cbor))
    if isinstance(message, BadMessage):
        assert message.reason == "invalid_cbor"
        return
    assert isinstance(message, EventMessage)
    assert (message.generation, message.sequence) == (5, 9)
    _event_body(message)


def session(given: bytes) -> None:
    """Neither side of an open link is thrown by what comes to it; events get in in their order alone."""
    _PLACE.joinpath("0.ring").unlink(missing_ok=True)
    pair = Pair(_PLACE)
    pair.open_up()
    pair.pour()
    for frame in FrameDecoder().feed(given):
        message: Message | BadMessage | BadFrame = frame if isinstance(frame, BadFrame) else decode_message(frame)
        if not isinstance(message, BadMessage | BadFrame):
            pair.perform(pair.session.feed(message, pair.now_ms))
            pair.mcu.feed(message, pair.now_ms)
        pair.tick()
    pair.ring.close()


TARGETS: dict[str, Callable[[bytes], None]] = {"line": line, "packet": packet, "body": body, "session": session}


def _event_body(message: EventMessage) -> None:
    decoded = decode_event_body(message.kind, message.body)
    if isinstance(decoded, BadMessage):
        return
    assert decode_event_body(message.kind, body_map(decoded)) == decoded
    encode_body(decoded)
    _door().admit(decoded, "session", None)


def _arguments(fields: dict[Any, Any]) -> None:
    for verb in ARGUMENTS_BY_VERB:
        decode_arguments(verb, fields)
    for verb in MEASURED_BY_VERB:
        decode_measured(verb, fields)


_PLACE = Path(tempfile.mkdtemp(prefix="picante-fuzz-"))
atexit.register(shutil.rmtree, _PLACE)


@cache
def _door() -> Door:
    return Door(default_catalog(), default_words(), "plaza", "south")
