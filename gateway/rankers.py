"""Which ranker answers whom, and what customers make of it.

One bundle is in use. Beside it there may be the one before, which keeps its share of an experiment's customers and is
gone back to if the new one does no good, and one on its first trial, which sees every slate and answers nobody
(`shadow`). A ranker that fails to answer costs nobody their picks: the one before it answers, or else the rule.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from gateway.probation import Outcomes
from gateway.shadow import Shadow
from gateway.transaction import Transaction
from heat.events import Rated
from models.experiment import Arm, Experiment
from models.features import Matrix
from models.ranker import Ranker, RuleRanker

log = logging.getLogger("gateway.rankers")

T = TypeVar("T")

PICKS_KEPT = 1_000
"""Impressions whose ratings are told apart by ranker: a customer rates within minutes."""


class Assigned(NamedTuple):
    """Who answers a customer, and what of it is part of an experiment."""

    ranker: Ranker
    experiment: str | None
    arm: Arm | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """An impression: who ranked it, and which of its sauces were rated."""

    ranker: str
    rated: set[str] = field(default_factory=set)


class Rankers:
    """The rankers of a gateway. What it is asked for ratings comes in the writer's thread, all else in the loop's."""

    def __init__(self, current: Ranker) -> None:
        self.current = current
        self.before: Ranker | None = None
        """What was used before, as long as it may come back."""
        self.experiment: Experiment | None = None
        self.shadow: Shadow | None = None
        self.answers: Counter[str] = Counter()
        """Slates since the start, by ranker."""
        self.errors: Counter[str] = Counter()
        """Of these, the ones that it failed on."""
        self._rule = RuleRanker()
        self._shown: dict[str, _Shown] = {}
        """By impression, the newest last."""

    def use(self, current: Ranker, before: Ranker | None = None, experiment: Experiment | None = None) -> None:
        """Answer by this ranker from now on. `before` may come back, and answers the others of an experiment."""
        self.current, self.before, self.experiment = current, before, experiment

    def assigned(self, subject: str | None) -> Assigned:
        """Who answers a customer, known by a pseudonym or a session."""
        experiment, before = self.experiment, self.before
        if experiment is None or before is None or subject is None:
            return Assigned(before if experiment is not None and before is not None else self.current, None, None)
        arm = experiment.arm(subject)
        return Assigned(self.current if arm == "challenger" else before, experiment.name, arm)

    def answer(self, subject: str | None, ask: Callable[[Ranker], T]) -> tuple[T, Assigned]:
        """What `ask` makes of the customer's ranker, or of one that can answer if that one fails."""
        for assigned in self._in_turn(subject):
            name = assigned.ranker.name
            self.answers[name] += 1
            try:
                return ask(assigned.ranker), assigned
            except Exception:
                self.errors[name] += 1
                if assigned.ranker is self._rule:
                    raise
                if self.errors[name] == 1:
                    log.exception("%s could not rank, another ranker does", name)
        raise AssertionError("the rule answers or raises")

    def _in_turn(self, subject: str | None) -> Iterator[Assigned]:
        first = self.assigned(subject)
        yield first
        for other in (self.before, self._rule):
            if other is not None and other is not first.ranker:
                yield Assigned(other, None, None)

    def answered(self, pick_id: str, ranker: Ranker, features: Callable[[], Matrix]) -> None:
        """This ranker answered. `features` makes what it saw, if there is a ranker that is to look at it."""
        self._shown[pick_id] = _Shown(ranker.name)
        if len(self._shown) > PICKS_KEPT:
            self._shown.pop(next(iter(self._shown)))
        if (shadow := self.shadow) is not None and not shadow.done:
            matrix = features()
            shadow.look(matrix, ranker.scores(matrix))

    def outcomes(self, connection: sqlite3.Connection, ranker: str) -> Outcomes:
        """What became of a ranker's answers: ratings ever since it came, answers since the start."""
        row = connection.execute("SELECT rated, too_hot FROM ranked WHERE ranker = ?", (ranker,)).fetchone()
        return Outcomes(self.answers[ranker], self.errors[ranker], *(row or (0, 0)))

    # -- in the writer's thread -------------------------------------------------------------------------------------

    def note_rating(self, tx: Transaction, rated: Rated) -> None:
        """Count a rating for whoever ranked the pick that it is about, in the transaction that stores it.

        The first of a sauce counts: who presses a button ten times is one customer whom it was too hot for.
        """
        shown = self._shown.get(rated.pick_id or "")
        if shown is not None and rated.sauce not in shown.rated:
            shown.rated.add(rated.sauce)
            tx.unsettled.execute(
                "INSERT INTO ranked VALUES (?, 1, ?) ON CONFLICT DO UPDATE"
                " SET rated = rated + 1, too_hot = too_hot + excluded.too_hot",
                (shown.ranker, rated.verdict == "too_hot"),
            )
