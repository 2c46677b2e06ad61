"""When a bundle is taken back: what it does worse is found, and what is chance is mostly let pass."""

from __future__ import annotations

import random
from math import comb

import pytest

from gateway.probation import GRANTED, JUDGED, MAX_ERRORS, Outcomes, by_chance, settled, why_back

BEFORE = Outcomes(answers=4_000, rated=1_000, too_hot=50)


def taken_back_after(rate: float, seed: int) -> int | None:
    """The rating after which a bundle with this rate of *too hot* is taken back."""
    chance, hot = random.Random(seed), 0
    for rated in range(1, JUDGED + 1):
        hot += chance.random() < rate
        if why_back(Outcomes(rated, 0, rated, hot), BEFORE):
            return rated
    return None


def test_a_bundle_that_hurts_is_taken_back_within_a_few_ratings() -> None:
    after = [taken_back_after(0.5, seed) for seed in range(40)]
    assert all(rated is not None and rated <= 40 for rated in after), after


def test_three_times_as_many_too_hot_are_found() -> None:
    after = [taken_back_after(0.15, seed) for seed in range(40)]
    assert sum(rated is not None for rated in after) >= 36


def test_a_bundle_as_good_as_the_one_before_stays() -> None:
    assert sum(taken_back_after(0.05, seed) is not None for seed in range(60)) <= 3


def test_the_first_words_of_a_new_store_take_nothing_back() -> None:
    assert why_back(Outcomes(2, 0, 2, 2), Outcomes()) is None
    assert why_back(Outcomes(20, 0, 20, 15), Outcomes()) is not None


def test_the_chance_is_that_of_drawing_lots() -> None:
    now, before = Outcomes(rated=4, too_hot=2), Outcomes(rated=3, too_hot=1)
    granted, granted_hot = GRANTED
    whole, hot = 7 + granted, 3 + granted_hot
    drawn, chance = 0, random.Random(5)
    for _ in range(4_000):
        drawn += sum(lot < 4 for lot in chance.sample(range(whole), hot)) >= 2
    assert by_chance(now, before) == pytest.approx(drawn / 4_000, abs=0.02)


def test_years_of_ratings_are_weighed_as_fast_as_the_first() -> None:
    """In whole numbers this would take hours; the loop that shows picks does it once a second."""
    now, years = Outcomes(rated=JUDGED, too_hot=15), Outcomes(rated=10**8, too_hot=5 * 10**6)
    beyond = 1 - sum(comb(JUDGED, k) * 0.05**k * 0.95 ** (JUDGED - k) for k in range(15))
    assert by_chance(now, years) == pytest.approx(beyond, abs=1e-5)
    assert by_chance(Outcomes(rated=10**6, too_hot=60_000), years) == 0
    assert by_chance(Outcomes(rated=10**6, too_hot=0), years) == pytest.approx(1)


def test_a_bundle_that_fails_is_taken_back() -> None:
    fine = Outcomes(answers=50, errors=MAX_ERRORS - 1)
    assert why_back(fine, BEFORE) is None
    assert why_back(Outcomes(answers=50, errors=MAX_ERRORS), BEFORE) == f"it failed {MAX_ERRORS} of 50 answers"


def test_it_is_settled_when_enough_have_rated() -> None:
    assert not settled(Outcomes(answers=10_000, rated=JUDGED - 1))
    assert settled(Outcomes(rated=JUDGED))
