"""Customers with a known preferred heat, on a menu that has every heat: what a profile and the last doses make of it.

A visit is a pour near the preferred heat, off by the mood of the day (a fifth each are mellow or bold, by 1.2 octaves,
which nobody is told) and by whim; some are rated. Nothing is rounded to a sauce, so that only the estimator is judged.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from heat.events import AnyData, Verdict
from heat.following import LATEST, Dose, dose
from heat.profile import Profile, contribution
from heat.reading import Reading, read
from heat.scale import MAX_MO, shu
from tests.strategies import poured, rated

FIRST_DAY = 20_000
HOTTEST_ON_SHELVES_MO = 14_000


@dataclass
class Customer:
    """One, and what a gateway keeps of them. Heats are in mo."""

    seed: int
    moody: bool = False
    whim_mo: float = 500
    slips: float = 0.02
    rates: float = 0.3
    day: int = FIRST_DAY
    profile: Profile = field(default_factory=Profile)
    latest: deque[Dose] = field(default_factory=lambda: deque(maxlen=LATEST))

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.preferred_mo = min(max(self.rng.gauss(8500, 2000), 4000), 12_000)

    def say(self, body: AnyData) -> None:
        """The gateway takes this in."""
        self.profile.fold(contribution(body, "gw-1", self.day))
        if (one := dose(body, self.day)) is not None:
            self.latest.append(one)

    def visit(self) -> None:
        """A pour, and perhaps a verdict."""
        mood = self.rng.choices((-1200, 0, 1200), (1, 3, 1))[0] if self.moody else 0
        wanted = self.preferred_mo + mood
        poured_mo = wanted + self.rng.gauss(0, self.whim_mo)
        if self.rng.random() < self.slips:
            poured_mo = self.rng.uniform(0, HOTTEST_ON_SHELVES_MO)
        self.pour(poured_mo)
        if self.rng.random() < self.rates:
            off = poured_mo - wanted
            verdict: Verdict = "too_hot" if off > 1000 else "more" if off < -1000 else "just_right"
            self.say(rated(shu(_on_the_scale(poured_mo)), verdict))

    def pour(self, heat_mo: float) -> None:
        """A pour of this heat."""
        self.say(poured(shu(_on_the_scale(heat_mo))))

    def come(self, visits: int, *, days_between: int = 2) -> None:
        """Some visits; with 0 days between them all are on one day, and the next ones on another."""
        for _ in range(visits):
            self.visit()
            self.day += days_between
        self.day += 0 if days_between else 1

    def reading(self) -> Reading:
        """What is served."""
        return read(self.profile, self.day, latest=self.latest)

    def averaged(self) -> Reading:
        """What the sums alone say."""
        return read(self.profile, self.day)


def _on_the_scale(heat_mo: float) -> int:
    return min(max(round(heat_mo), 0), MAX_MO)
