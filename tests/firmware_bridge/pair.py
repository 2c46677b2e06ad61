"""A dispenser's firmware and a gateway's link session joined back to back: no I/O, and time that only a test moves.

Mcu --next_message--> Wire(up) --feed--> LinkSession --Arrived--> commit after a while --> Disk
    <------feed------ Wire(down) <---Send----                <-----committed-----
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge import proofs
from firmware_bridge.actions import Action, Arrived, Asked, Closed, Opened, Refused, Resulted, Sampled, Send
from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import encode_body
from firmware_bridge.messages import (
    VERSIONS,
    Ask,
    Command,
    DownMessage,
    EventMessage,
    Hello,
    NozzleInfo,
    PickInfo,
    Picks,
    Result,
    Sample,
    UpMessage,
)
from firmware_bridge.moves import State
from firmware_bridge.session import LinkSession
from heat.identity import SequenceSet
from hw_sim.mcu import Identity, LinkState, Mcu
from hw_sim.ring import Record, Ring
from tests.firmware_bridge.wire import Fates, Wire

KEY = bytes(range(32))
NAME = "bar-1"
COMMIT_MS = 30
TICK_MS = 10
PER_TICK = 8
"""Messages that the line takes in a tick: a line of 500,000 baud."""


@dataclass
class Panel:
    """What the firmware shows."""

    shown: list[Picks] = field(default_factory=list)
    unanswered: int = 0
    kept: bytes | None = KEY
    """The key; None from the factory."""
    confirm: tuple[int, ...] | None = None
    carried_out: list[Command] = field(default_factory=list)

    def nozzles(self) -> tuple[NozzleInfo, ...]:
        return (NozzleInfo(1, "table-red", 700), NozzleInfo(2, "garlic-ghost", 12))

    def show(self, picks: Picks) -> None:
        self.shown.append(picks)

    def show_own_choice(self) -> None:
        self.unanswered += 1

    def keep_key(self, key: bytes) -> None:
        self.kept = key

    def keep_confirm(self, nozzles: tuple[int, ...]) -> None:
        self.confirm = nozzles

    def carry_out(self, command: Command, now_ms: int) -> Result | None:
        self.carried_out.append(command)
        return Result(command=command.id, outcome="done")


@dataclass
class Disk:
    """What a gateway has stored; it outlives the gateway. Its registry answers for `KEY`'s dispenser alone."""

    stored: dict[tuple[int, int], EventMessage] = field(default_factory=dict)
    known: dict[int, SequenceSet] = field(default_factory=dict)
    """By generation: what is on disk, or known to be lost."""
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    keys: dict[str, bytes] = field(default_factory=lambda: {NAME: KEY})
    unprovisioned: dict[str, bytes] = field(default_factory=dict)
    confirm: tuple[int, ...] = ()

    def key_of(self, dispenser: str, key_id: bytes | None) -> bytes | None:
        key = self.keys.get(dispenser)
        return key if key is not None and key_id in (None, proofs.key_id(key)) else None

    def key_to_provision(self, dispenser: str) -> bytes | None:
        return self.unprovisioned.pop(dispenser, None)

    def durable(self, dispenser: str, generation: int) -> int:
        intervals = list(self.known.get(generation, SequenceSet()))
        return intervals[0][1] if intervals and intervals[0][0] == 1 else 0

    def to_confirm(self, hello: Hello) -> tuple[int, ...]:
        return self.confirm

    def clock_ms(self) -> int:
        return 1_700_000_000_000

    def store(self, event: EventMessage) -> None:
        self.stored.setdefault((event.generation, event.sequence), event)
        self.known.setdefault(event.generation, SequenceSet()).add(event.sequence)

    def record_gap(self, generation: int, first: int, last: int) -> None:
        self.gaps.append((generation, first, last))
        self.known.setdefault(generation, SequenceSet()).add(first, last)


class Pair:
    """A dispenser and a gateway on one line. `arrived` lists what was let through since the gateway's last start."""

    def __init__(self, directory: Path, *, up: Fates = (), down: Fates = (), capacity: int = 64, seed: int = 0) -> None:
        self.now_ms = 0
        self.panel, self.disk = Panel(), Disk()
        self.up, self.down = Wire(up), Wire(down)
        self.room: Callable[[], bool] = lambda: True
        self.arrived: list[EventMessage] = []
        self.asks: list[Ask] = []
        self.opened: list[Hello] = []
        self.closed: list[str] = []
        self.samples: list[Sample] = []
        self.results: list[Result] = []
        self.refused: list[tuple[str, str]] = []
        self.sent: list[UpMessage] = []
        self.answers = True
        self.versions: tuple[int, ...] = VERSIONS
        """What the dispenser speaks from its next boot on."""
        self.reopens = False
        """Whether the gateway opens a link again that fell silent, as its supervisor does."""
        self.commit_ms = COMMIT_MS
        self._path = directory / f"{seed}.ring"
        self._capacity = capacity
        self._random = random.Random(seed)
        self._commits: deque[tuple[int, EventMessage]] = deque()
        self._next = 1
        self.generations: list[int] = []
        self.made: dict[tuple[int, int], int] = {}
        """By generation and sequence: the volume of the event that has this identity."""
        self._poured = 0
        self.session = LinkSession(self.disk, self._random.randbytes, 0)
        self._boot()

    # -- what happens ------------------------------------------------------------------------------------------------

    def reboot(self) -> None:
        """The dispenser loses its power and comes back."""
        self.ring.close()
        self._boot()

    def _boot(self) -> None:
        self.ring = Ring.open(self._path, self._capacity, self._generation)
        identity = Identity(NAME, "1.0.0", self.panel.kept, "PD-4", self.versions)
        self.mcu = Mcu(identity, self.ring, self.panel, self._random.randbytes, self._renew)
        self.up.cut()
        self.mcu.link_up(self.now_ms)

    def restart_gateway(self, stored: int = 0) -> None:
        """The gateway is killed and comes back; what it had not stored is gone.

        Of what was on its way to the disk, `stored` events have got there, and nobody was told.
        """
        for _, event in list(self._commits)[:stored]:
            self.disk.store(event)
        self._commits.clear()
        self.down.cut()
        self.arrived, self.opened = [], []
        self.session = LinkSession(self.disk, self._random.randbytes, self.now_ms)

    def lose_database(self) -> None:
        """The gateway comes back with an empty database."""
        self.restart_gateway()
        self.disk.stored.clear()
        self.disk.known.clear()
        self.disk.gaps.clear()

    def wipe_ring(self) -> None:
        """The dispenser comes back with an empty ring, and so with another generation."""
        self.ring.close()
        self._path.unlink()
        self._boot()

    @property
    def held(self) -> list[int]:
        """The volumes of the events in the ring, in its order."""
        header = self.ring.header
        return [self.made[header.generation, sequence] for sequence in range(header.lowest, header.next)]

    def fail_commits(self) -> None:
        """What has arrived and is not on disk yet can't be stored."""
        self._commits.clear()
        self.session.rewind()
        self._next = 1

    def replug(self) -> None:
        """The cable goes out and in; the gateway opens the port anew."""
        self.up.cut()
        self.down.cut()
        self.mcu.link_up(self.now_ms)

    def pour(self, count: int = 1) -> list[int]:
        """So many events happen at the dispenser; their sequences."""
        sequences = []
        for _ in range(count):
            volume_ul, self._poured = self._poured, self._poured + 1
            body = PouredBody(nozzle=1, sauce="table-red", volume_ul=volume_ul, duration_ms=1)
            record = Record(self.ring.header.boot, self.now_ms, 1, 1, encode_body(body))
            sequences.append(self.ring.append(record))
            self.made[self.ring.header.generation, sequences[-1]] = volume_ul
        return sequences

    def ask(self, token: str | None = None) -> bytes:
        """A customer asks."""
        return self.mcu.ask(1, self.now_ms, token=token, dial=None, mood=None)

    def run(self, ms: int) -> None:
        """Let time pass."""
        for _ in range(0, ms, TICK_MS):
            self.tick()

    def run_until(self, condition: Callable[[], bool], ms: int = 120_000) -> None:
        """Let time pass until something holds, and fail if it never does."""
        end_ms = self.now_ms + ms
        while not condition():
            assert self.now_ms < end_ms, (self.mcu.state, self.session.state, self.ring.header)
            self.tick()

    def open_up(self) -> None:
        """Let time pass until the link is open."""
        self.run_until(lambda: self.is_open)

    def hello(self) -> Hello:
        """The dispenser's HELLO, taken from it."""
        self.mcu.link_up(self.now_ms)
        hello = self.mcu.next_message(self.now_ms)
        assert isinstance(hello, Hello)
        return hello

    @property
    def is_open(self) -> bool:
        """Whether both sides take the link for open."""
        return self.mcu.state is LinkState.OPEN and self.session.state is State.OPEN

    @property
    def sequences(self) -> list[int]:
        """What was let through since the gateway's last start."""
        return [event.sequence for event in self.arrived]

    @property
    def delivered(self) -> bool:
        """Whether the ring is empty."""
        return self.ring.header.held == 0

    # -- one tick ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """10 ms pass on both sides."""
        self.now_ms += TICK_MS
        for _ in range(PER_TICK):
            said = self.mcu.next_message(self.now_ms)
            if said is None:
                break
            self.sent.append(said)
            self.up.put(said, self.now_ms)
        if self.reopens and self.session.state is State.CLOSED:
            self.session = LinkSession(self.disk, self._random.randbytes, self.now_ms)
        for message in self.up.take(self.now_ms):
            self.perform(self.session.feed(message, self.now_ms, room=self.room()))
        self._commit()
        if self.now_ms % 500 == 0:
            self.perform(self.session.tick(self.now_ms, room=self.room()))
        for message in self.down.take(self.now_ms):
            self.mcu.feed(message, self.now_ms)

    def perform(self, actions: Iterable[Action]) -> None:
        """Do what the session decided."""
        for action in actions:
            match action:
                case Send(message):
                    self.send_down(message)
                case Arrived(event):
                    self._check_order(event)
                    self.arrived.append(event)
                    self._commits.append((self.now_ms + self.commit_ms, event))
                case Opened(hello, gap):
                    self._opened(hello, gap)
                case Asked(ask):
                    self._answer(ask)
                case Sampled(sample):
                    self.samples.append(sample)
                case Resulted(result):
                    self.results.append(result)
                case Refused(_, reason, detail):
                    self.refused.append((reason, detail))
                case Closed(reason):
                    self.closed.append(reason)

    def _opened(self, hello: Hello, gap: tuple[int, int] | None) -> None:
        self.opened.append(hello)
        if gap is not None:
            self.disk.record_gap(hello.generation, *gap)
        self._next = self.disk.durable(NAME, hello.generation) + 1

    def _answer(self, ask: Ask) -> None:
        self.asks.append(ask)
        if self.answers:
            pick = PickInfo.fitted(1, "table-red", "Table Red", 7109, "a favourite")
            self.send_down(Picks(nonce=ask.nonce, pick_id=f"p{len(self.asks)}", picks=(pick,)))

    def send_down(self, message: DownMessage) -> None:
        """Put a message on the line to the dispenser."""
        self.down.put(message, self.now_ms)

    def _check_order(self, event: EventMessage) -> None:
        """Neither a hole nor a repetition of what is on disk: exactly the sequence that is due."""
        assert event.sequence == max(self._next, self.disk.durable(NAME, event.generation) + 1)
        self._next = event.sequence + 1

    def _commit(self) -> None:
        while self._commits and self._commits[0][0] <= self.now_ms:
            event = self._commits.popleft()[1]
            self.disk.store(event)
            durable = self.disk.durable(NAME, event.generation)
            self.perform(self.session.committed(event.generation, durable, room=self.room()))

    def _generation(self) -> int:
        self.generations.append(len(self.generations) + 1)
        return self.generations[-1]

    def _renew(self) -> None:
        held = self.held
        self.ring.renew(self._generation())
        self.made |= {(self.ring.header.generation, n): volume for n, volume in enumerate(held, 1)}


def volume_of(event: EventMessage) -> int:
    """What `Pair.pour` numbered its events with."""
    volume = event.body[3]
    assert isinstance(volume, int)
    return volume


def sent_by(actions: Iterable[Action]) -> list[DownMessage]:
    """What a session sends."""
    return [action.message for action in actions if isinstance(action, Send)]
