"""In the third world a mouth remembers two doses, and company counts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from statistics import mean, stdev

import pytest

from heat.catalog import Sauce, default_catalog
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import Visit
from hw_sim.shoppers.world import Crowd

CATALOG = default_catalog()
SAUCES = tuple(CATALOG.values())
MILD, HOT = CATALOG["garden-green"], CATALOG["reaper-black"]


def _shoppers(size: int = 300) -> tuple[Shopper, ...]:
    return Crowd(31, size, CATALOG, "company").shoppers


def _between_the_two(shoppers: tuple[Shopper, ...]) -> list[Shopper]:
    """Those to whom the mild one is mild, and the hot one hot."""
    return [shopper for shopper in shoppers if 5 < shopper.taste.preferred_octaves < 15]


def _after(shopper: Shopper, before: Sauce, newest: Sauce, seed: int = 1) -> Visit:
    """A visit after these two doses, chance being the same each time."""
    shopper.last.clear()
    shopper.last.extendleft((before, newest))
    return shopper.arrive(random.Random(seed), day=0)


def test_the_order_of_the_last_two_doses_moves_what_hurts() -> None:
    for shopper in _between_the_two(_shoppers(50)):
        pattern = [
            shopper.tolerance_octaves(_after(shopper, before, newest))
            for before, newest in ((MILD, MILD), (MILD, HOT), (HOT, MILD), (HOT, HOT))
        ]
        usual = mean(pattern)
        assert [limit - usual for limit in pattern] == pytest.approx(list(shopper.taste.mouth)), "its own pattern"
        assert len(set(pattern)) == 4


def test_no_last_sauce_alone_tells_what_a_mouth_wants() -> None:
    """Of mouths that had the same last sauce, half want hotter and half milder, by what was before."""
    moved = [
        _after(shopper, MILD, HOT).mouth_octaves - _after(shopper, HOT, HOT).mouth_octaves for shopper in _shoppers()
    ]
    assert abs(mean(moved)) < 0.3
    assert stdev(moved) > 0.8


def test_a_flavour_that_was_had_last_bores_and_one_from_before_is_missed() -> None:
    shopper = _shoppers(1)[0]
    sour, sweet = CATALOG["table-red"], CATALOG["mango-fresno"]
    visit = _after(shopper, sour, sour)
    bored = shopper.enjoyment(visit, CATALOG["cayenne-classic"])
    shopper.last.clear()
    shopper.last.extendleft((sour, sweet))
    assert shopper.enjoyment(visit, CATALOG["cayenne-classic"]) > bored + 1


def test_children_want_it_milder_and_sweet_and_friends_hotter() -> None:
    off: dict[str | None, list[float]] = {"alone": [], "friends": [], "children": []}
    rng = random.Random(3)
    for shopper in _shoppers():
        for hour in (12, 20):
            visit = shopper.arrive(rng, 0, hour)
            off[visit.company].append(visit.craving_octaves)
    assert mean(off["children"]) + 0.8 < mean(off["alone"]) < mean(off["friends"]) - 0.4
    shopper = _shoppers(1)[0]
    alone = replace(shopper.arrive(rng), company="alone")
    honey = CATALOG["chipotle-honey"]
    for sauce in (honey, MILD):
        lift = shopper.enjoyment(replace(alone, company="children"), sauce) - shopper.enjoyment(alone, sauce)
        assert lift == pytest.approx(0.7 if sauce is honey else 0)


def test_friends_make_one_take_what_they_take() -> None:
    taken = dict.fromkeys(("alone", "friends"), 0)
    rng = random.Random(5)
    for shopper in _shoppers():
        visit = shopper.arrive(rng)
        friends = SAUCES[visit.seed % len(SAUCES)].id
        for company in taken:
            taken[company] += shopper.choose(replace(visit, company=company), SAUCES) == friends
    assert taken["friends"] > 1.4 * taken["alone"]


def test_friends_come_in_the_evening() -> None:
    rng = random.Random(7)
    seen = {hour: Counter(shopper.arrive(rng, 0, hour).company for shopper in _shoppers()) for hour in (12, 20)}
    assert seen[20]["friends"] > 1.4 * seen[12]["friends"]
    assert seen[20]["children"] < seen[12]["children"]


def test_rating_after_the_pour_is_about_the_mouth_that_came() -> None:
    for shopper in _shoppers(80):
        visit = _after(shopper, MILD, HOT)
        before = [shopper.rate(visit, sauce) for sauce in SAUCES], shopper.tolerance_octaves(visit)
        shopper.pour_ul(visit, HOT)
        assert ([shopper.rate(visit, sauce) for sauce in SAUCES], shopper.tolerance_octaves(visit)) == before
