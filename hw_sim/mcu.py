"""The firmware's side of the wire. Pure: messages and the uptime in, the next message out, on demand.

A line takes its next message only when it is free to send one (`next_message`), so an ASK overtakes any number of
queued events, which go by `go_back_n`; a SAMPLE goes when nothing else is to be sent, and is shed when the next one is
there before.

A new HELLO is due whenever the two sides can't agree by themselves: an event that the gateway still needs was pushed
out of the ring, the gateway asks for it, it has been silent, or resending changed nothing (a lost READY).
"""

from __future__ import annotations

import enum
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from firmware_bridge import proofs
from firmware_bridge.messages import (
    VERSIONS,
    Ack,
    Ask,
    Command,
    Hello,
    HelloRequest,
    Look,
    Message,
    NozzleInfo,
    Picks,
    Ping,
    Pong,
    Provision,
    Ready,
    Reject,
    Result,
    Sample,
    UpMessage,
    Welcome,
)
from firmware_bridge.states import Machine
from hw_sim.go_back_n import GoBackN
from hw_sim.question import Question
from hw_sim.ring import Ring

HELLO_AGAIN_MS = 1_000
"""ms without a WELCOME after which HELLO is said again; doubles up to `HELLO_SLOWEST_MS`."""
HELLO_SLOWEST_MS = 30_000
HELLO_ANSWERED_MS = 500
"""ms; a HELLO_REQUEST so soon after a HELLO has crossed it on the line."""
BACK_OFF_MS = 1_000
"""ms of silence after a REJECT; doubles up to `BACK_OFF_SLOWEST_MS`, so an adopted dispenser is there within 8 s."""
BACK_OFF_SLOWEST_MS = 8_000
SLACK_BYTES = 512
"""Bytes on the line that every wait for an answer allows for, 10 bits each: 0.53 s at 9,600 baud. An event and its ACK
are 80, an ASK and its PICKS 400, and an event may be under way before them."""
SILENT_MS = 10_000
"""ms without a byte from the gateway, which pings after 2 s, before HELLO is said again."""


RESULTS = 16
"""RESULTs that may wait for the line."""


class LinkState(enum.Enum):
    """Where the link stands, as the dispenser sees it."""

    DOWN = "down"
    GREETING = "greeting"
    WAITING = "waiting"
    PROVING = "proving"
    OPEN = "open"
    BACKING_OFF = "backing off"


class Cue(enum.Enum):
    """What moves the link."""

    LINK_UP = "link up"
    LINK_DOWN = "link down"
    SAY_HELLO = "line free / HELLO"
    HELLO_AGAIN = "timer / HELLO"
    WELCOME = "good WELCOME"
    SAY_READY = "line free / READY"
    ASKED = "HELLO_REQUEST"
    RENEWED = "REJECT stale_ring / new generation"
    PROVISIONED = "PROVISION / keep the key"
    REJECTED = "any other REJECT"
    LOST = "silence, stuck, nozzles changed"


_UP = (LinkState.GREETING, LinkState.WAITING, LinkState.PROVING, LinkState.OPEN, LinkState.BACKING_OFF)
MOVES: dict[tuple[LinkState, Cue], LinkState] = {
    (LinkState.DOWN, Cue.LINK_UP): LinkState.GREETING,
    (LinkState.GREETING, Cue.SAY_HELLO): LinkState.WAITING,
    (LinkState.WAITING, Cue.HELLO_AGAIN): LinkState.WAITING,
    (LinkState.WAITING, Cue.WELCOME): LinkState.PROVING,
    (LinkState.PROVING, Cue.SAY_READY): LinkState.OPEN,
    (LinkState.WAITING, Cue.ASKED): LinkState.GREETING,
    (LinkState.OPEN, Cue.ASKED): LinkState.GREETING,
    (LinkState.OPEN, Cue.LOST): LinkState.GREETING,
    (LinkState.WAITING, Cue.RENEWED): LinkState.GREETING,
    (LinkState.WAITING, Cue.PROVISIONED): LinkState.GREETING,
    (LinkState.WAITING, Cue.REJECTED): LinkState.BACKING_OFF,
    (LinkState.OPEN, Cue.REJECTED): LinkState.BACKING_OFF,
    (LinkState.BACKING_OFF, Cue.HELLO_AGAIN): LinkState.WAITING,
    **{(state, Cue.LINK_DOWN): LinkState.DOWN for state in _UP},
}
"""`docs/protocol.md` draws it."""


class Panel(Protocol):
    """What the firmware knows and shows of the dispenser around it."""

    def nozzles(self) -> tuple[NozzleInfo, ...]:
        """The nozzles, as HELLO tells of them."""

    def show(self, picks: Picks) -> None:
        """Put picks on the screen."""

    def show_own_choice(self) -> None:
        """No picks came."""

    def keep_key(self, key: bytes) -> None:
        """Keep the gateway's key, for ever."""

    def keep_confirm(self, nozzles: tuple[int, ...]) -> None:
        """Keep which nozzles pour only after a confirmation, until another WELCOME."""

    def carry_out(self, command: Command, now_ms: int) -> Result | None:
        """Do what a command says, or say again what became of it; None: a copy that concerns nobody."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a dispenser is. `key` is shared with the gateway alone; None from the factory, until it is adopted."""

    dispenser: str
    firmware: str
    key: bytes | None = field(repr=False)
    hardware: str | None = None
    versions: tuple[int, ...] = VERSIONS
    """The protocol versions that it speaks."""


@dataclass(slots=True)
class Counters:
    """What happened on the link since the boot."""

    hellos: int = 0
    opened: int = 0
    foreign_welcomes: int = 0
    rejected: int = 0
    unexpected: int = 0
    samples_shed: int = 0


class Mcu:
    """One dispenser's firmware. `random_bytes(n)` makes nonces; `renew()` gives the ring another generation."""

    def __init__(
        self,
        identity: Identity,
        ring: Ring,
        panel: Panel,
        random_bytes: Callable[[int], bytes],
        renew: Callable[[], None],
    ) -> None:
        self.identity = identity
        self.key = identity.key
        self.version = 1
        """The protocol version of the link."""
        self.counters = Counters()
        self._machine = Machine(MOVES, LinkState.DOWN)
        self._ring = ring
        self._panel = panel
        self._random_bytes = random_bytes
        self._renew = renew
        self._hello: Hello | None = None
        self._ready: Ready | None = None
        self._pong: Pong | None = None
        self._question: Question | None = None
        self._results: deque[Result] = deque(maxlen=RESULTS)
        self._sample: Sample | None = None
        self._hello_ms = self._heard_ms = self._due_ms = 0
        self._hello_again_ms, self._back_off_ms = HELLO_AGAIN_MS, BACK_OFF_MS
        self._flow = GoBackN(ring)
        self._window, self._base = 1, 1
        self._slack_ms = 0
        self._looked_at_ms = 0
        """Until this uptime."""

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._machine.state

    # -- the line's side ----------------------------------------------------------------------------------------------

    def link_up(self, now_ms: int, baud: int = 0) -> None:
        """A cable, or a broker, is there. `baud` 0: bytes take no time."""
        self._slack_ms = SLACK_BYTES * 10_000 // baud if baud else 0
        self._hello_again_ms, self._back_off_ms = HELLO_AGAIN_MS + self._slack_ms, BACK_OFF_MS
        self._flow.link_up(self._slack_ms)
        self._heard_ms = now_ms
        if self.state is not LinkState.DOWN:
            self.link_down()  # it was away, and nobody noticed
        self._machine.move(Cue.LINK_UP)

    def link_down(self) -> None:
        """It is gone. What was under way is sent again after the next opening."""
        if self.state is not LinkState.DOWN:
            self._machine.move(Cue.LINK_DOWN)
        self._pong = None

    def feed(self, message: Message, now_ms: int) -> None:
        """Take one message from the gateway."""
        if self.state is LinkState.DOWN:
            return
        self._heard_ms = now_ms
        match message:
            case Welcome():
                self._on_welcome(message)
            case HelloRequest():
                self._on_hello_request(now_ms)
            case Reject():
                self._on_reject(message, now_ms)
            case Ack() if self.state is LinkState.OPEN:
                self._on_ack(message, now_ms)
            case Picks():
                self._on_picks(message)
            case Ping():
                self._pong = Pong(nonce=message.nonce)
            case Command() | Look() if self.state is LinkState.OPEN:
                self._on_told(message, now_ms)
            case Provision():
                self._on_provision(message)
            case _:
                self.counters.unexpected += 1

    def next_message(self, now_ms: int) -> UpMessage | None:
        """The message to send now that the line is free, or None while there is none (see `due_ms`)."""
        self._expire_question(now_ms)
        if self.state is LinkState.OPEN and (now_ms - self._heard_ms >= SILENT_MS or self._flow.is_stuck(now_ms)):
            self._machine.move(Cue.LOST)
        match self.state:
            case LinkState.WAITING | LinkState.BACKING_OFF if now_ms >= self._due_ms:
                return self._greet(now_ms, Cue.HELLO_AGAIN)
            case LinkState.GREETING:
                return self._greet(now_ms, Cue.SAY_HELLO)
            case LinkState.PROVING:
                return self._open(now_ms)
            case LinkState.OPEN:
                ask = self._question.next_ask(now_ms) if self._question is not None else None
                return (
                    ask
                    or self._next_pong()
                    or self._next_result()
                    or self._flow.next_event(now_ms)
                    or self._next_sample()
                )
            case _:
                return None

    def due_ms(self, now_ms: int) -> int | None:
        """The uptime at which `next_message` should be called even if nothing comes in; None: never."""
        due = [] if self._question is None else [self._question.gives_up_ms]
        match self.state:
            case LinkState.GREETING | LinkState.PROVING:
                return now_ms
            case LinkState.WAITING | LinkState.BACKING_OFF:
                due.append(self._due_ms)
            case LinkState.DOWN:
                pass
            case LinkState.OPEN:
                if self._pong is not None or self._results or self._sample is not None or self._flow.may_send:
                    return now_ms
                due.append(self._heard_ms + SILENT_MS)
                if self._question is not None:
                    due.append(self._question.next_ms)
                if (resend_ms := self._flow.resend_due_ms()) is not None:
                    due.append(resend_ms)
        return min(due, default=None)

    # -- the dispenser's side -----------------------------------------------------------------------------------------

    def ask(  # noqa: PLR0913 -- an ASK's fields
        self,
        session: int,
        now_ms: int,
        *,
        token: str | None,
        dial: int | None,
        mood: str | None,
        avoid: tuple[str, ...] = (),
        adult: bool = False,
    ) -> bytes:
        """Ask for picks; the nonce that their PICKS will carry. An earlier question is forgotten."""
        nonce = self._random_bytes(8)
        ask = Ask(session=session, nonce=nonce, token=token, dial=dial, mood=mood)
        if self.version >= 2:
            ask = msgspec.structs.replace(ask, avoid=avoid, adult=adult)
        self._question = Question(ask, now_ms, self._slack_ms)
        return nonce

    def report(self, result: Result) -> None:
        """Say what became of a command; the gateway asks again for what it has not heard."""
        self._results.append(result)

    def offer(self, sample: Sample) -> None:
        """Send sensor readings, if the line has nothing better to do before the next ones are there."""
        if self.state is not LinkState.OPEN or self.version < 2:
            return
        if self._sample is not None or self._flow.paused:
            self.counters.samples_shed += 1
        self._sample = None if self._flow.paused else sample

    def looked_at(self, now_ms: int) -> bool:
        """Whether somebody looks at the sensors."""
        return now_ms < self._looked_at_ms

    def greet_again(self) -> None:
        """What HELLO tells has changed: say it."""
        if self.state is LinkState.OPEN:
            self._machine.move(Cue.LOST)

    @property
    def asking(self) -> bool:
        """Whether a customer waits for picks."""
        return self._question is not None

    # -- opening ------------------------------------------------------------------------------------------------------

    def _greet(self, now_ms: int, cue: Cue) -> Hello:
        header = self._ring.header
        self._hello = Hello(
            dispenser=self.identity.dispenser,
            firmware=self.identity.firmware,
            versions=self.identity.versions,
            nozzles=self._panel.nozzles(),
            generation=header.generation,
            lowest=header.lowest,
            next=header.next,
            nonce=self._random_bytes(16),
            boot=header.boot,
            uptime_ms=now_ms,
            key_id=None if self.key is None or self._oldest else proofs.key_id(self.key),
            hardware=None if self._oldest else self.identity.hardware,
        )
        self.counters.hellos += 1
        self._machine.move(cue)
        self._hello_ms, self._due_ms = now_ms, now_ms + self._hello_again_ms
        self._hello_again_ms = min(2 * self._hello_again_ms, HELLO_SLOWEST_MS)
        return self._hello

    def _on_welcome(self, welcome: Welcome) -> None:
        hello, key = self._hello, self.key
        if self.state is not LinkState.WAITING or hello is None:
            self.counters.unexpected += 1
            return
        spoken = key is not None and welcome.version in hello.versions and welcome.version in VERSIONS
        proved = spoken and hmac.compare_digest(welcome.mac, proofs.welcome_mac(key or b"", hello, welcome))
        fits = welcome.generation == hello.generation and welcome.durable < hello.next
        if key is None or not (proved and fits):
            # an answer to an earlier HELLO, a replay, or a stranger
            self.counters.foreign_welcomes += 1
            return
        self._ring.free(welcome.durable)
        self._base, self._window = max(welcome.durable + 1, hello.lowest), welcome.window
        self._ready = Ready(mac=proofs.ready_mac(key, hello, welcome))
        self.version = welcome.version
        if welcome.version >= 2:
            self._panel.keep_confirm(welcome.confirm)
        self._machine.move(Cue.WELCOME)

    def _open(self, now_ms: int) -> Ready:
        assert self._ready is not None  # PROVING has one
        self._machine.move(Cue.SAY_READY)
        self._sample = None
        self.counters.opened += 1
        self._hello_again_ms = HELLO_AGAIN_MS + self._slack_ms
        self._heard_ms = now_ms
        self._flow.open(self._base, self._window, now_ms)
        return self._ready

    def _on_hello_request(self, now_ms: int) -> None:
        just_said = self.state is LinkState.WAITING and now_ms - self._hello_ms < HELLO_ANSWERED_MS + self._slack_ms
        if just_said or self.state not in (LinkState.WAITING, LinkState.OPEN):
            return
        self._hello_again_ms = HELLO_AGAIN_MS + self._slack_ms
        self._machine.move(Cue.ASKED)

    def _on_provision(self, provision: Provision) -> None:
        """Take a key, once: in answer to this HELLO, and only if there is none."""
        answers = self._hello is not None and provision.nonce == self._hello.nonce
        if self.key is not None or not answers or self.state is not LinkState.WAITING:
            self.counters.unexpected += 1
            return
        self._panel.keep_key(provision.secret)
        self.key = provision.secret
        self._hello_again_ms = HELLO_AGAIN_MS + self._slack_ms
        self._machine.move(Cue.PROVISIONED)

    def _on_reject(self, reject: Reject, now_ms: int) -> None:
        self.counters.rejected += 1
        answers_hello = self._hello is not None and reject.nonce == self._hello.nonce
        if reject.nonce is not None and not answers_hello:
            return  # it is about an earlier HELLO
        if reject.reason == "stale_ring":
            # renumbering the ring twice would give events a second identity: only ever in answer to this HELLO
            if answers_hello and self.state is LinkState.WAITING:
                self._renew()
                self._machine.move(Cue.RENEWED)
            return
        if self.state not in (LinkState.WAITING, LinkState.OPEN):
            return
        self._machine.move(Cue.REJECTED)
        self._due_ms = now_ms + self._back_off_ms
        self._back_off_ms = min(2 * self._back_off_ms, BACK_OFF_SLOWEST_MS)

    # -- while open ---------------------------------------------------------------------------------------------------

    def _on_ack(self, ack: Ack, now_ms: int) -> None:
        header = self._ring.header
        if ack.generation != header.generation or ack.sequence >= header.next:
            self.counters.unexpected += 1
            return
        if self._flow.acknowledge(ack.sequence, ack.window, now_ms):
            self._back_off_ms = BACK_OFF_MS

    def _on_picks(self, picks: Picks) -> None:
        if self._question is None or not self._question.is_answered_by(picks):
            self.counters.unexpected += 1
            return
        self._question = None
        self._panel.show(picks)

    def _on_told(self, told: Command | Look, now_ms: int) -> None:
        if isinstance(told, Look):
            self._looked_at_ms = now_ms + told.seconds * 1000
        elif (result := self._panel.carry_out(told, now_ms)) is not None:
            self.report(result)

    def _expire_question(self, now_ms: int) -> None:
        if self._question is not None and now_ms >= self._question.gives_up_ms:
            self._question = None
            self._panel.show_own_choice()

    def _next_pong(self) -> Pong | None:
        pong, self._pong = self._pong, None
        return pong

    def _next_result(self) -> Result | None:
        return self._results.popleft() if self._results and self.version >= 2 else None

    def _next_sample(self) -> Sample | None:
        sample, self._sample = self._sample, None
        return sample and msgspec.structs.replace(sample, shed=self.counters.samples_shed)

    @property
    def _oldest(self) -> bool:
        """Whether this firmware speaks version 1 only, whose HELLO has no more than ten keys."""
        return max(self.identity.versions) < 2
