"""What a shopper truly likes, and one visit of theirs: plain values, drawn from a seed.

A visit has what the dispenser is told, what anybody can see (day, hour, weather), and from `seed` on what nobody is
told.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heat.catalog import Catalog
from heat.scale import WordTable

TEMPERS: tuple[tuple[float, float, float], ...] = (
    (0.42, 6.6, 1.3),
    (0.36, 9.4, 1.2),
    (0.17, 12.2, 1.2),
    (0.05, 15.0, 0.9),
)
"""Share of the population, mean and deviation of its preferred heat in octaves over 16 SHU: about 1,500, 11,000,
75,000 and 500,000 SHU."""
MILDEST, HOTTEST = 3.0, 17.0
"""Octaves; nobody who comes prefers less, or more."""
MOODS = ("mellow", "usual", "bold")
MOOD_OCTAVES = 1.2
"""Octaves that a mellow or bold mood moves the wanted heat."""
MILD_C, WARMER_C = 18.0, 9.0
"""°C at which the weather moves nobody, and how many more are felt as warm; colder and hotter is felt less and less."""
DRIFTS_BY_WEEKS, CHANGES_AT_ONCE = 0.25, 0.12
"""Shares of the shoppers whose taste moves slowly, and of those whose taste moves by two octaves from one day to the
next; the others keep theirs."""
DRIFT_WITHIN = 2.5
"""Octaves; no slow drift goes further."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How a taste moves as the weeks go: slowly, or at once on one day."""

    octaves_a_week: float = 0.0
    turns_on_day: int | None = None
    turn_octaves: float = 0.0

    def octaves(self, day: int) -> float:
        """How far the taste lies on this day (from 0) from what it was on day 0."""
        slow = min(max(self.octaves_a_week * day / 7, -DRIFT_WITHIN), DRIFT_WITHIN)
        return slow + (self.turn_octaves if self.turns_on_day is not None and day >= self.turns_on_day else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """A shopper's truth. Burn runs from 0 to 1; utilities are in nats. Each world reads it in its own way."""

    preferred_octaves: float
    half_burn_octaves: float
    """The heat that burns half as much as anything can: a low one is a sensitive mouth."""
    steepness: float
    tolerance: float
    """The burn above which it hurts."""
    fussiness: float
    """Utility lost when the burn is off by 0.12."""
    flavours: Mapping[str, float]
    pairing: float
    conformity: float
    """How much a sauce's fame counts."""
    variety: float
    """Utility that a sauce loses for having been the last one; negative for creatures of habit."""
    leave: float
    """Utility of pouring nothing."""
    attention: float
    """0 for who never looks at the screen."""
    mistap: float
    rates: float
    """Chance of pressing a verdict after a pour; 0 for who never does."""
    drift: Drift = Drift()
    warmth_octaves: float = 0.0
    """Octaves that a warm day moves the wanted heat."""
    evening_octaves: float = 0.0
    """Octaves that an evening adds to the wanted heat, and a morning takes away."""
    mouth: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Octaves that the last two doses move what this mouth wants and stands (in the world `company` alone): after mild
    and mild, mild then hot, hot then mild, hot and hot."""

    def burn(self, octaves: float) -> float:
        """How much a heat burns in this mouth before any drift, 0..1."""
        return 1 / (1 + math.pow(2, -self.steepness * (octaves - self.half_burn_octaves)))

    def hurts_from_octaves(self) -> float:
        """The heat that burns as much as this mouth stands, before any drift."""
        return self.half_burn_octaves + math.log2(self.tolerance / (1 - self.tolerance)) / self.steepness


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit.

    At most one of `said_shu`, `said_word` is set: a preference stated before pouring. `dial` is 0..100, `hour` is local
    (0..23), `day` counts from 0, `temperature_c` is the weather's.
    """

    mood: str | None
    dial: int | None
    said_shu: int | None
    said_word: str | None
    day: int
    hour: int
    temperature_c: float
    seed: int
    mouth_octaves: float
    """How far the mouth has moved since day 0, in what it wants and in what it stands: by drift, and by what it had."""
    craving_octaves: float
    """How far today's wanted heat lies from the usual one of these weeks: by mood, weather, hour and chance."""
    company: str | None = None
    """Who stands beside the shopper; None if that is of no account in their world."""


def draw_taste(rng: random.Random, catalog: Catalog) -> Taste:
    """The taste of one more shopper."""
    _, mean, deviation = rng.choices(TEMPERS, [share for share, _, _ in TEMPERS])[0]
    preferred = min(max(rng.gauss(mean, deviation), MILDEST), HOTTEST)
    half, steepness = preferred + rng.gauss(0, 1.5), rng.uniform(0.5, 0.95)
    wanted = 1 / (1 + math.pow(2, -steepness * (preferred - half)))
    return Taste(
        preferred_octaves=preferred,
        half_burn_octaves=half,
        steepness=steepness,
        tolerance=min(wanted + rng.uniform(0.08, 0.3), 0.98),
        fussiness=rng.lognormvariate(0.5, 0.4),
        flavours={tag: rng.gauss(0, 0.7) for tag in catalog.flavours},
        pairing=rng.gauss(1, 0.5),
        conformity=rng.uniform(0.2, 1.0),
        variety=rng.gauss(0.1, 0.9),
        leave=rng.gauss(-3.0, 0.7),
        attention=0.0 if rng.random() < 0.25 else rng.uniform(0.5, 1.2),
        mistap=0.02,
        rates=0.0 if rng.random() < 0.35 else rng.betavariate(2, 3),
        drift=_drift(rng, preferred),
        warmth_octaves=rng.gauss(-0.3, 0.3),
        evening_octaves=rng.gauss(0.2, 0.3),
        mouth=_mouth(rng),
    )


def _drift(rng: random.Random, preferred: float) -> Drift:
    """Away from the end of the scale that is near: who stands next to nothing does not come to a hot sauce at all."""
    kind, way = rng.random(), 1.0 if preferred < MILDEST + DRIFT_WITHIN else rng.choice((-1.0, 1.0))
    if kind < DRIFTS_BY_WEEKS:
        return Drift(octaves_a_week=way * abs(rng.gauss(0, 0.15)))
    if kind < DRIFTS_BY_WEEKS + CHANGES_AT_ONCE:
        return Drift(turns_on_day=rng.randrange(10, 80), turn_octaves=2 * way)
    return Drift()


def _mouth(rng: random.Random) -> tuple[float, float, float, float]:
    """Four numbers around 0, so that a mouth wants by and large what its owner says."""
    a, b, c, d = (rng.gauss(0, 0.9) for _ in range(4))
    middle = (a + b + c + d) / 4
    return a - middle, b - middle, c - middle, d - middle


def octaves(shu: float) -> float:
    """A heat in octaves over 16 SHU."""
    return math.log2(1 + shu / 16)


def warmth(celsius: float) -> float:
    """How warm the weather feels: 0 where it moves nobody, 0.76 when it is warm, at most 1; below 0 when it is cold."""
    return math.tanh((celsius - MILD_C) / WARMER_C)


def gumbel(rng: random.Random) -> float:
    """The noise with which a logit's utilities are felt."""
    return -math.log(-math.log(min(max(rng.random(), 1e-12), 1 - 1e-12)))


def dial(words: WordTable, wanted: float) -> int:
    """Where a dial of this table is turned by who wants so many octaves, 0..100."""
    low, high = octaves(words.dial_low_shu), octaves(words.dial_high_shu)
    return min(max(round(100 * (wanted - low) / (high - low)), 0), 100)


def word(words: WordTable, wanted: float) -> str:
    """The word whose range holds this heat; the nearest one outside all ranges."""
    for category in words.categories:
        if wanted < octaves(category.high_shu):
            return category.word
    return words.categories[-1].word


def round_shu(wanted: float) -> int:
    """An SHU as people say it: one digit and zeros."""
    shu = 16 * (math.pow(2, min(max(wanted, 2.0), 17.5)) - 1)
    scale = math.pow(10, math.floor(math.log10(shu)))
    return int(round(shu / scale) * scale)


def slipped(rng: random.Random, taste: Taste, on_offer: Sequence[str]) -> str | None:
    """The sauce that a finger hit by mistake; None where it hit what was meant."""
    return rng.choice(on_offer) if on_offer and rng.random() < taste.mistap else None
