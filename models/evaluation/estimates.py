"""What a policy earns, told from the logs of another one: the rows that the estimators of `models.off_policy` take.

Where customers are simulated it is known what the policy truly earns on the same visits. So a reader sees how far the
estimators can be trusted before they go by real logs, where nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.report import Estimated, OffPolicy
from models.evaluation.statistics import Interval, rounded
from models.off_policy import Estimate, Floats, Log, Ratios, doubly_robust, ips, log_of, snips

SLOTWISE, SLATEWISE = "slot by slot", "whole slates"


@dataclass(frozen=True, slots=True)
class LoggedVisit:
    """One visit of a log, as a judged policy sees it; a number a slot.

    `earned`: 1 where what was shown there was poured. `ratios`: the judged policy's chances over the logging one's.
    `foreseen`: what a model foresees the judged policy to earn, `foreseen_shown` what was shown.
    """

    customer: tuple[int, int]
    """Their seed, and their number within it."""
    earned: tuple[float, ...]
    ratios: Ratios
    foreseen: tuple[float, ...]
    foreseen_shown: tuple[float, ...]


def off_policy(world: str, policy: str, visits: Sequence[LoggedVisit], true: Interval) -> OffPolicy:
    """What all estimators say of the policy, beside what it truly earned. Raises ValueError without visits."""
    if not visits:
        raise ValueError("no visits to judge by")
    numbers = {who: number for number, who in enumerate(sorted({visit.customer for visit in visits}))}
    by_slot = log_of([(visit.earned, visit.ratios, numbers[visit.customer]) for visit in visits])
    foreseen = np.array([visit.foreseen for visit in visits], dtype=np.float64)
    shown = np.array([visit.foreseen_shown for visit in visits], dtype=np.float64)
    # a slate as a whole is one column: what its slots earn together
    earned, whole, whole_shown = (column.sum(axis=1, keepdims=True) for column in (by_slot.earned, foreseen, shown))
    by_slate = Log(earned, np.array([[visit.ratios.slate] for visit in visits], dtype=np.float64), by_slot.customer)
    return OffPolicy(
        world=world,
        policy=policy,
        visits=len(visits),
        logged=rounded(float(earned.mean())),
        true=true,
        estimates=(
            *_all(SLOTWISE, by_slot, foreseen, shown),
            *_all(SLATEWISE, by_slate, whole, whole_shown),
        ),
    )


def _all(ratios: str, log: Log, foreseen: Floats, foreseen_shown: Floats) -> Iterator[Estimated]:
    yield _estimated("IPS", ratios, ips(log))
    if log.ratio.any(axis=0).all():  # a slot of which the log says nothing normalises nothing
        yield _estimated("SNIPS", ratios, snips(log))
    yield _estimated("DR", ratios, doubly_robust(log, foreseen, foreseen_shown))


def _estimated(estimator: str, ratios: str, of: Estimate) -> Estimated:
    value, low, high = (rounded(number) for number in (of.value, of.low, of.high))
    return Estimated(
        estimator=estimator,
        ratios=ratios,
        value=Interval(value=value, low=low, high=high),
        effective_visits=round(of.effective),
    )
