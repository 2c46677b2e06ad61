"""The worlds, by name, and the crowds that live in them.

Used live, one visit after another beside a simulated dispenser, and in bulk, to make the logs a ranker is trained and
judged on. Figures of any one world are no evidence about real customers: a ranker has to stand in all of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from heat.catalog import Catalog
from heat.scale import default_words
from hw_sim.shoppers.burn import BurnShopper
from hw_sim.shoppers.company import CompanyShopper
from hw_sim.shoppers.satisficing import Satisficer
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import draw_taste

World = Literal["burn", "satisficing", "company"]
WORLDS: dict[World, type[Shopper]] = {"burn": BurnShopper, "satisficing": Satisficer, "company": CompanyShopper}
"""How customers choose."""
HAS_A_TOKEN = 0.6
JOINS_LATER = 0.4
JOINS_WITHIN_DAYS = 84
"""Shares of the shoppers who have a loyalty token, and who come for the first time after day 0, within so many days."""
OPEN_HOURS, RUSH = tuple(range(9, 22)), (1, 1, 1, 3, 3, 1, 1, 1, 2, 3, 3, 2, 1)
"""Local hours in which people come, and how many of them."""


class Arrival(NamedTuple):
    """Somebody comes, on a day from 0, at a local hour."""

    day: int
    hour: int
    shopper: Shopper


class Crowd:
    """A population of shoppers of one world, drawn from one seed; other seeds are other people."""

    def __init__(self, seed: int, size: int, catalog: Catalog, world: World = "burn") -> None:
        rng = random.Random(seed)
        fame = _fame(catalog)
        self.seed = seed
        self.catalog = catalog
        self.world = world
        self.shoppers = tuple(
            _shopper(rng, WORLDS[world], f"{seed:x}-{number:06d}", catalog, fame) for number in range(size)
        )
        self._weights = [shopper.visits_per_week for shopper in self.shoppers]

    def draw(self, rng: random.Random) -> Shopper:
        """Who comes next: frequent visitors more often."""
        return rng.choices(self.shoppers, self._weights)[0]

    def arrivals(self, rng: random.Random, days: int) -> Iterator[Arrival]:
        """Everybody who comes within `days` days, in the order of their coming."""
        for day in range(days):
            today = [
                Arrival(day, rng.choices(OPEN_HOURS, RUSH)[0], shopper)
                for shopper in self.shoppers
                if day >= shopper.since_day and rng.random() < shopper.visits_per_week / 7
            ]
            rng.shuffle(today)
            yield from sorted(today, key=lambda arrival: arrival.hour)


def _shopper(
    rng: random.Random, kind: type[Shopper], name: str, catalog: Catalog, fame: Mapping[str, float]
) -> Shopper:
    token = f"loyal-{name}" if rng.random() < HAS_A_TOKEN else None
    taste, visits_per_week = draw_taste(rng, catalog), min(rng.lognormvariate(0.2, 0.7), 7.0)
    since_day = rng.randrange(1, JOINS_WITHIN_DAYS) if rng.random() < JOINS_LATER else 0
    return kind(token, taste, visits_per_week, since_day, fame, default_words())


def _fame(catalog: Catalog) -> dict[str, float]:
    """How well known each sauce is: log of its popularity over the average one's."""
    average = sum(sauce.popularity + 0.5 for sauce in catalog.values()) / len(catalog)
    return {sauce.id: math.log((sauce.popularity + 0.5) / average) for sauce in catalog.values()}
