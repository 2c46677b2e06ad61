"""The first world: people weigh how much it burns against how it tastes.

Nothing here is made of what a ranker or a profile computes. Burn is a saturating function of capsaicin, felt against a
personal sensitivity; pleasure falls off around a wanted burn, faster above than below; flavours work in pairs; the
weather moves them; the last sauces bore or bind. So a ranker has to find a taste that is not of its own making.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from heat.catalog import Sauce
from heat.events import Verdict
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import Visit, gumbel, octaves, slipped, warmth

SLOT_BOOST = (0.7, 0.5, 0.4)
"""Utility that being shown adds, by slot, for a shopper who looks at the screen."""
PAIRS: tuple[tuple[str, str, float], ...] = (
    ("smoky", "sweet", 0.6),
    ("citrus", "garlic", 0.4),
    ("umami", "smoky", 0.3),
    ("fruity", "sweet", -0.2),
    ("vinegar", "earthy", -0.5),
)
"""Flavours that do more, or less, together than apart."""
SUMMERY, WINTRY = ("citrus", "fruity"), ("smoky", "earthy")
SEASON = 0.25
"""Utility that warm weather gives a summery sauce, and takes from a wintry one."""


@dataclass(slots=True)
class BurnShopper(Shopper):
    """A customer who takes what has the highest utility, felt with noise."""

    def enjoyment(self, visit: Visit, sauce: Sauce) -> float:
        """The utility of this sauce, in nats."""
        taste = self.taste
        burn = self.felt(visit, sauce)
        off = (burn - self.wanted_burn(visit)) / 0.12
        joy = -taste.fussiness * math.pow(abs(off), 1.5) * (1.3 if off > 0 else 1.0)
        if burn > taste.tolerance:
            joy -= 3 * (burn - taste.tolerance) / 0.1
        joy += sum(taste.flavours.get(tag, 0.0) for tag in sauce.flavours)
        joy += taste.pairing * sum(lift for a, b, lift in PAIRS if a in sauce.flavours and b in sauce.flavours)
        summery = any(tag in sauce.flavours for tag in SUMMERY) - any(tag in sauce.flavours for tag in WINTRY)
        joy += SEASON * summery * warmth(visit.temperature_c)
        if "fruity" in sauce.flavours and burn > 0.5:
            joy += 0.4
        joy += taste.conformity * self.fame.get(sauce.id, 0.0)
        for age, had in enumerate(self.last):
            if had.id == sauce.id:
                joy -= taste.variety / 2**age
        return joy

    def tolerance_octaves(self, visit: Visit) -> float:
        """The heat that burns as much as this mouth stands."""
        return self.taste.hurts_from_octaves() + visit.mouth_octaves

    def choose(self, visit: Visit, on_offer: Sequence[Sauce], shown: Sequence[str] = ()) -> str | None:
        """The sauce of the highest utility; None where walking away has a higher one."""
        rng = random.Random(visit.seed)
        if (slip := slipped(rng, self.taste, [sauce.id for sauce in on_offer])) is not None:
            return slip
        best, best_joy = None, self.taste.leave + gumbel(rng)
        for sauce in on_offer:
            joy = self.enjoyment(visit, sauce) + gumbel(rng)
            if sauce.id in shown[: len(SLOT_BOOST)]:
                joy += self.taste.attention * SLOT_BOOST[list(shown).index(sauce.id)]
            if joy > best_joy:
                best, best_joy = sauce.id, joy
        return best

    def rate(self, visit: Visit, sauce: Sauce) -> Verdict | None:
        """Too hot where it hurts; more or less often the truth elsewhere."""
        rng = random.Random(visit.seed + 2)
        if rng.random() >= self.taste.rates:
            return None
        felt = self.felt(visit, sauce) + rng.gauss(0, 0.04)
        off = felt - self.wanted_burn(visit)
        if felt > self.taste.tolerance:
            return "too_hot" if rng.random() < 0.9 else "just_right"
        if off > 0.12:
            return "too_hot" if rng.random() < 0.4 else "just_right"
        if off < -0.1:
            return "more" if rng.random() < 0.7 else "just_right"
        return "just_right" if rng.random() < 0.95 else "more"

    def felt(self, visit: Visit, sauce: Sauce) -> float:
        """How much this sauce burns today, 0..1."""
        return self.taste.burn(octaves(sauce.shu) - visit.mouth_octaves)

    def wanted_burn(self, visit: Visit) -> float:
        """How much it should burn today, 0..1."""
        return self.taste.burn(self.taste.preferred_octaves + visit.craving_octaves)
