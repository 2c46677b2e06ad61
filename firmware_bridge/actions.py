"""What a link session asks its owner to do, what it asks of the gateway, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from firmware_bridge.messages import Ask, DownMessage, EventMessage, Hello, RejectReason, Result, Sample


@dataclass(frozen=True, slots=True)
class Send:
    """Put this message on the link."""

    message: DownMessage


@dataclass(frozen=True, slots=True)
class Opened:
    """The dispenser proved itself. `gap` is the range of sequences that its ring lost for ever, if any."""

    hello: Hello
    gap: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """The next event in sequence; `committed` is due once it is on disk."""

    event: EventMessage


@dataclass(frozen=True, slots=True)
class Asked:
    """A customer waits for picks."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Sampled:
    """Sensor readings."""

    sample: Sample


@dataclass(frozen=True, slots=True)
class Resulted:
    """What became of a command."""

    result: Result


@dataclass(frozen=True, slots=True)
class Refused:
    """A dispenser was told to go away, and why."""

    hello: Hello
    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over; the owner closes the link or opens another session on it."""

    reason: str


Action = Send | Opened | Arrived | Asked | Sampled | Resulted | Refused | Closed


class Registry(Protocol):
    """What a session must know of dispensers; the gateway answers from memory."""

    def key_of(self, dispenser: str, key_id: bytes | None) -> bytes | None:
        """The dispenser's key with this id (None: it does not say which it has), or None if there is no such one."""

    def key_to_provision(self, dispenser: str) -> bytes | None:
        """The key that a dispenser which has none is to get, if somebody has just adopted it."""

    def durable(self, dispenser: str, generation: int) -> int:
        """The highest sequence up to which every event of this generation is on disk or known to be lost."""

    def clock_ms(self) -> int:
        """Unix time in ms, 0 while it is unknown."""

    def to_confirm(self, hello: Hello) -> tuple[int, ...]:
        """The nozzles of the dispenser that pour only after a confirmation."""


@dataclass(slots=True)
class Counters:
    """What a session saw; sums over sessions become metrics."""

    events: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    held_back: int = 0
    unexpected: int = 0
    samples: int = 0
    samples_shed: int = 0
    """SAMPLEs that came while there was no room for events."""
    rejected: dict[str, int] = field(default_factory=dict)
