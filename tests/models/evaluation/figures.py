"""Outcomes written by hand."""

from __future__ import annotations

from collections.abc import Iterable

from models.evaluation.estimates import LoggedVisit
from models.evaluation.outcomes import Outcomes, Recorder, join
from models.evaluation.rules import NO_HEAT_STATE, REFIT, SHUFFLED_LABELS
from models.off_policy import Ratios

POLICIES = ("model", "popularity", REFIT, NO_HEAT_STATE, SHUFFLED_LABELS, "rule", "oracle")


def outcomes(visits: Iterable[tuple[int, int, str]], seed: int = 1, far: int = 0) -> Outcomes:
    """Visits as (customer, history, who was accepted: first letters of policies), `far` model's slots far too hot."""
    recorder = Recorder(POLICIES, seed)
    for customer, history, who in visits:
        results = [(policy[0] in who.split(), 3, far if policy == "model" else 0) for policy in POLICIES]
        recorder.add(customer, history, results)
    return recorder.outcomes()


def good(seed: int = 1) -> Outcomes:
    """What keeps every rule and reaches every goal: 100 customers of whom popularity and the ablations lose a third."""
    return outcomes(((i, i % 2 * 5, "m r o" if i % 3 else "m p r n s o") for i in range(100)), seed)


def both_seeds() -> Outcomes:
    """The same twice, of other people."""
    return join([good(1), good(2)])


def logged_visits() -> list[LoggedVisit]:
    """Four visits of two customers; the judged policy would have shown the sauce of slot 1 twice as often."""
    poured = [(1, 0), (0, 1), (1, 0), (0, 0)]
    return [
        LoggedVisit((1, number % 2), earned, Ratios((2.0, 0.5), 1.0), (0.8, 0.1), (0.5, 0.25))
        for number, earned in enumerate(poured)
    ]
