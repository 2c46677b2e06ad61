"""Satisficers take the first sauce that will do."""

from __future__ import annotations

import random
from statistics import mean

from heat.catalog import default_catalog
from hw_sim.satisficers import Satisficer
from hw_sim.shoppers import Crowd, Shopper, Visit

CATALOG = default_catalog()
SAUCES = tuple(CATALOG.values())


def _visits(seed: int = 1) -> list[tuple[Shopper, Visit]]:
    rng = random.Random(seed)
    crowd = Crowd(21, 400, CATALOG, Satisficer)
    return [(shopper, shopper.arrive(rng)) for shopper in crowd.shoppers for _ in range(2)]


def test_only_what_will_do_is_taken_and_what_will_do_well_comes_first() -> None:
    slips = 0
    for shopper, visit in _visits():
        worth = {sauce.id: shopper.enjoyment(visit, sauce) for sauce in SAUCES}
        chosen = shopper.choose(visit, SAUCES)
        best = max(worth.values())
        slips += (worth[chosen] != best) if chosen is not None else (best > 0)
    assert slips < 0.04 * 800, "nothing but mis-taps"


def test_the_same_visit_takes_the_same_sauce() -> None:
    assert all(shopper.choose(visit, SAUCES) == shopper.choose(visit, SAUCES) for shopper, visit in _visits())


def test_who_looks_starts_at_the_screen() -> None:
    def taken(attention: bool) -> float:
        hits = []
        for shopper, visit in _visits():
            if (shopper.taste.attention > 0) == attention:
                well = [sauce.id for sauce in SAUCES if shopper.enjoyment(visit, sauce) == 2]
                if len(well) > 1:
                    hits.append(shopper.choose(visit, SAUCES, well[-1:]) == well[-1])
        return mean(hits)

    assert taken(attention=True) > 0.75
    assert taken(attention=False) < 0.5


def test_some_find_nothing() -> None:
    offer = SAUCES[-3:]
    leaving = [shopper.choose(visit, offer) is None for shopper, visit in _visits()]
    assert 0.6 < mean(leaving) < 0.99


def test_creatures_of_habit_start_with_the_last_one() -> None:
    again = []
    for shopper, visit in _visits():
        if shopper.taste.attention == 0 and shopper.taste.variety < 0:
            well = [sauce for sauce in SAUCES if shopper.enjoyment(visit, sauce) == 2]
            if len(well) > 1:
                shopper.pour_ul(visit, well[0])
                again.append(shopper.choose(visit, SAUCES) == well[0].id)
    assert mean(again) > 0.85
