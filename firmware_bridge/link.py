"""One live link: a transport below, a link session in the middle, the gateway above.

Transports hand over messages; the session decides; events go up as `Delivery` values that carry their own
acknowledgement, so that nobody but the one who committed an event can acknowledge it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from firmware_bridge.actions import Action, Arrived, Asked, Closed, Opened, Refused, Registry, Resulted, Sampled, Send
from firmware_bridge.codec import BadMessage
from firmware_bridge.framing import BadFrame
from firmware_bridge.messages import (
    SINCE,
    Ask,
    Command,
    DownMessage,
    EventMessage,
    Hello,
    HelloRequest,
    Look,
    Message,
    Picks,
    Reject,
    RejectReason,
    Result,
    Sample,
)
from firmware_bridge.moves import State
from firmware_bridge.session import TERMS, LinkSession, Terms


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and what to call once its fate is known; both callables belong to the event loop's thread."""

    event: EventMessage
    hello: Hello
    """What the dispenser said of itself when this link opened: its boot and its name."""
    ack: Callable[[], None]
    """It is on disk."""
    retry: Callable[[], None]
    """It could not be stored: leave it on the dispenser, which will send it again."""


Rival = Literal["other line", "namesake"]
"""Who else has a dispenser's link: the dispenser itself, or one that has its name and key, and another ring."""


class Gate(Protocol):
    """What a link hands things to. All calls are made in the event loop's thread and return at once."""

    def opened(self, link: Link, hello: Hello, gap: tuple[int, int] | None) -> None:
        """A dispenser proved itself. `gap` are sequences that it lost."""

    def rivals(self, link: Link, hello: Hello) -> Rival | None:
        """Who has this dispenser's link, so that a HELLO on this one has to wait; None: it may open it."""

    def closed(self, link: Link, hello: Hello | None, reason: str) -> None:
        """The link session ended; `hello` is who it was, if anybody had proved it."""

    def has_room(self) -> bool:
        """Whether `deliver` may be called now."""

    def deliver(self, delivery: Delivery) -> None:
        """Take an event."""

    def ask(self, link: Link, ask: Ask, read_ns: int) -> None:
        """Answer an ASK through `link.answer`. `read_ns` is `time.monotonic_ns()` when its last byte was read."""

    def sampled(self, link: Link, sample: Sample) -> None:
        """Take sensor readings."""

    def resulted(self, link: Link, result: Result) -> None:
        """Take what became of a command."""

    def refused(self, link: Link, hello: Hello, reason: RejectReason, detail: str) -> None:
        """A dispenser was told to go away, and why."""


class Transport(Protocol):
    """What carries messages down."""

    def send(self, message: DownMessage, version: int, written: Callable[[], None] | None = None) -> None:
        """Queue a message, in the link's protocol version; PICKS overtake.

        `written` is called when its first byte has been written.
        """


def monotonic_ms() -> int:
    """The link timers' clock, ms."""
    return time.monotonic_ns() // 1_000_000


class Link:
    """A dispenser's link, from the first byte to the last."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        registry: Registry,
        gate: Gate,
        *,
        expect: str | None = None,
        terms: Terms = TERMS,
    ) -> None:
        self.name = name
        """The port or topic, for people."""
        self.session = LinkSession(registry, secrets.token_bytes, monotonic_ms(), terms)
        self.bad: Counter[str] = Counter()
        """Bad frames and bad messages by reason."""
        self._transport = transport
        self._registry = registry
        self._gate = gate
        self._expect = expect
        self._ack_due = False

    def receive(self, message: Message, read_ns: int, done: Callable[[], None] | None = None) -> None:
        """Take one message. `done` is called once it has been dealt with; for an event, once it is on disk."""
        if isinstance(message, Hello) and self._expect is not None and message.dispenser != self._expect:
            self.bad["wrong_topic"] += 1
            self._send(Reject(reason="malformed", detail=f"this topic belongs to {self._expect}"))
            actions: list[Action] = []
        elif isinstance(message, Hello) and (rival := self._gate.rivals(self, message)) is not None:
            self._turn_away(message, rival)
            actions = []
        else:
            actions = self.session.feed(message, monotonic_ms(), room=self._gate.has_room())
        arrived = any(isinstance(action, Arrived) for action in actions)
        self._perform(actions, read_ns, done if arrived else None)
        if done is not None and not arrived:
            done()

    def _turn_away(self, hello: Hello, rival: Rival) -> None:
        if rival == "namesake":  # its own other line is as it should be, and not counted
            rejected = self.session.counters.rejected
            rejected["replaced"] = rejected.get("replaced", 0) + 1
        self._send(Reject(reason="replaced", detail="another link of this name is in use", nonce=hello.nonce))

    def receive_bad(self, bad: BadFrame | BadMessage) -> None:
        """Count what was no frame, or no message."""
        self.bad[bad.reason] += 1

    def answer(self, picks: Picks, written: Callable[[], None]) -> None:
        """Send PICKS down, past whatever waits."""
        self._send(picks, written)

    def command(self, command: Command) -> None:
        """Send a COMMAND down. Its RESULT comes to the gate."""
        self._send(command)

    def look(self, seconds: int) -> None:
        """Have the sensors read often for so long. A dispenser of version 1 has none that it tells of."""
        if self.open and self.session.version >= SINCE[Look]:
            self._send(Look(seconds=seconds))

    def invite(self) -> None:
        """Have the dispenser say HELLO again: what it last said of its uptime is too old."""
        self._send(HelloRequest())

    def tick(self) -> None:
        """Let the session's timers run; call it about once a second."""
        self._perform(self.session.tick(monotonic_ms(), room=self._gate.has_room()), 0, None)

    def close(self, reason: str) -> None:
        """End the session."""
        self._perform(self.session.close(reason), 0, None)

    @property
    def open(self) -> bool:
        """Whether a dispenser has proved itself on this link."""
        return self.session.state is State.OPEN

    def _perform(self, actions: list[Action], read_ns: int, done: Callable[[], None] | None) -> None:
        for action in actions:
            match action:
                case Send(message):
                    self._send(message)
                case Arrived(event):
                    self._deliver(event, done)
                case Asked(ask):
                    self._gate.ask(self, ask, read_ns)
                case Opened(hello, gap):
                    self._gate.opened(self, hello, gap)
                case Sampled(sample):
                    self._gate.sampled(self, sample)
                case Resulted(result):
                    self._gate.resulted(self, result)
                case Refused(hello, reason, detail):
                    self._gate.refused(self, hello, reason, detail)
                case Closed(reason):
                    self._gate.closed(self, self.session.hello, reason)

    def _send(self, message: DownMessage, written: Callable[[], None] | None = None) -> None:
        self._transport.send(message, self.session.version, written)

    def _deliver(self, event: EventMessage, done: Callable[[], None] | None) -> None:
        hello = self.session.hello
        assert hello is not None  # events arrive in OPEN only

        def ack() -> None:
            if done is not None:
                done()
            self._acknowledge_soon()

        def retry() -> None:
            if done is not None:
                done()
            self.session.rewind()

        self._gate.deliver(Delivery(event, hello, ack, retry))

    def _acknowledge_soon(self) -> None:
        # one ACK for all events of a commit: their callbacks run in one turn of the loop
        if not self._ack_due:
            self._ack_due = True
            asyncio.get_running_loop().call_soon(self._acknowledge)

    def _acknowledge(self) -> None:
        self._ack_due = False
        hello = self.session.hello
        if hello is not None:
            durable = self._registry.durable(hello.dispenser, hello.generation)
            room = self._gate.has_room()
            self._perform(self.session.committed(hello.generation, durable, room=room), 0, None)
