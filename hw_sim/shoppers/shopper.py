"""A shopper as all worlds know one: they arrive, say something or nothing, and remember what they poured.

How they choose, what they enjoy and what hurts is their world's own (`burn`, `satisficing`, `company`). A visit carries
a seed: whatever is asked of it (`choose`, `pour_ul`, `rate`) gives the same answer for the same question, in any order.
Two ways of choosing picks can therefore be compared on the very same visits. What a shopper remembers changes in
`pour_ul` alone.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from heat.catalog import Sauce
from heat.events import Verdict
from heat.scale import WordTable
from hw_sim.shoppers.taste import (
    MILD_C,
    MOOD_OCTAVES,
    MOODS,
    Taste,
    Visit,
    dial,
    octaves,
    round_shu,
    warmth,
    word,
)

EVENING, MORNING = 18, 11
"""Hours from which it is evening, and before which it is morning."""


@dataclass(slots=True)
class Shopper(ABC):
    """A customer. `token` is their loyalty token; without one nobody knows them again."""

    token: str | None
    taste: Taste
    visits_per_week: float
    since_day: int
    """The day on which they first can come: below 1 for who was there when it all began."""
    fame: Mapping[str, float]
    words: WordTable
    last: deque[Sauce] = field(default_factory=lambda: deque(maxlen=3))
    """The sauces had last, newest first."""

    def arrive(self, rng: random.Random, day: int = 0, hour: int = 12, temperature_c: float = MILD_C) -> Visit:
        """A new visit: on which day (from 0), at which local hour, in what weather."""
        taste, drifted = self.taste, self.taste.drift.octaves(day)
        moved = drifted + self.aftertaste()
        company, company_octaves = self.beside(rng, hour)
        mood = rng.choices(MOODS, (1, 3, 1))[0]
        craving = MOOD_OCTAVES * (MOODS.index(mood) - 1) + rng.gauss(0, 0.3)
        craving += taste.warmth_octaves * warmth(temperature_c)
        craving += taste.evening_octaves * ((hour >= EVENING) - (hour < MORNING))
        craving += company_octaves
        wanted = taste.preferred_octaves + moved + craving
        turned = dial(self.words, wanted + rng.gauss(0, 0.7)) if rng.random() < 0.35 else None
        said_shu = said_word = None
        if rng.random() < 0.12:
            believed = taste.preferred_octaves + drifted + rng.gauss(0, 0.9)
            if rng.random() < 0.3:
                said_shu = round_shu(believed)
            else:
                said_word = word(self.words, believed)
        told = mood if rng.random() < 0.4 else None
        seed = rng.getrandbits(48)
        return Visit(told, turned, said_shu, said_word, day, hour, temperature_c, seed, moved, craving, company)

    def beside(self, rng: random.Random, hour: int) -> tuple[str | None, float]:  # noqa: ARG002 -- a world's to use
        """Who stands beside them, and the octaves that this moves what they want; nobody where it is of no account."""
        return None, 0.0

    def aftertaste(self) -> float:
        """Octaves that the last doses move what this mouth wants and stands."""
        return 0.0

    def wanted_octaves(self, visit: Visit) -> float:
        """The heat that is wanted on this visit."""
        return self.taste.preferred_octaves + visit.mouth_octaves + visit.craving_octaves

    @abstractmethod
    def enjoyment(self, visit: Visit, sauce: Sauce) -> float:
        """How much this shopper would truly enjoy this sauce on this visit: its order is what counts."""

    @abstractmethod
    def tolerance_octaves(self, visit: Visit) -> float:
        """The heat above which it hurts on this visit, in octaves over 16 SHU."""

    @abstractmethod
    def choose(self, visit: Visit, on_offer: Sequence[Sauce], shown: Sequence[str] = ()) -> str | None:
        """The sauce that this shopper pours, or None if they walk away. `shown` are the picks' ids, slot by slot."""

    @abstractmethod
    def rate(self, visit: Visit, sauce: Sauce) -> Verdict | None:
        """What the shopper presses after tasting the sauce, if anything."""

    def pour_ul(self, visit: Visit, sauce: Sauce) -> int:
        """How much of the sauce is poured, in µl. The shopper remembers having had it."""
        self.last.appendleft(sauce)
        rng = random.Random(visit.seed + 1)
        burn = self.taste.burn(octaves(sauce.shu) - visit.mouth_octaves)
        return max(round(6000 * (1.1 - burn) * rng.lognormvariate(0, 0.4)), 200)
