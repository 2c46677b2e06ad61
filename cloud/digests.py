"""Whether edge and cloud hold the same of a customer: digests that gateways tell, against those of the states. Pure.

A gateway tells of customers all of whose events Kafka has (`gateway.seen`), and a customer's events are folded in their
order. So where the state has as many pieces of evidence of this gateway's, it has the same ones, and the same sums.
If it has more, later events came, or it holds some twice: its newest event says which, by the number of its row in the
gateway's outbox. If it has fewer, it lacks some, unless they are still to come: once it has passed what the log held a
minute after the heartbeat, they are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from cloud.fleet import Heard

MOST = 50_000
"""Digests that wait to be compared, and differences that are kept: 10 MB. Of more, the oldest go."""
VISIBLE_MS = 60_000
"""ms after which nobody's open transaction hides what a heartbeat told of: they are ended after 20 s."""
PATIENCE_MS = 600_000
"""ms for which a digest waits for its state: that may be another process', or far behind."""
FIRST_EPOCH = 1
"""Of an outbox. In a later one the gateway may have lost what it sent: its database was put back, or begun anew."""
END = sys.maxsize
"""The offset of what is not there yet."""

Outcome = Literal["equal", "newer", "differs", "exceeds", "lacks", "not_compared"]
"""`newer`: later events are in the state, so it can't be told. `exceeds`: it holds more than the gateway ever sent.
`lacks`: events of the gateway are not in it. `not_compared`: nobody here had the state, or it was too far behind."""


class Key(NamedTuple):
    """What is compared."""

    gateway: str
    subject: str


class Held(NamedTuple):
    """What a state has of a customer and a gateway."""

    position: int
    last: int
    """Offset of the last event that changed the customer's sums, whoever's it was."""
    n: int
    digest: str


class Row(NamedTuple):
    """Where a record comes from: a row of a gateway's outbox."""

    gateway: str
    epoch: int
    position: int


class Log(Protocol):
    """The events' topic."""

    def end(self, partition: int) -> int:
        """The offset after the last record that readers may see now."""

    def first(self, partition: int, offset: int) -> tuple[int, Row | None] | None:
        """The first record that readers see from an offset on, `END` if there is none; None: not to be told now."""


@dataclass(frozen=True, slots=True)
class Told:
    """A digest out of a heartbeat."""

    n: int
    digest: str
    epoch: int
    confirmed: int
    """Rows of the outbox that Kafka had, and the digest is of."""
    at_ms: int
    """Unix time, ms, of the heartbeat."""


@dataclass(slots=True)
class _Waiting:
    told: Told
    partition: int
    since_ms: int | None = None
    """When it was looked at first."""
    end: int | None = None
    """Where the log ended once nothing that was told of could be hidden any more."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Edge and cloud disagree on a customer."""

    key: Key
    outcome: Outcome
    told: Told
    cloud_n: int
    since_ms: int
    """Unix time, ms, of the heartbeat that told it first."""


class Comparison:
    """Digests that wait, and what differs. `partition_of` says where a subject's events are."""

    def __init__(self, partition_of: Callable[[str], int]) -> None:
        self.differences: dict[Key, Difference] = {}
        """Those that were not made good since."""
        self._partition_of = partition_of
        self._waiting: dict[Key, _Waiting] = {}

    def go_on(self, differences: Iterable[Difference]) -> None:
        """Take over what another one had found, and compare it again."""
        for difference in differences:
            self.differences[difference.key] = difference
            self._wait(difference.key, difference.told)

    def hear(self, heard: Heard) -> None:
        """Take the digests of a heartbeat."""
        told = heard.heartbeat
        for row in told.digests:
            self._wait(Key(told.gateway, row.subject), Told(row.n, row.digest, told.epoch, told.confirmed, heard.at_ms))

    def waiting(self, now_ms: int) -> int:
        """Digests that could have been compared by now, and were not."""
        return sum(now_ms - one.told.at_ms >= VISIBLE_MS for one in self._waiting.values())

    def lose(self, partitions: Iterable[int]) -> None:
        """Forget what differs in partitions that another process has now: it compares its own state."""
        gone = set(partitions)
        for key in [key for key in self.differences if self._partition_of(key.subject) in gone]:
            del self.differences[key]

    def look(self, held: Callable[[int, Key], Held | None], log: Log, now_ms: int) -> list[tuple[Key, Outcome]]:
        """Compare what can be compared by now. `held` asks a partition's state; None: it is not here."""
        found: list[tuple[Key, Outcome]] = []
        for key, waiting in list(self._waiting.items()):
            if waiting.since_ms is None:
                waiting.since_ms = now_ms
            state = held(waiting.partition, key)
            outcome = None if state is None else _compare(key, waiting, state, log, now_ms)
            if outcome is not None and state is not None:
                self._note(key, waiting.told, state, outcome)
            elif now_ms - waiting.since_ms > PATIENCE_MS:
                outcome = "not_compared"
            if outcome is not None:
                del self._waiting[key]
                found.append((key, outcome))
        return found

    def _wait(self, key: Key, told: Told) -> None:
        waiting = self._waiting.pop(key, None)
        newest = waiting.told if waiting is not None and waiting.told.at_ms > told.at_ms else told
        self._waiting[key] = _Waiting(newest, self._partition_of(key.subject))
        _bound(self._waiting)

    def _note(self, key: Key, told: Told, state: Held, outcome: Outcome) -> None:
        if outcome == "equal":
            self.differences.pop(key, None)
        elif outcome != "newer":
            since_ms = self.differences[key].since_ms if key in self.differences else told.at_ms
            self.differences[key] = Difference(key, outcome, told, state.n, since_ms)
            _bound(self.differences)


def _compare(key: Key, waiting: _Waiting, state: Held, log: Log, now_ms: int) -> Outcome | None:
    """None: not yet."""
    told, partition = waiting.told, waiting.partition
    if state.n == told.n:
        return "equal" if state.digest == told.digest else "differs"
    if state.n > told.n:
        if (first := log.first(partition, state.last)) is None:
            return None
        offset, row = first
        if row is None or offset != state.last or row.gateway != key.gateway:
            return "newer"
        told_of = row.epoch == told.epoch == FIRST_EPOCH and row.position <= told.confirmed
        return "exceeds" if told_of else "newer"
    if waiting.end is None and now_ms - told.at_ms >= VISIBLE_MS:
        waiting.end = log.end(partition)
    if waiting.end is None:
        return None
    if state.position < waiting.end:
        first = log.first(partition, state.position)
        if first is None or first[0] < waiting.end:
            return None
    return "lacks"


def _bound(kept: dict[Key, _Waiting] | dict[Key, Difference]) -> None:
    while len(kept) > MOST:
        del kept[next(iter(kept))]
