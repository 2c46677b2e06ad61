"""Whether edge and cloud hold the same of a customer: digests that gateways tell, against those of the states. Pure.

A gateway tells of customers all of whose events Kafka has (`gateway.seen`), and a customer's events are folded in their
order. So where the state has as many pieces of evidence of this gateway's, it has the same ones, and the same sums; if
it has more, later events came. If it has fewer, it lacks some, unless they are still to come: whether anything is, the
log tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cloud.fleet import Heard

MOST = 50_000
"""Digests that wait to be compared, and differences that are kept: 10 MB. Of more, the oldest go."""
VISIBLE_MS = 60_000
"""ms after which nobody's open transaction hides what a heartbeat told of: they are ended after 20 s."""
PATIENCE_MS = 600_000
"""ms for which a digest waits for its state: that may be another process', or far behind."""

Outcome = Literal["equal", "newer", "differs", "lacks"]
"""`newer`: later events are in the state, so it can't be told. `lacks`: events of the gateway are not in it."""


class Key(NamedTuple):
    """What is compared."""

    gateway: str
    subject: str


class Held(NamedTuple):
    """What a state has of a customer and a gateway."""

    position: int
    n: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Told:
    n: int
    digest: str
    partition: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Edge and cloud disagree on a customer."""

    key: Key
    outcome: Outcome
    edge_n: int
    cloud_n: int
    since_ms: int
    """Unix time, ms, of the heartbeat that told it."""


class Comparison:
    """Digests that wait, and what differs. `partition_of` says where a subject's events are."""

    def __init__(self, partition_of: Callable[[str], int]) -> None:
        self.differences: dict[Key, Difference] = {}
        """Those that were not made good since."""
        self._partition_of = partition_of
        self._told: dict[Key, _Told] = {}

    def hear(self, heard: Heard) -> None:
        """Take the digests of a heartbeat."""
        for row in heard.heartbeat.digests:
            key = Key(heard.heartbeat.gateway, row.subject)
            self._told.pop(key, None)
            self._told[key] = _Told(row.n, row.digest, self._partition_of(row.subject), heard.at_ms)
        _bound(self._told)

    def look(
        self, held: Callable[[int, Key], Held | None], at_end: Callable[[int, int], bool], now_ms: int
    ) -> list[tuple[Key, Outcome]]:
        """Compare what can be compared by now.

        `held` asks a partition's state; None: it is not here. `at_end`: whether a partition holds nothing from a
        position on.
        """
        found: list[tuple[Key, Outcome]] = []
        for key, told in list(self._told.items()):
            state = held(told.partition, key)
            outcome = None if state is None else _compare(told, state)
            if outcome == "lacks" and state is not None:
                visible = now_ms - told.at_ms >= VISIBLE_MS
                outcome = "lacks" if visible and at_end(told.partition, state.position) else None
            if outcome is not None and state is not None:
                del self._told[key]
                found.append((key, outcome))
                self._note(key, told, state, outcome)
            elif now_ms - told.at_ms > PATIENCE_MS:
                del self._told[key]
        return found

    def _note(self, key: Key, told: _Told, state: Held, outcome: Outcome) -> None:
        if outcome == "equal":
            self.differences.pop(key, None)
        elif outcome != "newer":
            since_ms = self.differences[key].since_ms if key in self.differences else told.at_ms
            self.differences[key] = Difference(key, outcome, told.n, state.n, since_ms)
            _bound(self.differences)


def _compare(told: _Told, state: Held) -> Outcome:
    if state.n > told.n:
        return "newer"
    if state.n < told.n:
        return "lacks"
    return "equal" if state.digest == told.digest else "differs"


def _bound(kept: dict[Key, _Told] | dict[Key, Difference]) -> None:
    while len(kept) > MOST:
        del kept[next(iter(kept))]
