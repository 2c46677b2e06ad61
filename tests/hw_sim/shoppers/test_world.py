"""What all worlds share: seeds, drift, weather and hour, slips, silence, and a truth of what hurts."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from statistics import mean, stdev

import pytest

from heat.catalog import default_catalog
from hw_sim.shoppers.company import COMPANY_OCTAVES
from hw_sim.shoppers.taste import MILD_C, Drift
from hw_sim.shoppers.weather import temperature_c
from hw_sim.shoppers.world import WORLDS, Crowd, World

CATALOG = default_catalog()
SAUCES = tuple(CATALOG.values())
EVERY_WORLD = pytest.mark.parametrize("world", list(WORLDS))


@EVERY_WORLD
def test_the_same_seed_is_the_same_weeks(world: World) -> None:
    def weeks(seed: int) -> list[object]:
        crowd, rng = Crowd(seed, 60, CATALOG, world), random.Random(2)
        told: list[object] = []
        for day, hour, shopper in crowd.arrivals(rng, 21):
            visit = shopper.arrive(rng, day, hour, temperature_c(seed, day, hour))
            chosen = shopper.choose(visit, SAUCES, ("table-red",))
            told.append((visit, chosen))
            if chosen is not None:
                told.append((shopper.rate(visit, CATALOG[chosen]), shopper.pour_ul(visit, CATALOG[chosen])))
        return told

    assert weeks(4) == weeks(4) != weeks(5)


@EVERY_WORLD
def test_what_is_asked_of_a_visit_changes_nothing(world: World) -> None:
    rng = random.Random(1)
    for shopper in Crowd(3, 80, CATALOG, world).shoppers:
        visit = shopper.arrive(rng, 30, 20, 25.0)

        def answers() -> list[object]:
            return [
                shopper.choose(visit, SAUCES, ("table-red", "serrano-verde")),  # noqa: B023 -- asked at once
                shopper.tolerance_octaves(visit),  # noqa: B023
                [shopper.rate(visit, sauce) for sauce in SAUCES],  # noqa: B023
                [shopper.enjoyment(visit, sauce) for sauce in SAUCES],  # noqa: B023
            ]

        assert answers() == answers()


@EVERY_WORLD
def test_what_hurts_lies_above_what_is_wanted_and_is_no_joy(world: World) -> None:
    rng = random.Random(1)
    above, joys = [], []
    for shopper in Crowd(3, 300, CATALOG, world).shoppers:
        visit = shopper.arrive(rng)
        hurts = shopper.tolerance_octaves(visit)
        above.append(hurts - shopper.wanted_octaves(visit))
        best = max(SAUCES, key=lambda sauce: shopper.enjoyment(visit, sauce))
        joys.append(best.heat.milli_octaves / 1000 > hurts + 0.5)
    assert mean(gap > 0 for gap in above) > 0.85, "a bold mood wants what will hurt"
    assert mean(joys) < 0.1


@EVERY_WORLD
def test_tastes_drift_or_turn_or_stay(world: World) -> None:
    crowd = Crowd(9, 600, CATALOG, world)
    moved = [shopper.taste.drift.octaves(80) for shopper in crowd.shoppers]
    assert 0.55 < mean(octaves == 0 for octaves in moved) < 0.72
    assert 0.08 < mean(abs(octaves) == 2 for octaves in moved) < 0.17
    for shopper, octaves in zip(crowd.shoppers, moved, strict=True):
        early, late = (shopper.arrive(random.Random(6), day) for day in (0, 80))
        for ask in (shopper.wanted_octaves, shopper.tolerance_octaves):
            assert ask(late) - ask(early) == pytest.approx(octaves)


def test_a_drift_is_slow_and_ends_and_a_turn_takes_one_day() -> None:
    slow = Drift(octaves_a_week=-0.5)
    assert [slow.octaves(day) for day in (0, 7, 14, 365)] == [0, -0.5, -1.0, -2.5]
    turn = Drift(turns_on_day=20, turn_octaves=2.0)
    assert [turn.octaves(day) for day in (19, 20, 90)] == [0, 2, 2]


@EVERY_WORLD
def test_weather_and_hour_move_the_craving_of_those_whom_they_move(world: World) -> None:
    shopper = Crowd(3, 1, CATALOG, world).shoppers[0]
    shopper.taste = replace(shopper.taste, warmth_octaves=-0.5, evening_octaves=0.4)

    def craving(hour: int, celsius: float) -> float:
        """Of one visit; company aside, which has its own reasons."""
        visit = shopper.arrive(random.Random(2), 0, hour, celsius)
        return visit.craving_octaves - COMPANY_OCTAVES.get(visit.company or "alone", 0.0)

    noon = craving(14, MILD_C)
    assert craving(14, MILD_C + 9) == pytest.approx(noon - 0.5 * math.tanh(1))
    assert craving(14, -40.0) == pytest.approx(noon + 0.5, abs=0.01)
    assert craving(20, MILD_C) - craving(9, MILD_C) == pytest.approx(0.8)


@EVERY_WORLD
def test_fingers_slip_and_some_never_rate(world: World) -> None:
    crowd = Crowd(3, 300, CATALOG, world)
    rng = random.Random(1)
    silent = [shopper for shopper in crowd.shoppers if shopper.taste.rates == 0]
    assert 0.25 < len(silent) / 300 < 0.45
    visit = silent[0].arrive(rng)
    assert {silent[0].rate(visit, sauce) for sauce in SAUCES} == {None}
    slips = 0
    for shopper in crowd.shoppers:
        clumsy = replace(shopper, taste=replace(shopper.taste, mistap=1.0))
        slips += clumsy.choose(shopper.arrive(rng), SAUCES) == SAUCES[-1].id
    assert 3 < slips < 30, "the hottest one as often as any"


def test_spring_gets_warmer_and_afternoons_are_warm() -> None:
    afternoons = [temperature_c(1, day, 15) for day in range(84)]
    assert mean(afternoons[60:]) > mean(afternoons[:24]) + 4
    assert temperature_c(1, 3, 15) > temperature_c(1, 3, 9)
    assert afternoons == [temperature_c(1, day, 15) for day in range(84)]
    assert afternoons != [temperature_c(2, day, 15) for day in range(84)]
    by_day = [now - before for before, now in itertools.pairwise(afternoons)]
    assert 0.8 < stdev(by_day) < 4, "tomorrow is much like today"
    assert -30 < temperature_c(1, 400, 15) < 50


def test_tastes_move_either_way_and_two_fingers_in_a_hundred_slip() -> None:
    shoppers = Crowd(3, 600, default_catalog()).shoppers
    moved = [way for shopper in shoppers if (way := shopper.taste.drift.octaves(80))]
    assert 0.35 < sum(way > 0 for way in moved) / len(moved) < 0.7
    assert {shopper.taste.mistap for shopper in shoppers} == {0.02}
