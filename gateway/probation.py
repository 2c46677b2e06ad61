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
from math import exp, inf, lgamma, log

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
    all_hot, first = hot + now.too_hot, now.too_hot
    chance, term = 0.0, _log_ways(now.rated, first) + _log_ways(rated, hot) - _log_ways(rated + now.rated, all_hot)
    for k in range(first, min(now.rated, all_hot) + 1):
        chance += exp(term)
        ratio = (now.rated - k) * (all_hot - k) / ((k + 1) * (rated - all_hot + k + 1))
        if ratio < 1 and exp(term) < CHANCE / 1e9:
            break  # from here on they only fall
        term += log(ratio) if ratio else -inf
    return chance


def _log_ways(of: int, chosen: int) -> float:
    """The logarithm of the ways to choose so many of so many."""
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)
