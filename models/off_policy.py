"""What another policy would have earned, out of the logs of the one that ran: IPS, SNIPS, DR, each with its interval.

A log's row is an impression: what was earned (1 for a pour, say), and the ratio of two chances, the judged policy's of
showing what was shown over the logging policy's. There is one column a slot, with the chances of that sauce in that
slot (item-position), or one column for the whole slate. The first has smaller ratios, and is right as far as what is
poured from a slot depends on the sauce in it and not on those beside it; the second needs no such thing and more rows.

    IPS     mean(ratio * earned)                                  unbiased
    SNIPS   sum(ratio * earned) / sum(ratio), slot by slot        a little biased, steadier; NaN without any ratio
    DR      mean(foreseen + ratio * (earned - foreseen of shown)) unbiased; the better foreseen, the steadier

Intervals are normal ones of 95 %, from sums by customer: visits of one customer are no independent evidence. They hold
while the effective sample size, sum(ratio) ** 2 / sum(ratio ** 2), is some hundreds; below that, believe nothing.
Ratios are not clipped: to regulars `models.explore` shows every safe slate with a chance above zero. A newcomer's slot
1 is never drawn: what another policy would show there earns nothing in these logs, and that slot's mean ratio, 1 where
the logs have it all, is the share that they speak for.

Dudik, Langford, Li: Doubly robust policy evaluation and learning (2011). Swaminathan, Joachims: The self-normalized
estimator for counterfactual learning (2015). Li et al.: Offline evaluation of ranking policies with click models
(2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from heat.events import Impression
from models.explore import Slates, slates
from models.logged import asked
from models.mixture import Chances
from models.ranker import Ranker

Floats: TypeAlias = NDArray[np.float64]
Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the judged policy earns an impression, with its 95 % interval, and the effective sample size behind it."""

    value: float
    low: float
    high: float
    effective: float


@dataclass(frozen=True, slots=True)
class Log:
    """Rows of a log. `earned` and `ratio` are (rows, columns): a column a slot, or one for the whole slate."""

    earned: Floats
    ratio: Floats
    customer: NDArray[np.int64]
    """(rows,): whose they are."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """The judged policy's chances over the logging one's: of each slot, and of the whole slate."""

    slots: tuple[float, ...]
    slate: float


def ips(log: Log) -> Estimate:
    """Inverse propensity scoring."""
    return _estimate(log, (log.ratio * log.earned).sum(axis=1))


def snips(log: Log) -> Estimate:
    """Self-normalised: what all ratios of a slot add up to stands for the number of rows."""
    weight = log.ratio.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_slot = (log.ratio * log.earned).mean(axis=0) / weight
        # the delta method: how much a row moves the quotient
        pull = (log.ratio * (log.earned - by_slot) / weight).sum(axis=1)
    return _estimate(log, pull + by_slot.sum())


def doubly_robust(log: Log, foreseen: Floats, foreseen_shown: Floats) -> Estimate:
    """Doubly robust, with what a model foresees, both (rows, columns).

    `foreseen`: earned by the judged policy in this row, over all that it may show there; `foreseen_shown`: by what was
    shown. The model must not have learnt from these very rows.
    """
    return _estimate(log, (foreseen + log.ratio * (log.earned - foreseen_shown)).sum(axis=1))


def effective_sample(ratio: Floats) -> float:
    """How many rows of the judged policy's own would say as much; of several slots, the one that says least."""
    squares = (ratio**2).sum(axis=0)
    return float(np.min(np.divide(ratio.sum(axis=0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)))


def ratios(impression: Impression, ranker: Ranker, *, explore: bool) -> Ratios | None:
    """The ratios of a logged slate for this ranker, exploring or greedy.

    None for an impression that did not keep its chances, or what was known.
    """
    question = asked(impression)
    if question is None or impression.slate_propensity is None or not impression.picks:
        return None
    menu = question[1]
    shown = [menu.rows[pick.sauce] for pick in impression.picks]
    judged = chances(slates(ranker, *question, explore=explore), shown)
    logged = Chances(impression.slate_propensity, [pick.propensity for pick in impression.picks])
    return over(judged, logged)


def chances(could: Slates, shown: Sequence[int]) -> Chances:
    """How likely a policy shows these rows of the menu, in this order, and each in its slot."""
    greedy = [float(row == other) for row, other in zip_longest(shown, [*could.best, *could.rest])]
    if could.explored is None:
        return Chances(float(all(greedy)), greedy[: len(shown)])
    explored = could.explored.chances(shown[: len(could.best)])
    fills_up = greedy[len(could.best) :]
    return Chances(explored.slate * float(all(fills_up)), [*explored.slots, *fills_up][: len(shown)])


def foreseen(could: Slates, values: Floats) -> list[float]:
    """What a policy is foreseen to earn by slot, where each row of the menu is worth `values` (sauces,)."""
    best = values[could.best].tolist() if could.explored is None else could.explored.expected(values)
    return [*best, *values[could.rest].tolist()]


def over(judged: Chances, logged: Chances) -> Ratios:
    """The ratios of these chances."""
    by_slot = tuple(chance / was for chance, was in zip(judged.slots, logged.slots, strict=True))
    return Ratios(by_slot, judged.slate / logged.slate)


def _estimate(log: Log, rows: Floats) -> Estimate:
    """The mean of the rows, with the spread of the customers' sums."""
    count = len(rows)
    if not count:
        raise ValueError("no impressions to judge by")
    value = float(rows.mean())
    _, customer = np.unique(log.customer, return_inverse=True)
    off = np.bincount(customer, rows - value)
    # customers, not rows, are what is drawn: a small sample of them says a little less than it seems to
    error = float(np.sqrt((off**2).sum() * len(off) / max(len(off) - 1, 1))) / count
    return Estimate(value, value - Z_95 * error, value + Z_95 * error, effective_sample(log.ratio))


def log_of(rows: Sequence[tuple[Sequence[float], Ratios, int]]) -> Log:
    """A log with a column a slot, out of what each slot earned, its ratios, and whose it is."""
    return Log(
        np.array([earned for earned, _, _ in rows], dtype=np.float64),
        np.array([ratio.slots for _, ratio, _ in rows], dtype=np.float64),
        np.array([customer for _, _, customer in rows], dtype=np.int64),
    )
