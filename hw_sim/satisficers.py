"""Shoppers of another kind: they don't weigh, they take the first sauce that will do.

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
from hw_sim.shoppers import Shopper, Visit

LOOKS = 0.8
"""Chance that a shopper who ever looks at the screen does so on a visit."""


@dataclass(slots=True)
class Satisficer(Shopper):
    """A customer who takes the first sauce that will do."""

    def enjoyment(self, visit: Visit, sauce: Sauce) -> float:
        """2 for a sauce that will do well, 1 for one that will do, else minus the octaves out of range."""
        if self._will_do(visit, sauce):
            return 2.0 if self._loved(sauce) else 1.0
        return -self._out_of_range(visit, sauce)

    def choose(self, visit: Visit, on_offer: Sequence[Sauce], shown: Sequence[str] = ()) -> str | None:
        """The first sauce that will do well, else the first that will do, else None."""
        rng = random.Random(visit.seed)
        if on_offer and rng.random() < self.taste.mistap:
            return rng.choice(on_offer).id
        wandering = rng.sample(list(on_offer), len(on_offer))
        looks = self.taste.attention > 0 and rng.random() < LOOKS
        first = list(shown) if looks else list(self.last)[:1] if self.taste.variety < 0 else []
        wandering.sort(key=lambda sauce: first.index(sauce.id) if sauce.id in first else len(first))
        fitting = [sauce for sauce in wandering if self._will_do(visit, sauce)]
        return next((sauce.id for sauce in [*filter(self._loved, fitting), *fitting]), None)

    def _will_do(self, visit: Visit, sauce: Sauce) -> bool:
        hated = min(self.taste.flavours, key=self.taste.flavours.__getitem__)
        return self._out_of_range(visit, sauce) == 0 and hated not in sauce.flavours

    def _loved(self, sauce: Sauce) -> bool:
        loved = sorted(self.taste.flavours, key=self.taste.flavours.__getitem__)[-2:]
        return any(tag in sauce.flavours for tag in loved)

    def _out_of_range(self, visit: Visit, sauce: Sauce) -> float:
        """Octaves between the sauce and the nearer end of today's range."""
        reach = 0.8 + 1.2 / self.taste.fussiness
        off = sauce.heat.milli_octaves / 1000 - self.taste.preferred_octaves - visit.craving_octaves
        # hotter than usual is feared more than milder
        return max(off - 0.7 * reach, -off - 1.3 * reach, 0.0)
