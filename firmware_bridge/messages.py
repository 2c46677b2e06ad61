"""The messages of the dispenser link. The schema is `picante.cddl`; field numbers stand beside the fields here.

An EVENT carries its body as a map (`bodies`), a COMMAND its arguments and a RESULT its measurements (`verbs`): they are
read in a second step, so that what can't be read still has an identity to acknowledge, to file or to refuse.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from firmware_bridge.fields import (
    U8,
    U32,
    Body,
    Detail,
    Key,
    KeyId,
    Mac,
    Name,
    Nonce,
    PickId,
    Sequence,
    Uint,
    key,
)

VERSIONS = (1, 2)
"""The protocol versions spoken here, in ascending order."""
SPOKEN = ", ".join(map(str, VERSIONS))
MAX_VERSIONS = 8
MAX_NOZZLES = 12
"""Nozzles of a dispenser, and slots on its screen."""
MAX_AVOIDED = 16
"""Allergens in an ASK."""
MAX_SERIES = 64
"""Sensors in one SAMPLE."""
MAX_VALUES = 64
"""Values of one sensor in one SAMPLE."""


class NozzleInfo(msgspec.Struct, frozen=True, array_like=True):
    """A nozzle as the dispenser tells of it: `[nozzle, sauce, level in ml]`."""

    nozzle: U8
    sauce: Name
    level_ml: U32


class Hello(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: who I am, and what my ring holds."""

    number: ClassVar[int] = 0x01
    dispenser: Name = key(1)
    firmware: Name = key(2)
    versions: Annotated[tuple[U8, ...], Meta(min_length=1, max_length=MAX_VERSIONS)] = key(3)
    nozzles: tuple[NozzleInfo, ...] = key(4)
    """At most `MAX_NOZZLES`: one with more is read, so that it can be told why it is turned away."""
    generation: U32 = key(5)
    lowest: Sequence = key(6)
    """The lowest sequence that the ring still holds; equal to `next` when it is empty."""
    next: Sequence = key(7)
    """The sequence that the next event will get."""
    nonce: Nonce = key(8)
    boot: U32 = key(9)
    uptime_ms: Uint = key(10)
    key_id: KeyId | None = key(11, None)
    """Which key it holds (`proofs.key_id`); None for none, and from version 1 on."""
    hardware: Name | None = key(12, None)
    """Model, revision and serial number, for people."""


class Ready(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: proof that I hold the key, and that this HELLO is not a replay."""

    number: ClassVar[int] = 0x02
    mac: Mac = key(1)


class EventMessage(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: something happened. `body` is read by `codec.decode_event_body`."""

    number: ClassVar[int] = 0x03
    generation: U32 = key(1)
    sequence: Sequence = key(2)
    boot: U32 = key(3)
    uptime_ms: Uint = key(4)
    """Uptime when it happened, in the boot `boot`."""
    sent_uptime_ms: Uint = key(5)
    """Uptime at this sending, in the present boot (the one that HELLO named)."""
    session: U32 = key(6)
    """The customer session; 0 where no customer is concerned."""
    kind: U8 = key(7)
    body: dict[Any, Any] = key(8)
    raw: bytes = b""
    """The CBOR body as it came, for the dead letters; never on the wire."""


class Ask(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: a customer stands here, what shall I show? Outside the sequence, never stored."""

    number: ClassVar[int] = 0x04
    session: U32 = key(1)
    nonce: Nonce = key(2)
    token: Annotated[str, Meta(min_length=1, max_length=128)] | None = key(3, None)
    """A loyalty token, if one was shown. It travels here and nowhere else."""
    dial: Annotated[int, Meta(ge=0, le=100)] | None = key(4, None)
    mood: Name | None = key(5, None)
    avoid: Annotated[tuple[Name, ...], Meta(max_length=MAX_AVOIDED)] = key(6, ())
    """Allergens that the customer must not get. Version 2."""
    adult: bool = key(7, False)
    """Whether somebody, or something, has checked that the customer is one. Version 2."""

    def __repr__(self) -> str:
        token = "none" if self.token is None else "withheld"
        # what a customer must not get is nobody else's business, either
        return f"Ask(session={self.session}, token={token}, dial={self.dial}, mood={self.mood})"


class Pong(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: I am here."""

    number: ClassVar[int] = 0x05
    nonce: Nonce = key(1)


class Channel(enum.IntEnum):
    """What a sensor measures, and the unit of its values."""

    FLOW = 1
    """Pulses of a nozzle's flow meter in the period."""
    LEVEL = 2
    """ml in a nozzle's bottle."""
    TEMPERATURE = 3
    """Hundredths of a degree Celsius, in the cabinet."""
    DOOR = 4
    """1: open."""
    DRIP_TRAY = 5
    """1: full."""


class Series(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive values of one sensor: `[channel, nozzle (0: the whole dispenser), [value, ...]]`, the newest last."""

    channel: U8
    nozzle: U8
    values: Annotated[tuple[int, ...], Meta(min_length=1, max_length=MAX_VALUES)]


class Sample(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: what the sensors read. May be shed by either side. Version 2."""

    number: ClassVar[int] = 0x06
    uptime_ms: Uint = key(1)
    """Of each series' last value, in the present boot."""
    period_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = key(2)
    """Between two values."""
    series: Annotated[tuple[Series, ...], Meta(min_length=1, max_length=MAX_SERIES)] = key(3)
    shed: U32 = key(4, 0)
    """SAMPLEs that this dispenser has not sent since its boot, since the line was needed for more."""


Outcome = Literal["running", "done", "refused", "failed", "expired", "interrupted", "unsupported"]


class Result(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Dispenser -> gateway: what became of a command. Version 2."""

    number: ClassVar[int] = 0x07
    command: Nonce = key(1)
    outcome: Outcome = key(2)
    detail: Detail = key(3, "")
    measured: dict[Any, Any] | None = key(4, None)
    """Read by `codec.decode_measured`."""


class Welcome(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: I know you; go on after `durable`."""

    number: ClassVar[int] = 0x81
    version: U8 = key(1)
    time_ms: Uint = key(2)
    """Unix time in ms; 0 while the gateway does not know it."""
    window: Annotated[int, Meta(ge=1, le=1024)] = key(3)
    """Events that may be under way without an ACK."""
    generation: U32 = key(4)
    durable: Uint = key(5)
    """Every sequence of `generation` up to this one is on disk here; 0 for none."""
    nonce: Nonce = key(6)
    mac: Mac = key(7)
    confirm: Annotated[tuple[U8, ...], Meta(max_length=MAX_NOZZLES)] = key(8, ())
    """The nozzles that pour only after the customer has confirmed it. Version 2."""


class HelloRequest(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: say HELLO (again)."""

    number: ClassVar[int] = 0x82


RejectReason = Literal["version", "unadopted", "bad_mac", "malformed", "stale_ring", "replaced"]


class Reject(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: I won't talk to you, because."""

    number: ClassVar[int] = 0x83
    reason: RejectReason = key(1)
    versions: Annotated[tuple[U8, ...], Meta(max_length=MAX_VERSIONS)] = key(2, ())
    detail: Detail = key(3, "")
    nonce: Nonce | None = key(4, None)
    """nonce_d of the HELLO that this answers, if it answers one."""


class Ack(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: all events of `generation` up to `sequence` are on disk; free them."""

    number: ClassVar[int] = 0x84
    generation: U32 = key(1)
    sequence: Uint = key(2)
    window: Annotated[int, Meta(ge=0, le=1024)] | None = key(3, None)
    """Events that may be under way from now on; 0: keep them, until an ACK with another. None leaves it. Version 2."""


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


class Picks(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: show these. Answers the ASK with the same nonce."""

    number: ClassVar[int] = 0x85
    nonce: Nonce = key(1)
    pick_id: PickId = key(2)
    picks: Annotated[tuple[PickInfo, ...], Meta(max_length=MAX_NOZZLES)] = key(3)


class Ping(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: say PONG if you are there."""

    number: ClassVar[int] = 0x86
    nonce: Nonce = key(1)


class Command(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: do this, once, and say what became of it. Version 2."""

    number: ClassVar[int] = 0x87
    id: Nonce = key(1)
    verb: Name = key(2)
    boot: U32 = key(3)
    """The boot that `expires_uptime_ms` belongs to; a copy of another boot is not carried out."""
    expires_uptime_ms: Uint = key(4)
    """The dispenser's uptime after which it must not begin."""
    arguments: dict[Any, Any] = key(5)
    """Read by `codec.decode_arguments`."""

    def __repr__(self) -> str:
        return f"Command(id={self.id.hex()}, verb={self.verb!r})"  # arguments may be a key


class Provision(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser without a key: this is yours from now on. Only to one that speaks version 2."""

    number: ClassVar[int] = 0x88
    nonce: Nonce = key(1)
    """nonce_d of the HELLO that this answers."""
    secret: Key = key(2)

    def __repr__(self) -> str:
        return "Provision(secret=withheld)"


LOOK_S = 60
"""s for which one LOOK is good at most."""


class Look(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Gateway -> dispenser: somebody looks at your sensors; read them as often as while something flows. Version 2."""

    number: ClassVar[int] = 0x89
    seconds: Annotated[int, Meta(ge=1, le=LOOK_S)] = key(1)
    """From now on; then as often as before, unless another LOOK came."""


UpMessage = Hello | Ready | EventMessage | Ask | Pong | Sample | Result
DownMessage = Welcome | HelloRequest | Reject | Ack | Picks | Ping | Command | Provision | Look
Message = UpMessage | DownMessage

BY_NUMBER: dict[int, type[Message]] = {
    cls.number: cls
    for cls in (
        *(Hello, Ready, EventMessage, Ask, Pong, Sample, Result),
        *(Welcome, HelloRequest, Reject, Ack, Picks, Ping, Command, Provision, Look),
    )
}
OPENING = (Hello, Ready, Welcome, HelloRequest, Reject, Provision)
"""They open a link, and are written as version 1 whatever will be spoken on it."""
SINCE = dict.fromkeys((Sample, Result, Command, Look), 2)
"""The version that brought a message; the others are in every one."""
