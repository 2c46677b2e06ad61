"""The latest doses, one by one -> where taste lies today: a change is followed, a slip of the finger is not.

Sums of day buckets have no order: the taste of today is averaged with that of last month. So whoever serves picks keeps
the last doses of a customer as they came, and `follow` says what they tell beyond the sums. It is Bayesian change point
detection over a short list (Adams and MacKay, 2007), with observations some of which were not meant:

    steady          what older sums say -> dose 1 -> ... -> dose n
    changed at i    the same up to dose i - 1, and from dose i on a new taste, somewhere around the old one

Under each hypothesis taste is a Gaussian, which one dose after the other moves. A dose lies near the taste or, if it
was a slip, anywhere; it moves the belief by the chance that it was meant. The hypotheses are weighed by how well they
foretold the doses. What comes out is the Gaussian with the mean and variance of them all: wide while it is open
whether somebody has changed.

A new taste shows in three doses at least: one is a slip or a guest, two are a mood. How far the doses of a steady taste
scatter is learned from the steps between them, of which a change makes one and a slip two.

Pure, and in floats: nothing of this is summed, digested or compared between engines, as what is in `heat.profile` is.
The numbers were chosen in simulation (docs/adr/0038). Called by `heat.reading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, sqrt, tau
from typing import NamedTuple

from heat.events import AnyData, Kind, Poured, Rated, Stated

LATEST = 20
"""Doses and verdicts that are kept of a customer, those of some ten visits. What is older is in the sums alone."""
STARTS = 12
"""The last doses at which taste may have changed; what changed earlier is foretold by the one of them it is next to."""
CHANGE = 0.005
"""Chance that taste changes at a dose: once in two hundred."""
CHANGE_VARIANCE = 2.5**2
"""Octaves squared: how far from the old taste the new one is looked for; the brand's customers differ as much."""
LEAST_NEW = 3
"""Doses in which a new taste has to show."""
SLIP = 0.02
"""Chance that a dose was not meant: a wrong button, somebody else's plate. It is less for who is hardly known: there is
nothing that a strange dose would be strange for."""
RANGE = 20.0
"""Octaves in which a slip lies: the whole scale."""
USUAL_VARIANCE = 4 / 3
"""Octaves squared: how far pours of a steady taste scatter. That is what their weight of 12 says."""
USUAL_STEPS = 8
"""Steps that the usual scatter counts as, against the customer's own."""
WILD_STEPS = 2
"""The largest steps, which don't count: those of a change or a slip."""
LEAST_SCATTER, MOST_SCATTER = 0.5, 3.0
"""Bounds of a customer's scatter, over the usual one."""


class Dose(NamedTuple):
    """One piece of evidence, at the heat of the label. A negative day is a boot whose time is not known yet."""

    day: int
    kind: Kind
    mo: int
    w: int


class Belief(NamedTuple):
    """A Gaussian over the preferred heat: octaves, and octaves squared."""

    mean: float
    variance: float


class Seen(NamedTuple):
    """A dose that says where taste lies. `again`: it is about the same dose as the one before it, as a verdict is."""

    octaves: float
    variance: float
    again: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """What is believed after the doses.

    `steady` is the chance that taste has been the same since before the first, `since[i]` that it has since dose i.
    """

    belief: Belief
    steady: float
    since: tuple[float, ...]


def dose(body: AnyData, day: int) -> Dose | None:
    """What `follow` keeps of an event, if it is one piece of evidence."""
    match body:
        case Poured():
            return Dose(day, "poured", body.heat.milli_octaves, body.w)
        case Rated():
            return Dose(day, body.verdict, body.heat.milli_octaves, body.w)
        case Stated():
            return Dose(day, "stated", body.heat.milli_octaves, body.w)
        case _:
            return None


def scatter(seen: Iterable[Seen]) -> float:
    """How far a customer's doses scatter about their taste, over the usual: a ratio of variances."""
    heats = [one.octaves for one in seen if not one.again]
    # half the square of a step is the variance, whatever the mean, and wherever that has moved
    steps = sorted((b - a) ** 2 / 2 for a, b in pairwise(heats))
    kept = steps[: max(len(steps) - WILD_STEPS, 0)]
    counted = len(kept) + USUAL_STEPS
    variance = (sum(kept) * _untrimmed(len(steps)) + USUAL_STEPS * USUAL_VARIANCE) / counted
    return min(max(variance / USUAL_VARIANCE, LEAST_SCATTER), MOST_SCATTER)


def _untrimmed(steps: int) -> float:
    """What the sum of squares lost with its largest terms, as a factor: about that of `steps` squares of a Gaussian."""
    return 1 + 4.5 / float(max(steps - WILD_STEPS, 1) ** 0.8)


def follow(belief: Belief, seen: Sequence[Seen]) -> Followed:
    """What is believed after the doses, oldest first, of whom `belief` was held before them."""
    ended = [_run(belief, seen)]
    starts = _starts(seen)
    held, told, at = belief, 1.0, 0
    for start in starts:
        held, likelihood = _run(held, seen[at:start])
        told, at = told * likelihood, start
        after, likelihood = _run(Belief(held.mean, held.variance + CHANGE_VARIANCE), seen[start:])
        ended.append((after, told * CHANGE * likelihood))
    whole = sum(likelihood for _, likelihood in ended)
    parts = [(likelihood / whole, one.mean, one.variance) for one, likelihood in ended]
    mean = sum(share * middle for share, middle, _ in parts)
    variance = sum(share * (variance + (middle - mean) ** 2) for share, middle, variance in parts)
    steady = parts[0][0]
    begun = dict(zip(starts, (share for share, _, _ in parts[1:]), strict=True))
    since = tuple(accumulate((begun.get(at, 0.0) for at in range(len(seen))), initial=steady))[1:]
    return Followed(Belief(mean, variance), steady, since)


def _starts(seen: Sequence[Seen]) -> list[int]:
    """The doses at which a new taste may have begun: late ones, but with enough after them to show it."""
    doses = [at for at, one in enumerate(seen) if not one.again]
    return [at for at in doses[: 1 - LEAST_NEW] if at >= len(seen) - STARTS]


def _run(belief: Belief, seen: Iterable[Seen]) -> tuple[Belief, float]:
    """The belief after some doses, the first of which is no verdict on one before, and how likely they were.

    Of 20 doses that is 1e-60 at least. Plain floats and one loop: this is called a dozen times for each answer.
    """
    (mean, variance), told, meant = belief, 1.0, 1.0
    for octaves, noise, again in seen:
        off, spread = octaves - mean, variance + noise
        # a verdict was meant as far as the dose was that it is about
        chance = meant if again else 1 - SLIP * noise / spread
        near = chance * exp(off * off / (-2 * spread)) / sqrt(tau * spread)
        likelihood = near + (1 - chance) / RANGE
        told *= likelihood
        meant = near / likelihood
        gain = variance / spread
        variance += meant * gain * ((1 - meant) * gain * off * off - variance)
        mean += meant * gain * off
    return Belief(mean, variance), told
