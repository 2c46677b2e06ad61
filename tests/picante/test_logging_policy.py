"""The chances of the slates that simulated dispensers log are those by which they are drawn."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations

import pytest

from picante.logging_policy import chances, draw

POURS = {"a": 0.0, "b": 1.0, "c": 5.0, "d": 20.0}
IDS = list(POURS)


def test_the_chances_of_all_slates_are_one_and_slots_are_their_sums() -> None:
    whole = {shown: chances(IDS, POURS, shown) for shown in permutations(IDS, 3)}
    assert sum(one.slate for one in whole.values()) == pytest.approx(1)
    for shown, one in whole.items():
        for slot, sauce in enumerate(shown):
            assert one.slots[slot] == pytest.approx(sum(o.slate for s, o in whole.items() if s[slot] == sauce))


def test_slates_come_as_often_as_their_chances_say() -> None:
    rng, draws = random.Random(7), 24_000
    counted = Counter(draw(rng, IDS, POURS) for _ in range(draws))
    expected = {shown: draws * chances(IDS, POURS, shown).slate for shown in permutations(IDS, 3)}
    assert set(counted) <= set(expected)
    # of 23 degrees of freedom: one in 1,000 runs of a right policy
    assert sum((counted[shown] - was) ** 2 / was for shown, was in expected.items()) < 50
