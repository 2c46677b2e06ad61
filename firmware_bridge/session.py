"""The gateway's side of one link session with one dispenser. Pure: messages and the time in, actions out.

A HELLO in any state but CLOSED starts the opening anew, so a dispenser that rebooted, or whose ring overflowed, is
understood at once; one in another dispenser's name takes an open link over only with its READY. Events flow by
go-back-N: the session lets them through in order only, repeats its cumulative ACK for whatever it has already made
durable, and stays silent about what is still on its way to disk. It acknowledges only through `committed`, which the
owner calls after the commit. While there is no room for events it tells the dispenser to keep them.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from firmware_bridge.actions import (
    Action,
    Arrived,
    Asked,
    Closed,
    Counters,
    Opened,
    Refused,
    Registry,
    Resulted,
    Sampled,
    Send,
)
from firmware_bridge.messages import (
    MAX_NOZZLES,
    SPOKEN,
    VERSIONS,
    Ack,
    Ask,
    EventMessage,
    Hello,
    HelloRequest,
    Message,
    Ping,
    Pong,
    Provision,
    Ready,
    Reject,
    RejectReason,
    Result,
    Sample,
    Welcome,
)
from firmware_bridge.moves import MOVES, Cue, State
from firmware_bridge.proofs import ready_mac, welcome_mac
from firmware_bridge.states import Machine
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


@dataclass(frozen=True, slots=True)
class Terms:
    """What depends on the line."""

    window: int = WINDOW
    """Events that may be under way."""
    private: bool = True
    """Whether nobody else hears what is said on it, so that a key may be."""


TERMS = Terms()


def _flaw(hello: Hello) -> str | None:
    """What is wrong with a HELLO whose fields are right one by one."""
    if not SOURCE_NAME.match(hello.dispenser):
        return "dispenser: 1 to 32 of a-z, 0-9 and -, no - at the ends"
    if hello.lowest > hello.next:
        return f"lowest {hello.lowest} above next {hello.next}"
    if len(hello.nozzles) > MAX_NOZZLES:
        return f"{len(hello.nozzles)} nozzles, at most {MAX_NOZZLES}"
    [(number, times)] = Counter(info.nozzle for info in hello.nozzles).most_common(1) or [(0, 0)]
    return f"nozzle {number} stands {times} times" if times > 1 else None


class LinkSession:
    """One dispenser on one link, seen from the gateway. `random_bytes(n)` makes nonces."""

    def __init__(
        self,
        registry: Registry,
        random_bytes: Callable[[int], bytes],
        now_ms: int,
        terms: Terms = TERMS,
    ) -> None:
        self.hello: Hello | None = None
        """Who proved itself last; None before anybody has."""
        self.version = 1
        """The protocol version that was agreed on with it."""
        self.counters = Counters()
        self._machine = Machine(MOVES, State.OPENING)
        self._offered: tuple[Hello, Welcome] | None = None
        """Who still has to prove itself, and what it was told."""
        self._registry = registry
        self._random_bytes = random_bytes
        self._terms = terms
        self._expected = 1
        self._durable = 0
        self._paused = False
        """Whether the dispenser was told to keep its events."""
        self._heard_ms = now_ms
        self._asked_ms = now_ms - HELLO_REQUEST_EVERY_MS

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._machine.state

    @property
    def dispenser(self) -> str | None:
        """Who is at the other end, once proved."""
        return self.hello.dispenser if self.hello is not None and self.state is State.OPEN else None

    @property
    def private(self) -> bool:
        """Whether a key may be told here."""
        return self._terms.private

    @property
    def alive(self) -> bool:
        """Whether the session still takes messages."""
        return self.state is not State.CLOSED

    def feed(self, message: Message, now_ms: int, *, room: bool = True) -> list[Action]:
        """Take one message. With `room` false an event is left on the dispenser, which is told to keep them."""
        self._heard_ms = now_ms
        if self.state is State.CLOSED:
            return []
        match message:
            case Hello():
                return self._on_hello(message)
            case Ready() if self._offered is not None:
                return self._on_ready(message, *self._offered)
            case EventMessage() if self.state is State.OPEN:
                return self._on_event(message, room)
            case Ask() if self.state is State.OPEN:
                return [Asked(message)]
            case Result() if self.state is State.OPEN:
                return [Resulted(message)]
            case Sample() if self.state is State.OPEN:
                return self._on_sample(message, room)
            case Pong():
                return []
            case EventMessage() | Ask() | Result() | Sample() if self.state in (State.OPENING, State.PROVING):
                # a restart here, or a READY lost on the line: the dispenser believes that the link is open
                return self._invite(now_ms)
            case _:
                self.counters.unexpected += 1
                return []

    def committed(self, generation: int, sequence: int, *, room: bool = True) -> list[Action]:
        """Every event of `generation` up to `sequence` is on disk: acknowledge. `room`: for more."""
        if self.hello is None or generation != self.hello.generation or sequence <= self._durable:
            return []
        self._durable = sequence
        # what an earlier link left on its way to disk is known now, and the dispenser won't send it again
        self._expected = max(self._expected, sequence + 1)
        self._paused = self._paused and not room
        return [self._ack()] if self.state is State.OPEN else []

    def rewind(self) -> None:
        """An event that was let through could not be stored: expect it, and what followed it, once more."""
        self._expected = self._durable + 1

    def tick(self, now_ms: int, *, room: bool = True) -> list[Action]:
        """What is due by the clock: an invitation, a ping, room again, or the end. Call it about once a second."""
        silence = now_ms - self._heard_ms
        match self.state:
            case State.CLOSED:
                return []
            case State.OPENING:
                return self._invite(now_ms)
            case State.PROVING:
                if silence >= SILENT_AFTER_MS:
                    self._offered = None
                    self._machine.move(Cue.UNPROVED)
                return []
            case State.OPEN:
                if silence >= SILENT_AFTER_MS:
                    return self._end(Cue.SILENT, "silent")
                due: list[Action] = [Send(Ping(nonce=self._random_bytes(8)))] if silence >= PING_AFTER_MS else []
                if self._paused and room:
                    self._paused = False
                    due.append(self._ack())
                return due

    def close(self, reason: str) -> list[Action]:
        """End the session. Nothing is acknowledged through it any more."""
        if self.state is State.CLOSED:
            return []
        farewell: list[Action] = [Send(Reject(reason="replaced"))] if reason == "replaced" else []
        return [*farewell, *self._end(Cue.CLOSE, reason)]

    def _end(self, cue: Cue, reason: str) -> list[Action]:
        self._machine.move(cue)
        return [Closed(reason)]

    # -- by message -------------------------------------------------------------------------------------------------

    def _on_hello(self, hello: Hello) -> list[Action]:
        self._offered = None
        spoken = set(VERSIONS).intersection(hello.versions)
        if not spoken:
            return self._reject("version", f"spoken here: {SPOKEN}", hello)
        if (flaw := _flaw(hello)) is not None:
            return self._reject("malformed", flaw, hello)
        version = max(spoken)
        if version >= 2 and hello.key_id is None:
            return self._on_keyless(hello)
        key = self._registry.key_of(hello.dispenser, hello.key_id)
        if key is None:
            detail = "no key for this dispenser" if hello.key_id is None else "its key is not known here"
            return self._reject("unadopted", f"{detail}: adopt it", hello)
        durable = self._registry.durable(hello.dispenser, hello.generation)
        if hello.next <= durable:
            # its next event would reuse an identity that is already spent, and be taken for a duplicate
            return self._reject("stale_ring", f"sequence {durable} is already on disk: start a new generation", hello)
        unsigned = Welcome(
            version=version,
            time_ms=self._registry.clock_ms(),
            window=self._terms.window,
            generation=hello.generation,
            durable=durable,
            nonce=self._random_bytes(16),
            mac=bytes(32),
            confirm=self._registry.to_confirm(hello) if version >= 2 else (),
        )
        welcome = msgspec.structs.replace(unsigned, mac=welcome_mac(key, hello, unsigned))
        self._greeted(Cue.HELLO, hello)
        self._offered = hello, welcome
        return [Send(welcome)]

    def _on_keyless(self, hello: Hello) -> list[Action]:
        secret = self._registry.key_to_provision(hello.dispenser)
        if secret is None:
            return self._reject("unadopted", "it has no key: adopt it", hello)
        if not self._terms.private:
            return self._reject("unadopted", "a key is given on a serial line or over TLS only", hello)
        self._greeted(Cue.KEYLESS_HELLO, hello)
        return [Send(Provision(nonce=hello.nonce, secret=secret))]

    def _greeted(self, cue: Cue, hello: Hello) -> None:
        if self.dispenser not in (None, hello.dispenser):
            # a stranger has proved nothing yet: the one who has keeps the link
            self._machine.move(Cue.STRANGER)
            return
        self.hello = None
        self._machine.move(cue)

    def _on_ready(self, ready: Ready, hello: Hello, welcome: Welcome) -> list[Action]:
        self._offered = None
        key = self._registry.key_of(hello.dispenser, hello.key_id)
        if key is None or not hmac.compare_digest(ready.mac, ready_mac(key, hello, welcome)):
            self._machine.move(Cue.BAD_READY if self.state is State.PROVING else Cue.STRANGER)
            return self._tell("bad_mac", "the key does not fit", hello)
        # asked again: commits may have come in since the HELLO
        durable = self._registry.durable(hello.dispenser, hello.generation)
        gap = (durable + 1, hello.lowest - 1) if hello.lowest > durable + 1 else None
        self._durable = max(durable, hello.lowest - 1)
        self._expected = self._durable + 1
        self._machine.move(Cue.READY)
        self.hello, self.version, self._paused = hello, welcome.version, False
        return [Opened(hello, gap)]

    def _on_event(self, event: EventMessage, room: bool) -> list[Action]:
        assert self.hello is not None  # OPEN has one
        if event.generation != self.hello.generation:
            self.counters.unexpected += 1
            return [Send(HelloRequest())]
        if event.sequence < self._expected:
            self.counters.duplicates += 1
            # what is on its way to disk is acknowledged by its commit
            return [self._ack()] if event.sequence <= self._durable else []
        if event.sequence > self._expected:
            self.counters.out_of_order += 1
            return []
        if not room or event.sequence > self._durable + 2 * self._terms.window:
            self.counters.held_back += 1
            return self._pause() if not room else []
        self._expected += 1
        self.counters.events += 1
        return [Arrived(event)]

    def _on_sample(self, sample: Sample, room: bool) -> list[Action]:
        if not room:
            self.counters.samples_shed += 1
            return []
        self.counters.samples += 1
        return [Sampled(sample)]

    def _pause(self) -> list[Action]:
        """Tell the dispenser to keep its events; one of version 1 finds out by itself that it gets no ACK."""
        if self.version < 2:
            return []
        self._paused = True
        return [self._ack()]

    def _ack(self) -> Send:
        assert self.hello is not None
        window = None if self.version < 2 else 0 if self._paused else self._terms.window
        return Send(Ack(generation=self.hello.generation, sequence=self._durable, window=window))

    def _invite(self, now_ms: int) -> list[Action]:
        if now_ms - self._asked_ms < HELLO_REQUEST_EVERY_MS:
            return []
        self._asked_ms = now_ms
        return [Send(HelloRequest())]

    def _reject(self, reason: RejectReason, detail: str, hello: Hello) -> list[Action]:
        self._greeted(Cue.BAD_HELLO, hello)
        return self._tell(reason, detail, hello)

    def _tell(self, reason: RejectReason, detail: str, hello: Hello) -> list[Action]:
        self.counters.rejected[reason] = self.counters.rejected.get(reason, 0) + 1
        reject = Reject(reason=reason, versions=VERSIONS, detail=detail, nonce=hello.nonce)
        return [Send(reject), Refused(hello, reason, detail)]
