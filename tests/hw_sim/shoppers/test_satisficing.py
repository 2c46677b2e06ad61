"""Satisficers take the first sauce that will do."""

from __future__ import annotations

import random
from statistics import mean

from heat.catalog import default_catalog
from hw_sim.shoppers.satisficing import HOTTER
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import Visit, octaves
from hw_sim.shoppers.world import Crowd

CATALOG = default_catalog()
SAUCES = tuple(CATALOG.values())


def _visits(seed: int = 1) -> list[tuple[Shopper, Visit]]:
    rng = random.Random(seed)
    crowd = Crowd(21, 400, CATALOG, "satisficing")
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


def test_what_hurts_is_what_lies_above_the_range() -> None:
    for shopper, visit in _visits():
        hurts = shopper.tolerance_octaves(visit)
        reach = (hurts - shopper.wanted_octaves(visit)) / HOTTER
        assert reach > 0.8
        for sauce in SAUCES:
            octaves = sauce.heat.milli_octaves / 1000
            if octaves > hurts + 0.01:
                assert shopper.enjoyment(visit, sauce) < 0
            if octaves > hurts + 2 and shopper.taste.rates:
                assert shopper.rate(visit, sauce) in {"too_hot", "just_right", None}


def test_verdicts_point_back_into_the_range() -> None:
    pressed = {True: [], False: []}  # type: dict[bool, list[str]]
    for shopper, visit in _visits():
        for sauce in SAUCES:
            off = sauce.heat.milli_octaves / 1000 - shopper.wanted_octaves(visit)
            if abs(off) > 4 and (verdict := shopper.rate(visit, sauce)) is not None:
                pressed[off > 0].append(verdict)
    assert pressed[True].count("too_hot") > 0.8 * len(pressed[True]) > 0
    assert pressed[False].count("more") > 0.6 * len(pressed[False]) > 0
    assert "more" not in pressed[True]
    assert "too_hot" not in pressed[False]


def test_a_range_reaches_further_down_than_up() -> None:
    milder, hotter = [], []
    for shopper, visit in _visits():
        wanted = shopper.wanted_octaves(visit)
        will_do = [octaves(sauce.shu) - wanted for sauce in SAUCES if shopper.enjoyment(visit, sauce) > 0]
        milder += [-off for off in will_do if off < 0]
        hotter += [off for off in will_do if off > 0]
    assert mean(milder) > 1.4 * mean(hotter)
