"""Frames <-> typed messages. The schema is `picante.cddl`; field numbers stand beside the fields here.

A message's body is one CBOR map with small integer keys. Unknown keys are ignored, so that a newer dispenser is
understood; unknown types, versions and malformed bodies are `BadMessage` values, never exceptions. CBOR tags are
refused: none is needed, and some make a decoder build dates, patterns, or structures that contain themselves.

An EVENT is decoded in two steps. Its header (identity, uptimes, session, kind) belongs to the link; its body is read by
`decode_event_body`, so that an event which can't be accepted still has an identity to acknowledge and to file.
"""

from __future__ import annotations

import hmac
import io
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, TypeVar

import cbor2
import msgspec
from msgspec import Meta

from firmware_bridge.framing import Frame, encode_frame

T = TypeVar("T")

VERSION = 1
"""The protocol version spoken."""

Uint = Annotated[int, Meta(ge=0, le=2**53 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U8 = Annotated[int, Meta(ge=0, le=255)]
Name = Annotated[str, Meta(min_length=1, max_length=32)]
Nonce = Annotated[bytes, Meta(min_length=8, max_length=16)]
Mac = Annotated[bytes, Meta(min_length=32, max_length=32)]


def _key(number: int, default: Any = msgspec.NODEFAULT) -> Any:
    """The integer key of a field; it travels as that integer, and as its decimal text only inside this module."""
    return msgspec.field(name=str(number), default=default)


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    number: ClassVar[int]


class NozzleInfo(msgspec.Struct, frozen=True, array_like=True):
    """A nozzle as the dispenser tells of it: `[nozzle, sauce, level in ml]`."""

    nozzle: U8
    sauce: Name
    level_ml: U32


class Hello(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: who I am, and what my ring holds."""

    number: ClassVar[int] = 0x01
    dispenser: Name = _key(1)
    firmware: Name = _key(2)
    versions: tuple[U8, ...] = _key(3)
    nozzles: tuple[NozzleInfo, ...] = _key(4)
    generation: U32 = _key(5)
    lowest: Annotated[int, Meta(ge=1, le=2**53 - 1)] = _key(6)
    """The lowest sequence that the ring still holds; equal to `next` when it is empty."""
    next: Annotated[int, Meta(ge=1, le=2**53 - 1)] = _key(7)
    """The sequence that the next event will get."""
    nonce: Nonce = _key(8)
    boot: U32 = _key(9)
    uptime_ms: Uint = _key(10)


class Ready(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: proof that I hold the key, and that this HELLO is not a replay."""

    number: ClassVar[int] = 0x02
    mac: Mac = _key(1)


class EventMessage(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: something happened. `body` is read by `decode_event_body`."""

    number: ClassVar[int] = 0x03
    generation: U32 = _key(1)
    sequence: Annotated[int, Meta(ge=1, le=2**53 - 1)] = _key(2)
    boot: U32 = _key(3)
    uptime_ms: Uint = _key(4)
    """Uptime when it happened, in the boot `boot`."""
    sent_uptime_ms: Uint = _key(5)
    """Uptime at this sending, in the present boot (the one that HELLO named)."""
    session: U32 = _key(6)
    """The customer session; 0 where no customer is concerned."""
    kind: U8 = _key(7)
    body: dict[Any, Any] = _key(8)
    raw: bytes = b""
    """The CBOR body as it came, for the dead letters; never on the wire."""


class Ask(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: a customer stands here, what shall I show? Outside the sequence, never stored."""

    number: ClassVar[int] = 0x04
    session: U32 = _key(1)
    nonce: Nonce = _key(2)
    token: Annotated[str, Meta(min_length=1, max_length=128)] | None = _key(3, None)
    """A loyalty token, if one was shown. It travels here and nowhere else."""
    dial: Annotated[int, Meta(ge=0, le=100)] | None = _key(4, None)
    mood: Name | None = _key(5, None)

    def __repr__(self) -> str:
        token = "none" if self.token is None else "withheld"
        return f"Ask(session={self.session}, token={token}, dial={self.dial}, mood={self.mood})"


class Pong(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: I am here."""

    number: ClassVar[int] = 0x05
    nonce: Nonce = _key(1)


class Welcome(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: I know you; go on after `durable`."""

    number: ClassVar[int] = 0x81
    version: U8 = _key(1)
    time_ms: Uint = _key(2)
    """Unix time in ms; 0 while the gateway does not know it."""
    window: Annotated[int, Meta(ge=1, le=1024)] = _key(3)
    """Events that may be under way without an ACK."""
    generation: U32 = _key(4)
    durable: Uint = _key(5)
    """Every sequence of `generation` up to this one is on disk here; 0 for none."""
    nonce: Nonce = _key(6)
    mac: Mac = _key(7)


class HelloRequest(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: say HELLO (again)."""

    number: ClassVar[int] = 0x82


RejectReason = Literal["version", "unadopted", "bad_mac", "malformed", "stale_ring", "replaced"]


class Reject(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: I won't talk to you, because."""

    number: ClassVar[int] = 0x83
    reason: RejectReason = _key(1)
    versions: tuple[U8, ...] = _key(2, ())
    detail: Annotated[str, Meta(max_length=80)] = _key(3, "")
    nonce: Nonce | None = _key(4, None)
    """nonce_d of the HELLO that this answers, if it answers one."""


class Ack(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: all events of `generation` up to `sequence` are on disk; free them."""

    number: ClassVar[int] = 0x84
    generation: U32 = _key(1)
    sequence: Uint = _key(2)


NAME_BYTES = 32
WHY_BYTES = 48
"""Bytes of UTF-8 that a screen takes of a sauce's name, and of the line below it."""


def fit(text: str, size_bytes: int) -> str:
    """The longest beginning of `text` that takes at most `size_bytes` in UTF-8."""
    return text.encode()[:size_bytes].decode(errors="ignore")


class PickInfo(msgspec.Struct, frozen=True, array_like=True):
    """One slot of the screen: `[nozzle, sauce, name, heat in milli-octaves, why]`."""

    nozzle: U8
    sauce: Name
    name: Annotated[str, Meta(max_length=32)]
    milli_octaves: U32
    why: Annotated[str, Meta(max_length=48)]

    @classmethod
    def fitted(cls, nozzle: int, sauce: str, name: str, milli_octaves: int, why: str) -> Self:
        """A slot whose texts are cut, between two characters, to the bytes that a screen takes."""
        return cls(nozzle, sauce, fit(name, NAME_BYTES), milli_octaves, fit(why, WHY_BYTES))


class Picks(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: show these. Answers the ASK with the same nonce."""

    number: ClassVar[int] = 0x85
    nonce: Nonce = _key(1)
    pick_id: Annotated[str, Meta(min_length=1, max_length=32)] = _key(2)
    picks: tuple[PickInfo, ...] = _key(3)


class Ping(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: say PONG if you are there."""

    number: ClassVar[int] = 0x86
    nonce: Nonce = _key(1)


UpMessage = Hello | Ready | EventMessage | Ask | Pong
DownMessage = Welcome | HelloRequest | Reject | Ack | Picks | Ping
Message = UpMessage | DownMessage

_BY_NUMBER: dict[int, type[Message]] = {
    cls.number: cls for cls in (Hello, Ready, EventMessage, Ask, Pong, Welcome, HelloRequest, Reject, Ack, Picks, Ping)
}


# -- what EVENTs carry --------------------------------------------------------------------------------------------


class PouredBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """A pour. The volume is signed on the wire, so that a broken meter is seen and not wrapped around."""

    number: ClassVar[int] = 1
    nozzle: U8 = _key(1)
    sauce: Name = _key(2)
    volume_ul: int = _key(3)
    duration_ms: Uint = _key(4)
    pick_id: Annotated[str, Meta(min_length=1, max_length=32)] | None = _key(5, None)


class RatedBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """A press of *too hot*, *just right* or *more*."""

    number: ClassVar[int] = 2
    sauce: Name = _key(1)
    verdict: Literal["too_hot", "just_right", "more"] = _key(2)
    pick_id: Annotated[str, Meta(min_length=1, max_length=32)] | None = _key(3, None)


class StatedBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """What the customer says they like: exactly one of SHU, a category word, a dial position (0..100)."""

    number: ClassVar[int] = 3
    shu: int | None = _key(1, None)
    word: Annotated[str, Meta(min_length=1, max_length=32)] | None = _key(2, None)
    dial: Annotated[int, Meta(ge=0, le=100)] | None = _key(3, None)


class RefilledBody(_Body, frozen=True, kw_only=True, omit_defaults=True):
    """A bottle was put on a nozzle."""

    number: ClassVar[int] = 4
    nozzle: U8 = _key(1)
    sauce: Name = _key(2)
    volume_ul: Uint = _key(3)


EventBody = PouredBody | RatedBody | StatedBody | RefilledBody
UNREADABLE = 0
"""Kind of an EVENT that came with no readable one; no dispenser sends it."""
_BODY_BY_KIND: dict[int, type[EventBody]] = {
    cls.number: cls for cls in (PouredBody, RatedBody, StatedBody, RefilledBody)
}


# -- proofs ---------------------------------------------------------------------------------------------------------


def welcome_mac(key: bytes, hello: Hello, welcome: Welcome) -> bytes:
    """The MAC of a WELCOME (its own `mac` field aside): the gateway holds this dispenser's key."""
    answer = [welcome.version, welcome.time_ms, welcome.window, welcome.generation, welcome.durable]
    return _mac(key, "picante welcome 1", hello, welcome.nonce, answer)


def ready_mac(key: bytes, hello: Hello, nonce_g: bytes) -> bytes:
    """The MAC of a READY: the dispenser holds its key and has seen this WELCOME's nonce."""
    return _mac(key, "picante ready 1", hello, nonce_g, [])


def _mac(key: bytes, label: str, hello: Hello, nonce_g: bytes, more: list[int]) -> bytes:
    # an array of the named fields, not the body's bytes: a newer HELLO may carry keys that we don't know
    fields = msgspec.structs.astuple(hello)
    signed = [label, *msgspec.to_builtins(fields, builtin_types=(bytes,)), nonce_g, *more]
    return hmac.digest(key, cbor2.dumps(signed), "sha256")


# -- encoding and decoding ----------------------------------------------------------------------------------------

BadMessageReason = Literal["unknown_version", "unknown_type", "invalid_cbor", "invalid_body"]


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A good frame that is no message of ours. `type` is its message type (for an event body: its kind)."""

    reason: BadMessageReason
    type: int
    detail: str


def encode_body(message: Message | EventBody) -> bytes:
    """The CBOR body of a message, its keys in ascending order."""
    return cbor2.dumps(_int_keys(message))


def encode_packet(message: Message) -> bytes:
    """An MQTT payload: version, type, body."""
    return bytes((VERSION, message.number)) + encode_body(message)


def encode_message(message: Message) -> bytes:
    """The bytes on the serial line for a message."""
    return encode_frame(VERSION, message.number, encode_body(message))


def event_body_map(body: EventBody) -> dict[int, Any]:
    """An event body as the map that an EVENT carries."""
    return _int_keys(body)


def decode_packet(payload: bytes) -> Message | BadMessage:
    """The message in an MQTT payload."""
    if len(payload) < 3:
        return BadMessage("invalid_body", payload[1] if len(payload) > 1 else 0, "shorter than 3 bytes")
    return decode_message(Frame(payload[0], payload[1], payload[2:]))


def decode_message(frame: Frame) -> Message | BadMessage:
    """The message in a frame."""
    if frame.version != VERSION:
        return BadMessage("unknown_version", frame.type, f"version {frame.version}, spoken here: {VERSION}")
    cls = _BY_NUMBER.get(frame.type)
    if cls is None:
        return BadMessage("unknown_type", frame.type, f"message type {frame.type:#04x}")
    try:
        fields = _decode_cbor(frame.body)
    except (cbor2.CBORDecodeError, ValueError, OverflowError) as error:
        bad = BadMessage("invalid_cbor", frame.type, str(error)[:120])
        return _unreadable_event(frame.body) or bad if cls is EventMessage else bad
    if cls is not EventMessage:
        return _convert(fields, cls, frame.type)
    event = _convert(fields, cls, frame.type, raw=frame.body)
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
    event = _convert(identity | nothing, EventMessage, EventMessage.number, raw=body)
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
    decoder = cbor2.CBORDecoder(
        io.BytesIO(body),
        max_depth=8,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        semantic_decoders=_REFUSE_TAGS if strict else _IGNORE_TAGS,
        tag_hook=_refuse_tag if strict else _ignore_tag,
    )
    item = decoder.decode()
    if not strict:
        return item
    try:
        decoder.read(1)
    except cbor2.CBORDecodeEOF:
        return item
    raise ValueError("bytes after the map")


def decode_event_body(kind: int, fields: dict[Any, Any]) -> EventBody | BadMessage:
    """The body of an EVENT of this kind."""
    cls = _BODY_BY_KIND.get(kind)
    if cls is None:
        return BadMessage("unknown_type", kind, f"event kind {kind}")
    return _convert(fields, cls, kind)


def _convert(fields: Any, cls: type[T], number: int, **more: Any) -> T | BadMessage:
    if not isinstance(fields, dict):
        return BadMessage("invalid_body", number, "the body is not a map")
    try:
        # the structs' field names are the keys' decimal texts; maps deeper down keep their integer keys
        named = {str(key): value for key, value in fields.items() if type(key) is int}
        return msgspec.convert(named | more, cls, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        return BadMessage("invalid_body", number, str(error)[:120])


def _int_keys(body: Message | EventBody) -> dict[int, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(body, builtin_types=(bytes,))
    return {int(key): value for key, value in fields.items() if key != "raw"}
