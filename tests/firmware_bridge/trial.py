"""A dispenser and a gateway that are put through whatever chance, or Hypothesis, comes upon, and judged all the while.

Time is virtual, so a trial of minutes takes some ms, and a seed gives the same one each time.

    with closing(Trial(directory, seed)) as trial:
        trial.change_line(up="lossy", down="late")
        trial.pour(20)
        trial.kill_gateway(stored=3)
        ...
        trial.finish()  # the line is good from here on: all that is left must come through
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.messages import Command, Sample, Series
from heat.identity import SequenceSet
from tests.firmware_bridge.pair import COMMIT_MS, Pair, volume_of
from tests.firmware_bridge.wire import DOUBLED, LATE, LOST

CAPACITY = 64
"""Events in the ring: few enough to overflow while the line is bad."""
PATIENCE_MS = 60_000
"""ms on a good line by which all must be through: the slowest HELLO comes after 30 s."""
FAR_AHEAD = 100_000
"""Sequences: more than are poured in any trial before the two agree again."""
QUIET_MS, QUIET_MESSAGES = 5_000, 10
"""When nothing is left to be said, a PONG is, every two seconds."""
COPIES = 3
"""Of a command, as many as may be needed on a good line."""

LINES: dict[str, dict[str, float]] = {
    "good": {},
    "lossy": {LOST: 0.3},
    "dead": {LOST: 1.0},
    "doubling": {DOUBLED: 0.5},
    "late": {LATE: 0.3},
    "awful": {LOST: 0.2, DOUBLED: 0.2, LATE: 0.2},
}
"""Lines by name: the share of messages that are lost, doubled, or so late that others overtake them."""


@dataclass
class Chances:
    """The fates of one direction's messages, without end; `line` may change at any time."""

    rng: random.Random
    line: str = "good"

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        chances = LINES[self.line]
        return self.rng.choices([*chances, ""], [*chances.values(), 1 - sum(chances.values())])[0]


class Trial:
    """One trial. Each method is something that happens; what `judge` asks holds after each of them."""

    def __init__(self, directory: Path, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.told: list[str] = []
        """What `play` did so far."""
        self._up, self._down = Chances(self.rng), Chances(self.rng)
        self._busy = 0.0
        self._commands = 0
        self._gone: set[int] = set()
        """Volumes of events that nobody has to have any more: wiped off a ring, or lost with a database."""
        self._forgotten: set[tuple[int, int]] = set()
        """Identities that were in a database that is lost."""
        self._dropped = 0
        """Events pushed out of rings that were wiped since."""
        self.pair = Pair(directory, up=self._up, down=self._down, capacity=CAPACITY, seed=seed)
        self.pair.reopens = True
        self.pair.room = lambda: self.rng.random() >= self._busy

    def close(self) -> None:
        """Close the ring's file."""
        self.pair.ring.close()

    # -- what happens --------------------------------------------------------------------------------------------------

    def change_line(self, up: str, down: str) -> None:
        """From now on the line is like this."""
        self._up.line, self._down.line = up, down

    def crowd(self, busy: float) -> None:
        """The gateway has no room for this share of events."""
        self._busy = busy

    def pour(self, count: int) -> None:
        """Events happen at the dispenser."""
        self.pair.pour(count)

    def wait(self, ms: int) -> None:
        """Time passes."""
        self.pair.run(ms)

    def ask(self) -> None:
        """A customer asks."""
        self.pair.ask()

    def sample(self) -> None:
        """The sensors have readings."""
        self.pair.mcu.offer(Sample(uptime_ms=self.pair.now_ms, period_ms=1_000, series=(Series(2, 1, (700,)),)))

    def command(self) -> None:
        """The gateway wants something done."""
        self._commands += 1
        self.pair.send_down(
            Command(
                id=self._commands.to_bytes(8, "big"),
                verb="identify",
                boot=self.pair.ring.header.boot,
                expires_uptime_ms=self.pair.now_ms + PATIENCE_MS,
                arguments={},
            )
        )

    def kill_gateway(self, stored: int) -> None:
        """The gateway dies. So many of the events that were on their way to its disk are there, and nobody was told."""
        self.pair.restart_gateway(stored)

    def fail_commits(self) -> None:
        """The disk takes nothing of what is on its way there."""
        self.pair.fail_commits()

    def change_disk(self, ms: int) -> None:
        """From now on a commit takes so long: what one generation sent may be committed in the next one's time."""
        self.pair.commit_ms = ms

    def cut_power(self) -> None:
        """The dispenser loses its power, and comes back with its ring."""
        self.pair.reboot()

    def wipe_ring(self) -> None:
        """The dispenser's memory is changed: what it held is gone, and a new generation begins."""
        self._gone |= set(self.pair.held)
        self._dropped += self.pair.ring.header.dropped
        self.pair.wipe_ring()

    def lose_database(self) -> None:
        """The gateway gets a new disk, with nothing on it."""
        stored = self.pair.disk.stored
        self._gone |= {volume_of(event) for event in stored.values()}
        self._forgotten |= stored.keys()
        self.pair.lose_database()

    def turn_ring_back(self) -> None:
        """The gateway knows more of this generation than the dispenser: its ring is stale, and is numbered anew."""
        header = self.pair.ring.header
        self.pair.disk.known.setdefault(header.generation, SequenceSet()).add(1, header.next + FAR_AHEAD)
        self.pair.replug()

    def change_firmware(self, *versions: int) -> None:
        """The dispenser restarts with firmware that speaks these versions."""
        self.pair.versions = versions
        self.pair.reboot()

    def change_transport(self, kept: bool) -> None:
        """Whether a broker keeps from now on what is under way to somebody who is away."""
        self.pair.up.kept = self.pair.down.kept = kept

    def replug(self) -> None:
        """The cable goes out and in."""
        self.pair.replug()

    # -- what must hold ------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Whatever has happened: what left the ring is on disk or was pushed out of it, and is what was poured."""
        pair, stored = self.pair, self.pair.disk.stored
        for identity, event in stored.items():
            assert pair.made.get(identity) == volume_of(event), f"an event of another name, or none: {identity}"
        there = {volume_of(event) for event in stored.values()}
        missing = set(pair.made.values()) - there - set(pair.held) - self._gone
        dropped = self._dropped + pair.ring.header.dropped
        assert len(missing) <= dropped, f"acknowledged and not on disk: {sorted(missing)}"

    def finish(self) -> None:
        """From now on the line is good: whatever waits comes through, and a question is answered."""
        self.change_line("good", "good")
        self.crowd(0.0)
        self.change_disk(COMMIT_MS)
        pair = self.pair
        pair.run_until(lambda: pair.delivered and pair.is_open, PATIENCE_MS)
        self.judge()
        generation = pair.ring.header.generation
        stored, forgotten = (
            {sequence for each, sequence in identities if each == generation}
            for identities in (pair.disk.stored, self._forgotten)
        )
        lost = {n for each, first, last in pair.disk.gaps if each == generation for n in range(first, last + 1)}
        assert stored | lost == set(range(1, pair.ring.header.next)), "neither on disk nor told as lost"
        assert len(lost - stored - forgotten) <= pair.ring.header.dropped, "told as lost, and never pushed out"
        pair.ask()
        shown = len(pair.panel.shown)
        pair.run_until(lambda: len(pair.panel.shown) > shown, 3_000)
        if pair.mcu.version > 1:
            self._have_done()
        said = len(pair.sent)
        pair.run(QUIET_MS)
        assert len(pair.sent) - said <= QUIET_MESSAGES, "no peace, though all is said"

    def _have_done(self) -> None:
        """What the gateway wants done is. A HELLO that was late may cost a command: a gateway sends it once more."""
        for _ in range(COPIES):
            self.command()
            self.pair.run(1_000)
            if any(result.command == self._commands.to_bytes(8, "big") for result in self.pair.results):
                return
        raise AssertionError(f"no result of {COPIES} copies of a command")

    def play(self) -> None:
        """All of it as the seed has it."""
        for _ in range(self.rng.randint(5, 40)):
            happens, amounts = self._choose()
            self.told.append(f"{happens.__name__}({', '.join(map(repr, amounts))})")
            happens(*amounts)
            self.judge()
        self.told.append("finish()")
        self.finish()

    def _choose(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """What happens next, and how much of it."""
        rng, lines = self.rng, list(LINES)
        chances: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = [
            (15, self.change_line, (rng.choice(lines), rng.choice(lines))),
            (4, self.crowd, (rng.choice([0.0, 0.1, 0.9]),)),
            (30, self.pour, (rng.randint(1, CAPACITY),)),
            (30, self.wait, (rng.choice([10, 50, 300, 1_000, 10_000]),)),
            (5, self.ask, ()),
            (5, self.sample, ()),
            (3, self.command, ()),
            (6, self.kill_gateway, (rng.randint(0, 20),)),
            (3, self.fail_commits, ()),
            (4, self.cut_power, ()),
            (3, self.replug, ()),
            (3, self.change_disk, (rng.choice([COMMIT_MS, 300, 1_500]),)),
            (2, self.wipe_ring, ()),
            (2, self.lose_database, ()),
            (2, self.turn_ring_back, ()),
            (2, self.change_firmware, rng.choice([(1,), (1, 2), (2,)])),
            (2, self.change_transport, (rng.random() < 0.5,)),
        ]
        [(_, happens, amounts)] = rng.choices(chances, [weight for weight, _, _ in chances])
        return happens, amounts


def attempt(directory: Path, seed: int) -> None:
    """One trial by chance.

    Raises:
        AssertionError: it failed; with the seed, how to have it again, and what happened.
    """
    with closing(Trial(directory, seed)) as trial:
        try:
            trial.play()
        except Exception as why:
            again = f'make faults ARGS="link --seed {seed} --runs 1"'
            happened = "\n".join(trial.told)
            raise AssertionError(f"seed {seed}: {why}\nagain: {again}\n{happened}") from why
