"""What customers made of the picks of a new bundle, against the one before: is it to be taken back? Pure.

Two things count against a bundle: answers that it could not give, and customers who called what it showed too hot. The
second is judged by Fisher's exact test on the ratings of poured picks, each time one comes, against those of the
bundle before and a few that any bundle is granted:

    P(as many or more of all those *too hot* fall on the new bundle, by chance) < 1 in 1,000

Looking after every rating finds such a chance more often than once in a thousand, but a bundle is judged on no more
than `JUDGED` ratings: of a thousand simulated bundles as good as those before them, 1 % or fewer were taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma

MAX_ERRORS = 3
"""Answers that a bundle may fail to give, until it is settled."""
JUDGED = 300
"""Ratings after which a bundle is settled: by then a rate of 5 % that became 15 % has long been found."""
GRANTED = (50, 5)
"""Ratings, and *too hot* among them, that the bundle before counts as having had: the first of a store mean little."""
CHANCE = 0.001


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a ranker's answers. `rated`: ratings of picks that were poured; `too_hot`: of these."""

    answers: int = 0
    errors: int = 0
    rated: int = 0
    too_hot: int = 0


def why_back(now: Outcomes, before: Outcomes) -> str | None:
    """Why the bundle that is `now` used is to be taken back, if it is."""
    if now.errors >= MAX_ERRORS:
        return f"it failed {now.errors} of {now.answers} answers"
    if by_chance(now, before) < CHANCE:
        usual = 100 * (before.too_hot + GRANTED[1]) / (before.rated + GRANTED[0])
        rate = 100 * now.too_hot / now.rated
        return f"{now.too_hot} of {now.rated} ratings were 'too hot' ({rate:.0f} %, {usual:.0f} % before)"
    return None


def settled(now: Outcomes) -> bool:
    """Whether enough customers have rated its picks."""
    return now.rated >= JUDGED


def by_chance(now: Outcomes, before: Outcomes) -> float:
    """The chance of as many *too hot* as the new bundle has, or more, if both were alike: Fisher's exact test.

    In logarithms, and no further than its terms count: a store may have heard of the bundle before for years.
    """
    rated, hot = before.rated + GRANTED[0], before.too_hot + GRANTED[1]
    all_hot = hot + now.too_hot
    whole = _log_ways(rated + now.rated, all_hot)
    chance = 0.0
    for k in range(now.too_hot, min(now.rated, all_hot) + 1):
        term = exp(_log_ways(now.rated, k) + _log_ways(rated, all_hot - k) - whole)
        chance += term
        if k * (rated + now.rated) > now.rated * all_hot and term < CHANCE / 1e9:
            break  # beyond the most likely number they only fall
    return chance


def _log_ways(of: int, chosen: int) -> float:
    """The logarithm of the ways to choose so many of so many."""
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)
