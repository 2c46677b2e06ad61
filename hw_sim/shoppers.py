"""Customers with a known true taste: who comes to a dispenser, what they say, pour and press there.

Used live, one visit after another beside a simulated dispenser, and in bulk, to make the logs a ranker is trained and
judged on. Nothing here is made of what a ranker or a profile computes. Burn is a saturating function of capsaicin, felt
against a personal sensitivity; pleasure falls off around a wanted burn, faster above than below; flavours work in
pairs; the last sauces bore or bind. So a ranker has to find a taste that is not of its own making.

A visit carries a seed: whatever is asked of it (`choose`, `pour_ul`, `rate`) gives the same answer for the same
question, in any order. Two ways of choosing picks can therefore be compared on the very same visits. What a shopper
remembers changes in `pour_ul` alone.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from heat.catalog import Catalog, Sauce
from heat.events import Verdict
from heat.scale import WordTable, default_words

MOODS = ("mellow", "usual", "bold")
MOOD_OCTAVES = 1.2
"""Octaves that a mellow or bold mood moves the wanted heat."""
SLOT_BOOST = (0.7, 0.5, 0.4)
"""Utility that being shown adds, by slot, for a shopper who looks at the screen."""
TEMPERS: tuple[tuple[float, float, float], ...] = (
    (0.42, 6.6, 1.3),
    (0.36, 9.4, 1.2),
    (0.17, 12.2, 1.2),
    (0.05, 15.0, 0.9),
)
"""Share of the population, mean and deviation of its preferred heat in octaves over 16 SHU: about 1,500, 11,000,
75,000 and 500,000 SHU."""
PAIRS: tuple[tuple[str, str, float], ...] = (
    ("smoky", "sweet", 0.6),
    ("citrus", "garlic", 0.4),
    ("umami", "smoky", 0.3),
    ("fruity", "sweet", -0.2),
    ("vinegar", "earthy", -0.5),
)
"""Flavours that do more, or less, together than apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """A shopper's truth. Burn runs from 0 to 1; utilities are in nats."""

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

    def burn(self, octaves: float) -> float:
        """How much a heat burns in this mouth, 0..1."""
        return 1 / (1 + math.pow(2, -self.steepness * (octaves - self.half_burn_octaves)))


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: what the shopper tells the dispenser, and (from `seed` on) what nobody is told.

    At most one of `said_shu`, `said_word` is set: a preference stated before pouring. `dial` is 0..100.
    """

    mood: str | None
    dial: int | None
    said_shu: int | None
    said_word: str | None
    seed: int
    craving_octaves: float
    """How far today's wanted heat lies from the usual one."""


@dataclass(slots=True)
class Shopper:
    """A customer. `token` is their loyalty token; without one nobody knows them again."""

    token: str | None
    taste: Taste
    visits_per_week: float
    fame: Mapping[str, float]
    words: WordTable
    last: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    """The sauces had last, newest first."""

    def arrive(self, rng: random.Random) -> Visit:
        """A new visit."""
        mood = rng.choices(MOODS, (1, 3, 1))[0]
        craving = MOOD_OCTAVES * (MOODS.index(mood) - 1) + rng.gauss(0, 0.3)
        wanted = self.taste.preferred_octaves + craving
        dial = _dial(self.words, wanted + rng.gauss(0, 0.7)) if rng.random() < 0.35 else None
        said_shu = said_word = None
        if rng.random() < 0.12:
            believed = self.taste.preferred_octaves + rng.gauss(0, 0.9)
            if rng.random() < 0.3:
                said_shu = _round_shu(believed)
            else:
                said_word = _word(self.words, believed)
        told = mood if rng.random() < 0.4 else None
        return Visit(told, dial, said_shu, said_word, rng.getrandbits(48), craving)

    def enjoyment(self, visit: Visit, sauce: Sauce) -> float:
        """How much this shopper would truly enjoy this sauce on this visit."""
        taste = self.taste
        burn = taste.burn(_octaves(sauce.shu))
        off = (burn - self._wanted_burn(visit)) / 0.12
        joy = -taste.fussiness * math.pow(abs(off), 1.5) * (1.3 if off > 0 else 1.0)
        if burn > taste.tolerance:
            joy -= 3 * (burn - taste.tolerance) / 0.1
        joy += sum(taste.flavours.get(tag, 0.0) for tag in sauce.flavours)
        joy += taste.pairing * sum(lift for a, b, lift in PAIRS if a in sauce.flavours and b in sauce.flavours)
        if "fruity" in sauce.flavours and burn > 0.5:
            joy += 0.4
        joy += taste.conformity * self.fame.get(sauce.id, 0.0)
        for age, had in enumerate(self.last):
            if had == sauce.id:
                joy -= taste.variety / 2**age
        return joy

    def choose(self, visit: Visit, on_offer: Sequence[Sauce], shown: Sequence[str] = ()) -> str | None:
        """The sauce that this shopper pours, or None if they walk away. `shown` are the picks' ids, slot by slot."""
        rng = random.Random(visit.seed)
        if on_offer and rng.random() < self.taste.mistap:
            return rng.choice(on_offer).id
        best, best_joy = None, self.taste.leave + _gumbel(rng)
        for sauce in on_offer:
            joy = self.enjoyment(visit, sauce) + _gumbel(rng)
            if sauce.id in shown[: len(SLOT_BOOST)]:
                joy += self.taste.attention * SLOT_BOOST[list(shown).index(sauce.id)]
            if joy > best_joy:
                best, best_joy = sauce.id, joy
        return best

    def pour_ul(self, visit: Visit, sauce: Sauce) -> int:
        """How much of the sauce is poured, in µl. The shopper remembers having had it."""
        self.last.appendleft(sauce.id)
        rng = random.Random(visit.seed + 1)
        burn = self.taste.burn(_octaves(sauce.shu))
        return max(round(6000 * (1.1 - burn) * rng.lognormvariate(0, 0.4)), 200)

    def rate(self, visit: Visit, sauce: Sauce) -> Verdict | None:
        """What the shopper presses after tasting the sauce, if anything."""
        rng = random.Random(visit.seed + 2)
        if rng.random() >= self.taste.rates:
            return None
        felt = self.taste.burn(_octaves(sauce.shu)) + rng.gauss(0, 0.04)
        off = felt - self._wanted_burn(visit)
        if felt > self.taste.tolerance:
            return "too_hot" if rng.random() < 0.9 else "just_right"
        if off > 0.12:
            return "too_hot" if rng.random() < 0.4 else "just_right"
        if off < -0.1:
            return "more" if rng.random() < 0.7 else "just_right"
        return "just_right" if rng.random() < 0.95 else "more"

    def _wanted_burn(self, visit: Visit) -> float:
        return self.taste.burn(self.taste.preferred_octaves + visit.craving_octaves)


class Crowd:
    """A population of shoppers, drawn from one seed; other seeds are other people.

    `kind` is how they choose: as the module says, or another class that does it its own way.
    """

    def __init__(self, seed: int, size: int, catalog: Catalog, kind: type[Shopper] = Shopper) -> None:
        rng = random.Random(seed)
        fame = _fame(catalog)
        self.catalog = catalog
        self.shoppers = tuple(_shopper(rng, kind, f"{seed:x}-{number:06d}", catalog, fame) for number in range(size))
        self._weights = [shopper.visits_per_week for shopper in self.shoppers]

    def draw(self, rng: random.Random) -> Shopper:
        """Who comes next: frequent visitors more often."""
        return rng.choices(self.shoppers, self._weights)[0]

    def arrivals(self, rng: random.Random, days: int) -> Iterator[tuple[int, Shopper]]:
        """Everybody who comes within `days` days, as (day from 0, shopper), in the order of their coming."""
        for day in range(days):
            today = [shopper for shopper in self.shoppers if rng.random() < shopper.visits_per_week / 7]
            rng.shuffle(today)
            for shopper in today:
                yield day, shopper


def _shopper(
    rng: random.Random, kind: type[Shopper], name: str, catalog: Catalog, fame: Mapping[str, float]
) -> Shopper:
    token = f"loyal-{name}" if rng.random() < 0.6 else None
    return kind(token, _taste(rng, catalog), min(rng.lognormvariate(0.2, 0.7), 7.0), fame, default_words())


def _taste(rng: random.Random, catalog: Catalog) -> Taste:
    _, mean, deviation = rng.choices(TEMPERS, [share for share, _, _ in TEMPERS])[0]
    preferred = min(max(rng.gauss(mean, deviation), 3.0), 17.0)
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
    )


def _fame(catalog: Catalog) -> dict[str, float]:
    """How well known each sauce is: log of its popularity over the average one's."""
    average = sum(sauce.popularity + 0.5 for sauce in catalog.values()) / len(catalog)
    return {sauce.id: math.log((sauce.popularity + 0.5) / average) for sauce in catalog.values()}


def _octaves(shu: float) -> float:
    return math.log2(1 + shu / 16)


def _gumbel(rng: random.Random) -> float:
    return -math.log(-math.log(min(max(rng.random(), 1e-12), 1 - 1e-12)))


def _dial(words: WordTable, octaves: float) -> int:
    low, high = _octaves(words.dial_low_shu), _octaves(words.dial_high_shu)
    return min(max(round(100 * (octaves - low) / (high - low)), 0), 100)


def _word(words: WordTable, octaves: float) -> str:
    """The word whose range holds this heat; the nearest one outside all ranges."""
    for category in words.categories:
        if octaves < _octaves(category.high_shu):
            return category.word
    return words.categories[-1].word


def _round_shu(octaves: float) -> int:
    """An SHU as people say it: one digit and zeros."""
    shu = 16 * (math.pow(2, min(max(octaves, 2.0), 17.5)) - 1)
    scale = math.pow(10, math.floor(math.log10(shu)))
    return int(round(shu / scale) * scale)
