"""The gateway's side of one link session with one dispenser. Pure: messages and the time in, actions out.

    OPENING --HELLO--> PROVING --READY--> OPEN --(silence, replaced)--> CLOSED

A HELLO in any state but CLOSED starts the opening anew, so a dispenser that rebooted, or whose ring overflowed, is
understood at once; one in another dispenser's name takes an open link over only with its READY. Events flow by
go-back-N: the session lets them through in order only, repeats its cumulative ACK for whatever it has already made
durable, and stays silent about what is still on its way to disk. It acknowledges only through `committed`, which the
owner calls after the commit.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from firmware_bridge.messages import (
    VERSION,
    Ack,
    Ask,
    DownMessage,
    EventMessage,
    Hello,
    HelloRequest,
    Message,
    Ping,
    Pong,
    Ready,
    Reject,
    RejectReason,
    Welcome,
    ready_mac,
    welcome_mac,
)
from heat.identity import SOURCE_NAME

WINDOW = 128
"""Events under way without an ACK: 8 kB, or 0.7 s of a line at 115,200 baud, so that a commit never stalls it."""
FULL_WINDOW_BAUD = 115_200
"""Baud from which on a dispenser may have the whole window."""
SMALLEST_WINDOW = 8
PING_AFTER_MS = 2_000
"""ms of silence after which the gateway asks."""
SILENT_AFTER_MS = 6_000
"""ms of silence after which the link counts as lost: three unanswered pings."""
HELLO_REQUEST_EVERY_MS = 1_000
"""ms between invitations while no HELLO has come."""


def window_for(baud: int) -> int:
    """The window of a line with this rate: what it carries in 0.7 s. 10 events at 9,600 baud, 128 from 115,200 on.

    More would only be sent in vain after a lost frame.
    """
    return min(max(WINDOW * baud // FULL_WINDOW_BAUD, SMALLEST_WINDOW), WINDOW)


class State(enum.Enum):
    """Where a link session stands."""

    OPENING = "opening"
    PROVING = "proving"
    OPEN = "open"
    CLOSED = "closed"


# -- actions --------------------------------------------------------------------------------------------------------


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
class Closed:
    """The session is over; the owner closes the link or opens another session on it."""

    reason: str


Action = Send | Opened | Arrived | Asked | Closed


class Registry(Protocol):
    """What a session must know of dispensers; the gateway answers from memory."""

    def key_of(self, dispenser: str) -> bytes | None:
        """The dispenser's key, or None if nobody adopted it."""

    def durable(self, dispenser: str, generation: int) -> int:
        """The highest sequence up to which every event of this generation is on disk or known to be lost."""

    def clock_ms(self) -> int:
        """Unix time in ms, 0 while it is unknown."""


@dataclass(slots=True)
class Counters:
    """What a session saw; sums over sessions become metrics."""

    events: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    held_back: int = 0
    unexpected: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class LinkSession:
    """One dispenser on one link, seen from the gateway. `random_bytes(n)` makes nonces."""

    def __init__(
        self, registry: Registry, random_bytes: Callable[[int], bytes], now_ms: int, *, window: int = WINDOW
    ) -> None:
        self.state = State.OPENING
        self.hello: Hello | None = None
        """Who proved itself last; None before anybody has."""
        self._offered: Hello | None = None
        """Who still has to prove itself."""
        self.counters = Counters()
        self._registry = registry
        self._random_bytes = random_bytes
        self._window = window
        self._nonce_g = b""
        self._expected = 1
        self._durable = 0
        self._heard_ms = now_ms
        self._asked_ms = now_ms - HELLO_REQUEST_EVERY_MS

    @property
    def dispenser(self) -> str | None:
        """Who is at the other end, once proved."""
        return self.hello.dispenser if self.hello is not None and self.state is State.OPEN else None

    @property
    def alive(self) -> bool:
        """Whether the session still takes messages."""
        return self.state is not State.CLOSED

    def feed(self, message: Message, now_ms: int, *, room: bool = True) -> list[Action]:
        """Take one message. With `room` false an event is left on the dispenser, which sends it again later."""
        self._heard_ms = now_ms
        if self.state is State.CLOSED:
            return []
        match message:
            case Hello():
                return self._on_hello(message)
            case Ready() if self._offered is not None:
                return self._on_ready(message, self._offered)
            case EventMessage() if self.state is State.OPEN:
                return self._on_event(message, room)
            case Ask() if self.state is State.OPEN:
                return [Asked(message)]
            case Pong():
                return []
            case EventMessage() | Ask() if self.state in (State.OPENING, State.PROVING):
                # a restart here, or a READY lost on the line: the dispenser believes that the link is open
                return self._invite(now_ms)
            case _:
                self.counters.unexpected += 1
                return []

    def committed(self, generation: int, sequence: int) -> list[Action]:
        """Every event of `generation` up to `sequence` is on disk: acknowledge."""
        if self.hello is None or generation != self.hello.generation or sequence <= self._durable:
            return []
        self._durable = sequence
        # what an earlier link left on its way to disk is known now, and the dispenser won't send it again
        self._expected = max(self._expected, sequence + 1)
        return [Send(Ack(generation=generation, sequence=sequence))] if self.state is State.OPEN else []

    def rewind(self) -> None:
        """An event that was let through could not be stored: expect it, and what followed it, once more."""
        self._expected = self._durable + 1

    def tick(self, now_ms: int) -> list[Action]:
        """What is due by the clock: an invitation, a ping, or the end. Call it about once a second."""
        silence = now_ms - self._heard_ms
        match self.state:
            case State.CLOSED:
                return []
            case State.OPENING:
                return self._invite(now_ms)
            case State.PROVING:
                if silence >= SILENT_AFTER_MS:
                    self.state, self._offered = State.OPENING, None
                return []
            case State.OPEN:
                if silence >= SILENT_AFTER_MS:
                    return self.close("silent")
                return [Send(Ping(nonce=self._random_bytes(8)))] if silence >= PING_AFTER_MS else []

    def close(self, reason: str) -> list[Action]:
        """End the session. Nothing is acknowledged through it any more."""
        if self.state is State.CLOSED:
            return []
        farewell: list[Action] = [Send(Reject(reason="replaced"))] if reason == "replaced" else []
        self.state = State.CLOSED
        return [*farewell, Closed(reason)]

    # -- by message -------------------------------------------------------------------------------------------------

    def _on_hello(self, hello: Hello) -> list[Action]:
        self._offered = None
        # a stranger has proved nothing yet: the one who has keeps the link
        stays = self.dispenser not in (None, hello.dispenser)
        if not stays:
            self.state, self.hello = State.OPENING, None
        if VERSION not in hello.versions:
            return self._reject("version", f"spoken here: {VERSION}", hello)
        if not SOURCE_NAME.match(hello.dispenser) or hello.lowest > hello.next:
            detail = "dispenser name" if hello.lowest <= hello.next else "lowest above next"
            return self._reject("malformed", detail, hello)
        key = self._registry.key_of(hello.dispenser)
        if key is None:
            return self._reject("unadopted", "no key for this dispenser", hello)
        durable = self._registry.durable(hello.dispenser, hello.generation)
        if hello.next <= durable:
            # its next event would reuse an identity that is already spent, and be taken for a duplicate
            return self._reject("stale_ring", f"sequence {durable} is already on disk: start a new generation", hello)
        self._nonce_g = self._random_bytes(16)
        unsigned = Welcome(
            version=VERSION,
            time_ms=self._registry.clock_ms(),
            window=self._window,
            generation=hello.generation,
            durable=durable,
            nonce=self._nonce_g,
            mac=bytes(32),
        )
        welcome = msgspec.structs.replace(unsigned, mac=welcome_mac(key, hello, unsigned))
        self._offered = hello
        if not stays:
            self.state = State.PROVING
        return [Send(welcome)]

    def _on_ready(self, ready: Ready, hello: Hello) -> list[Action]:
        self._offered = None
        key = self._registry.key_of(hello.dispenser)
        if key is None or not hmac.compare_digest(ready.mac, ready_mac(key, hello, self._nonce_g)):
            if self.state is State.PROVING:
                self.state = State.OPENING
            return self._reject("bad_mac", "the key does not fit", hello)
        # asked again: commits may have come in since the HELLO
        durable = self._registry.durable(hello.dispenser, hello.generation)
        gap = (durable + 1, hello.lowest - 1) if hello.lowest > durable + 1 else None
        self._durable = max(durable, hello.lowest - 1)
        self._expected = self._durable + 1
        self.state, self.hello = State.OPEN, hello
        return [Opened(hello, gap)]

    def _on_event(self, event: EventMessage, room: bool) -> list[Action]:
        assert self.hello is not None  # OPEN has one
        if event.generation != self.hello.generation:
            self.counters.unexpected += 1
            return [Send(HelloRequest())]
        if event.sequence < self._expected:
            self.counters.duplicates += 1
            if event.sequence <= self._durable:
                return [Send(Ack(generation=event.generation, sequence=self._durable))]
            return []  # on its way to disk; its ACK comes with the commit
        if event.sequence > self._expected:
            self.counters.out_of_order += 1
            return []
        if not room or event.sequence > self._durable + 2 * self._window:
            self.counters.held_back += 1
            return []
        self._expected += 1
        self.counters.events += 1
        return [Arrived(event)]

    def _invite(self, now_ms: int) -> list[Action]:
        if now_ms - self._asked_ms < HELLO_REQUEST_EVERY_MS:
            return []
        self._asked_ms = now_ms
        return [Send(HelloRequest())]

    def _reject(self, reason: RejectReason, detail: str, hello: Hello) -> list[Action]:
        self.counters.rejected[reason] = self.counters.rejected.get(reason, 0) + 1
        return [Send(Reject(reason=reason, versions=(VERSION,), detail=detail, nonce=hello.nonce))]
