"""The device's side of a capture, played again. Pure: messages and the time in, bytes out, when they are due.

What is played verbatim: events, questions, samples, results, and whatever was bad, with the pauses between them. What
is done anew, since nonces and keys differ: the opening, wherever one was captured, and answers to PING. An event waits
until the window has room, as the capture's gateway may have been faster than this one; so the capture's own repetitions
are enough.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from firmware_bridge import proofs
from firmware_bridge.capture import Entry
from firmware_bridge.codec import BadMessage, encode_message, encode_packet
from firmware_bridge.messages import (
    Ack,
    Ask,
    EventMessage,
    Hello,
    HelloRequest,
    Message,
    Picks,
    Ping,
    Pong,
    Ready,
    Reject,
    UpMessage,
    Welcome,
)
from heat.errors import DataError
from hw_sim.cast import hello_in, is_packet, message_in

HELLO_AGAIN_MS = 1_000
PATIENCE_MS = 30_000
"""ms without an answer that is needed to go on, after which a replay ends. A gateway may have to be started first."""
ANEW = ("ready", "pong")
"""What a capture has and a replay makes by itself."""


@dataclass(slots=True)
class Told:
    """What a replay did, and what it was told."""

    sent: int = 0
    """Pieces played, the bad ones too."""
    events: set[tuple[int, int]] = field(default_factory=set)
    """Those played, by generation and sequence."""
    acked: dict[int, int] = field(default_factory=dict)
    """The highest sequence on disk, by generation."""
    asked: set[bytes] = field(default_factory=set)
    """The nonces of the questions played."""
    answered: set[bytes] = field(default_factory=set)
    """The nonces of the picks that came."""
    withheld: int = 0
    """Pieces whose bytes the capture does not have."""
    failed: str | None = None
    """Why it ended early."""

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come: all is acknowledged and answered, or it ended early."""
        return self.failed is not None or (not self.unacked and self.asked <= self.answered)

    @property
    def unacked(self) -> int:
        """Events played that the gateway has not acknowledged."""
        return sum(sequence > self.acked.get(generation, 0) for generation, sequence in self.events)


class Player:
    """Plays one role of a capture (`cast`). `speed` 2 halves the pauses, 0 leaves them out.

    Raises:
        DataError: there is no HELLO in it.
    """

    def __init__(
        self, entries: Iterable[Entry], key: bytes, random_bytes: Callable[[int], bytes], speed: float = 1.0
    ) -> None:
        self._entries = [entry for entry in entries if entry.way == "up"]
        self._framed = not any(map(is_packet, self._entries))
        first = next((entry for entry in self._entries if entry.is_ == "hello"), None)
        if first is None:
            raise DataError("what has no HELLO can't be played: whose it is is not known")
        self._hello = hello_in(first)
        self.dispenser = self._hello.dispenser
        self.told = Told()
        self._key = key
        self._random_bytes = random_bytes
        self._speed = speed
        self._at = self._entries.index(first)
        self._due_ms: float | None = None
        self._out: deque[bytes] = deque()
        self._welcome: Welcome | None = None
        """The opening that holds; None while one is to be made."""
        self._said_ms: float | None = None
        self._waits_since_ms: float | None = None
        self._window = 1

    @property
    def over(self) -> bool:
        """Whether all is played and the link is open, or it can't go on."""
        return self.told.failed is not None or (self._played_all and self._welcome is not None and not self._out)

    @property
    def _played_all(self) -> bool:
        return self._at >= len(self._entries)

    def feed(self, message: Message | BadMessage) -> None:
        """Take a message from the gateway."""
        match message:
            case Welcome() if self._proves(message):
                self._welcome, self._window = message, message.window
                self._acknowledge(message.generation, message.durable)
                self._say(Ready(mac=proofs.ready_mac(self._key, self._hello, message)))
            case HelloRequest() if self._welcome is not None:
                self._begin_anew()
            case Reject(nonce=nonce, reason=reason) if nonce in (None, self._hello.nonce):
                self.told.failed = f"the gateway said REJECT: {reason}"
            case Ack(window=window):
                self._window = self._window if window is None else window
                self._acknowledge(message.generation, message.sequence)
            case Ping(nonce=nonce):
                self._say(Pong(nonce=nonce))
            case Picks(nonce=nonce):
                self.told.answered.add(nonce)
            case _:
                pass  # a command, say: what came of it is in the capture

    def next_bytes(self, now_ms: float) -> bytes | None:
        """What to send now; None while there is nothing."""
        if self._out:
            return self._out.popleft()
        if self.over:
            return None
        if self._played_all:
            return self._greet(now_ms) if self._welcome is None else None
        entry = self._entries[self._at]
        if self._due_ms is None:
            self._due_ms = now_ms
        if now_ms < self._due_ms:
            return None
        if entry.is_ == "hello" and self._is_opening(entry):
            return self._open(entry, now_ms)
        if self._welcome is None:
            return self._greet(now_ms)
        data = self._played(entry)
        if data is not None and self._waits(entry, now_ms):
            return None
        self._go_on(now_ms)
        return data if data is not None else self.next_bytes(now_ms)

    # -- the opening --------------------------------------------------------------------------------------------------

    def _is_opening(self, entry: Entry) -> bool:
        """Whether this HELLO was answered, so that the device went on by it."""
        following = next((e.is_ for e in self._entries[self._at + 1 :] if e.is_ in ("hello", "ready")), None)
        return entry.before or following == "ready" or self._welcome is None

    def _open(self, entry: Entry, now_ms: float) -> bytes | None:
        self._hello, self._welcome = self._said(entry), None
        self._go_on(now_ms)
        self._said_ms = self._waits_since_ms = None
        return self._greet(now_ms)

    def _greet(self, now_ms: float) -> bytes | None:
        """HELLO, again and again, until there is a WELCOME."""
        if self._gives_up(now_ms, "no WELCOME came"):
            return None
        if self._said_ms is not None and now_ms - self._said_ms < HELLO_AGAIN_MS:
            return None
        self._said_ms = now_ms
        self._hello = self._fresh(self._hello)
        return self._encode(self._hello)

    def _said(self, entry: Entry) -> Hello:
        """The HELLO of an opening. Of a link that was open before the trace, what came before it is as good as lost."""
        hello = hello_in(entry)
        if not entry.before:
            return hello
        events = (message_in(later) for later in self._entries[self._at + 1 :] if later.is_ == "event")
        first = next((event.sequence for event in events if isinstance(event, EventMessage)), hello.next)
        return msgspec.structs.replace(hello, lowest=max(hello.lowest, first), next=max(hello.next, first))

    def _begin_anew(self) -> None:
        self._welcome, self._said_ms, self._waits_since_ms = None, None, None

    def _fresh(self, hello: Hello) -> Hello:
        key_id = proofs.key_id(self._key) if hello.key_id is not None else None
        return msgspec.structs.replace(hello, nonce=self._random_bytes(16), key_id=key_id)

    def _proves(self, welcome: Welcome) -> bool:
        return self._welcome is None and hmac.compare_digest(
            welcome.mac, proofs.welcome_mac(self._key, self._hello, welcome)
        )

    # -- what is played -----------------------------------------------------------------------------------------------

    def _played(self, entry: Entry) -> bytes | None:
        """What an entry puts on the line, if anything."""
        if entry.is_ in ANEW:
            return None
        if entry.hex is None:
            self.told.withheld += 1
            return None
        return self._encode(self._fresh(hello_in(entry))) if entry.is_ == "hello" else entry.data

    def _waits(self, entry: Entry, now_ms: float) -> bool:
        """Whether this is an event for which the window has no room yet."""
        event = message_in(entry) if entry.is_ in ("event", "ask") else None
        if isinstance(event, Ask):
            self.told.asked.add(event.nonce)
        elif isinstance(event, EventMessage):
            done = self.told.acked.get(event.generation, self._hello.lowest - 1)
            if event.sequence > max(done, self._hello.lowest - 1) + self._window:
                self._gives_up(now_ms, f"no ACK came that makes room for event {event.sequence}")
                return True
            self.told.events.add((event.generation, event.sequence))
        self.told.sent += 1
        return False

    def _go_on(self, now_ms: float) -> None:
        """To the next entry, after the pause that was before it."""
        before = self._entries[self._at].ms
        self._at += 1
        self._waits_since_ms = None
        if not self._played_all:
            pause_ms = (self._entries[self._at].ms - before) / self._speed if self._speed else 0.0
            self._due_ms = now_ms + pause_ms

    def _gives_up(self, now_ms: float, why: str) -> bool:
        if self._waits_since_ms is None:
            self._waits_since_ms = now_ms
        if now_ms - self._waits_since_ms >= PATIENCE_MS:
            self.told.failed = f"{why} within {PATIENCE_MS // 1000} s"
        return self.told.failed is not None

    def _acknowledge(self, generation: int, sequence: int) -> None:
        self.told.acked[generation] = max(self.told.acked.get(generation, 0), sequence)
        self._waits_since_ms = None

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _say(self, message: UpMessage) -> None:
        self._out.append(self._encode(message))

    def _encode(self, message: UpMessage) -> bytes:
        version = self._welcome.version if self._welcome is not None else 1
        return encode_message(message, version) if self._framed else encode_packet(message, version)
