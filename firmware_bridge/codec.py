"""Frames <-> typed messages.

Unknown keys are ignored, so that a newer dispenser is understood; unknown types, versions and malformed bodies are
`BadMessage` values, never exceptions. CBOR tags are refused: none is needed, and some make a decoder build dates,
patterns, or structures that contain themselves.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

import cbor2
import msgspec

from firmware_bridge.bodies import BODY_BY_KIND, UNREADABLE, EventBody
from firmware_bridge.framing import MAX_FRAME_BYTES, Frame, encode_frame
from firmware_bridge.messages import BY_NUMBER, OPENING, SINCE, SPOKEN, VERSIONS, EventMessage, Message
from firmware_bridge.texts import too_long
from firmware_bridge.verbs import ARGUMENTS_BY_VERB, MEASURED_BY_VERB, AnyArguments, Measured

T = TypeVar("T", bound=msgspec.Struct)

BadMessageReason = Literal["oversize", "unknown_version", "unknown_type", "invalid_cbor", "invalid_body"]


MAX_PACKET_BYTES = MAX_FRAME_BYTES - 4
"""Of an MQTT payload: what a frame holds, without its CRC. A broker would carry megabytes into the store."""


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A good frame that is no message of ours. `type` is its message type (an event body's kind, or 0)."""

    reason: BadMessageReason
    type: int
    detail: str


def encode_body(message: Message | EventBody) -> bytes:
    """The CBOR body of a message, its keys in ascending order."""
    return cbor2.dumps(body_map(message))


def encode_packet(message: Message, version: int = 1) -> bytes:
    """An MQTT payload: version, type, body. `version` is the link's; what opens a link is always written as 1."""
    return bytes((_written(message, version), message.number)) + encode_body(message)


def encode_message(message: Message, version: int = 1) -> bytes:
    """The bytes on the serial line for a message; `version` as in `encode_packet`."""
    return encode_frame(_written(message, version), message.number, encode_body(message))


def _written(message: Message, version: int) -> int:
    return 1 if isinstance(message, OPENING) else version


def body_map(body: Message | EventBody | AnyArguments | Measured) -> dict[int, Any]:
    """A body as the map that it travels as."""
    fields: dict[str, Any] = msgspec.to_builtins(body, builtin_types=(bytes,))
    return {int(key): value for key, value in fields.items() if key != "raw"}


def decode_packet(payload: bytes) -> Message | BadMessage:
    """The message in an MQTT payload."""
    if len(payload) < 3:
        return BadMessage("invalid_body", payload[1] if len(payload) > 1 else 0, "shorter than 3 bytes")
    if len(payload) > MAX_PACKET_BYTES:
        return BadMessage("oversize", payload[1], f"{len(payload)} bytes, at most {MAX_PACKET_BYTES}")
    return decode_message(Frame(payload[0], payload[1], payload[2:]))


_KNOWN = {
    version: {number: cls for number, cls in BY_NUMBER.items() if SINCE.get(cls, 1) <= version} for version in VERSIONS
}
"""The messages of each version."""


def decode_message(frame: Frame) -> Message | BadMessage:
    """The message in a frame."""
    if frame.version not in VERSIONS:
        return BadMessage("unknown_version", frame.type, f"version {frame.version}, spoken here: {SPOKEN}")
    cls = _KNOWN[frame.version].get(frame.type)
    if cls is None:
        return BadMessage("unknown_type", frame.type, f"message type {frame.type:#04x} of version {frame.version}")
    try:
        fields = _decode_cbor(frame.body)
    except (cbor2.CBORDecodeError, ValueError, OverflowError) as error:
        bad = BadMessage("invalid_cbor", frame.type, str(error)[:120])
        return _unreadable_event(frame.body) or bad if cls is EventMessage else bad
    if cls is not EventMessage:
        return _convert(fields, cls, frame.type)
    event = _convert(fields, cls, frame.type, frame.body)
    return _unreadable_event(frame.body) or event if isinstance(event, BadMessage) else event


def _unreadable_event(body: bytes) -> EventMessage | None:
    """An EVENT of which no more than its identity can be read: it can still be filed, and acknowledged."""
    try:
        fields = _decode_cbor(body, strict=False)
    except (cbor2.CBORDecodeError, ValueError, OverflowError):
        return None
    if not isinstance(fields, dict):
        return None
    identity = {number: fields.get(number) for number in (1, 2)}
    nothing = {3: 0, 4: 0, 5: 0, 6: 0, 7: UNREADABLE, 8: {}}
    event = _convert(identity | nothing, EventMessage, EventMessage.number, body)
    return None if isinstance(event, BadMessage) else event


def _refuse_tag(*_: Any) -> NoReturn:
    raise ValueError("tags are not part of this protocol")


_TAGS_OF_CBOR2 = (*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799, 55800)
"""All tags that the decoder knows by itself are among these; the others come to its tag hook."""
_REFUSE_TAGS = dict.fromkeys(_TAGS_OF_CBOR2, _refuse_tag)


def _ignore_tag(*_: Any) -> None:
    return None


_IGNORE_TAGS = dict.fromkeys(_TAGS_OF_CBOR2, _ignore_tag)


def _decode_cbor(body: bytes, *, strict: bool = True) -> Any:
    """The one item that `body` is; unless `strict`, what is tagged is None, and what follows it is not looked at.

    Raises CBORDecodeError, ValueError, OverflowError.
    """
    stream = io.BytesIO(body)
    item = cbor2.load(
        stream,
        max_depth=8,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        semantic_decoders=_REFUSE_TAGS if strict else _IGNORE_TAGS,
        tag_hook=_refuse_tag if strict else _ignore_tag,
    )
    if strict and stream.tell() < len(body):
        raise ValueError("bytes after the map")
    return item


def decode_event_body(kind: int, fields: dict[Any, Any]) -> EventBody | BadMessage:
    """The body of an EVENT of this kind."""
    cls = BODY_BY_KIND.get(kind)
    if cls is None:
        return BadMessage("unknown_type", kind, f"event kind {kind}")
    return _convert(fields, cls, kind)


def decode_arguments(verb: str, fields: dict[Any, Any]) -> AnyArguments | BadMessage:
    """The arguments of a COMMAND with this verb."""
    cls = ARGUMENTS_BY_VERB.get(verb)
    if cls is None:
        return BadMessage("unknown_type", 0, f"verb {verb}")
    return _convert(fields, cls, 0)


def decode_measured(verb: str, fields: dict[Any, Any]) -> Measured | BadMessage:
    """What a RESULT says was measured by a command with this verb."""
    cls = MEASURED_BY_VERB.get(verb)
    if cls is None:
        return BadMessage("unknown_type", 0, f"verb {verb}")
    return _convert(fields, cls, 0)


class _KeyTexts(dict[int, str]):
    """The decimal texts of keys; those that bodies have are ready."""

    def __missing__(self, key: int) -> str:
        return str(key)


_KEY_TEXTS = _KeyTexts({number: str(number) for number in range(32)})


def _convert(fields: Any, cls: type[T], number: int, raw: bytes | None = None) -> T | BadMessage:
    if not isinstance(fields, dict):
        return BadMessage("invalid_body", number, "the body is not a map")
    try:
        # the structs' field names are the keys' decimal texts; maps deeper down keep their integer keys
        named = {_KEY_TEXTS[key]: value for key, value in fields.items() if type(key) is int}
        if raw is None:
            message = msgspec.convert(named, cls, builtin_types=(bytes,))
            long = too_long(message)
            return message if long is None else BadMessage("invalid_body", number, long)
        # an EVENT has no other bytes, which would have to be told from texts in base64: a tenth faster
        named["raw"] = raw
        return msgspec.convert(named, cls)
    except msgspec.ValidationError as error:
        return BadMessage("invalid_body", number, str(error)[:120])
