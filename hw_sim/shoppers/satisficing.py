"""The second world: people don't weigh, they take the first sauce that will do.

A second truth, so that a ranker isn't judged only on people who choose as the first one says. A satisficer has a range
of heat, hard at both ends, two flavours loved and one hated. Eyes wander over the nozzles, from the picks on the screen
if the shopper looks at it, from the last sauce if habit is stronger; the first sauce in range with a loved flavour and
no hated one is taken, else the first in range, else nothing. No utilities are added up, and nothing is logit about it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from heat.catalog import Sauce
from heat.events import Verdict
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import Visit, octaves, slipped

LOOKS = 0.8
"""Chance that a shopper who ever looks at the screen does so on a visit."""
MILDER, HOTTER = 1.3, 0.7
"""How far the range reaches down and up, in reaches: hotter than usual is feared more than milder."""


@dataclass(slots=True)
class Satisficer(Shopper):
    """A customer who takes the first sauce that will do."""

    def enjoyment(self, visit: Visit, sauce: Sauce) -> float:
        """2 for a sauce that will do well, 1 for one that will do, else minus the octaves out of range."""
        if self._will_do(visit, sauce):
            return 2.0 if self._loved(sauce) else 1.0
        return -abs(self._out_of_range(visit, sauce))

    def tolerance_octaves(self, visit: Visit) -> float:
        """The upper end of today's range."""
        return self.wanted_octaves(visit) + HOTTER * self._reach()

    def choose(self, visit: Visit, on_offer: Sequence[Sauce], shown: Sequence[str] = ()) -> str | None:
        """The first sauce that will do well, else the first that will do, else None."""
        rng = random.Random(visit.seed)
        if (slip := slipped(rng, self.taste, [sauce.id for sauce in on_offer])) is not None:
            return slip
        wandering = rng.sample(list(on_offer), len(on_offer))
        looks = self.taste.attention > 0 and rng.random() < LOOKS
        habit = [sauce.id for sauce in self.last][:1] if self.taste.variety < 0 else []
        first = list(shown) if looks else habit
        wandering.sort(key=lambda sauce: first.index(sauce.id) if sauce.id in first else len(first))
        fitting = [sauce for sauce in wandering if self._will_do(visit, sauce)]
        return next((sauce.id for sauce in [*filter(self._loved, fitting), *fitting]), None)

    def rate(self, visit: Visit, sauce: Sauce) -> Verdict | None:
        """Too hot above the range, more below it, just right within; not every time."""
        rng = random.Random(visit.seed + 2)
        if rng.random() >= self.taste.rates:
            return None
        off = self._out_of_range(visit, sauce) + rng.gauss(0, 0.3)
        if off > 0.3:
            return "too_hot" if rng.random() < 0.9 else "just_right"
        if off < -0.3:
            return "more" if rng.random() < 0.7 else "just_right"
        return "just_right"

    def _will_do(self, visit: Visit, sauce: Sauce) -> bool:
        hated = min(self.taste.flavours, key=self.taste.flavours.__getitem__)
        return self._out_of_range(visit, sauce) == 0 and hated not in sauce.flavours

    def _loved(self, sauce: Sauce) -> bool:
        loved = sorted(self.taste.flavours, key=self.taste.flavours.__getitem__)[-2:]
        return any(tag in sauce.flavours for tag in loved)

    def _reach(self) -> float:
        return 0.8 + 1.2 / self.taste.fussiness

    def _out_of_range(self, visit: Visit, sauce: Sauce) -> float:
        """Octaves above today's range, or (negative) below it."""
        off = octaves(sauce.shu) - self.wanted_octaves(visit)
        reach = self._reach()
        return max(off - HOTTER * reach, 0.0) + min(off + MILDER * reach, 0.0)
