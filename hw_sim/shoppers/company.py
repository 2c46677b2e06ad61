"""The third world: what is liked depends on the last two doses and on who stands beside, and nobody is told either.

A mouth remembers two doses. After mild and hot in this or that order it wants, and stands, more or less than usual:
some are numbed by two hot ones, some made sore, some want the contrary each time. The pattern is each shopper's own,
and it averages to nothing, so that no sum over the past, no last sauce and no usual heat holds it. A flavour of the
last dose bores, one that was in the dose before but not in the last is missed.

Friends embolden, follow fame, and make one take what they take; children want it mild and sweet. A dispenser sees none
of them. So there is a share of the truth that no feature expresses: what is left for a ranker is what can be known.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from heat.catalog import Sauce
from hw_sim.shoppers.burn import BurnShopper
from hw_sim.shoppers.shopper import EVENING
from hw_sim.shoppers.taste import Visit, octaves

COMPANY_OCTAVES = {"alone": 0.0, "friends": 0.8, "children": -1.2}
"""Octaves that the wanted heat is moved."""
CHILDRENS = frozenset({"sweet", "fruity"})
BORED, MISSED = 0.5, 0.4
"""Utility of a flavour of the last dose, lost; and of one that only the dose before had."""
CHILDRENS_SWEET = 0.7
FRIENDS_FAME = 0.5
FRIENDS_SAUCE = 1.5
"""Utility of a sweet or fruity sauce among children; of fame, and of the friend's own sauce, among friends."""


@dataclass(slots=True)
class CompanyShopper(BurnShopper):
    """A customer of the first world with a mouth that remembers, in company or alone."""

    def beside(self, rng: random.Random, hour: int) -> tuple[str, float]:
        """`alone`, with `friends` (more in the evening) or with `children` (hardly then)."""
        chances = (5, 4, 1) if hour >= EVENING else (6, 2, 2)
        company = rng.choices(("alone", "friends", "children"), chances)[0]
        return company, COMPANY_OCTAVES[company]

    def aftertaste(self) -> float:
        """What the last two doses do to this mouth; nothing before there were two."""
        if len(self.last) < 2:
            return 0.0
        newest, before = (octaves(had.shu) > self.taste.preferred_octaves for had in list(self.last)[:2])
        return self.taste.mouth[2 * before + newest]

    def enjoyment(self, visit: Visit, sauce: Sauce) -> float:
        """The first world's utility, and what doses and company think of the flavours."""
        joy, tags = BurnShopper.enjoyment(self, visit, sauce), set(sauce.flavours)
        if len(self.last) > 1:
            newest, before = (set(had.flavours) for had in list(self.last)[:2])
            joy += MISSED * len(tags & before - newest) - BORED * len(tags & newest)
        if visit.company == "children" and tags & CHILDRENS:
            joy += CHILDRENS_SWEET
        if visit.company == "friends":
            joy += FRIENDS_FAME * self.fame.get(sauce.id, 0.0)
            joy += FRIENDS_SAUCE * (sauce.id == list(self.fame)[visit.seed % len(self.fame)])
        return joy
