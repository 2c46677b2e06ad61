"""The policy's chances: they are what it does, and they sum to one."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import FEATURES, Matrix
from models.mixture import UNIFORM, Mixture, mixture

COARSE = st.integers(-3, 3).map(float)


def numbers(*shape: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def of(sauces: int, members: int, k: int, *, seed: int = 1, first: int | None = None) -> Mixture:
    """A policy over every other sauce of a menu."""
    matrix = numbers(sauces, len(FEATURES), seed=seed)
    deviations = numbers(members, len(FEATURES), seed=seed + 1)
    return mixture(matrix, numbers(sauces, seed=seed + 2), deviations, np.arange(0, sauces, 2), k, first)


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    """Small ones, full of ties."""
    n, members = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    k = draw(st.integers(1, min(n, 3)))
    columns = 2
    cells = st.lists(COARSE, min_size=columns, max_size=columns)
    matrix = np.array(draw(st.lists(cells, min_size=n + 2, max_size=n + 2)), dtype=np.float32)
    deviations = np.array(draw(st.lists(cells, min_size=members, max_size=members)), dtype=np.float32)
    rows = np.array(sorted(draw(st.permutations(range(n + 2)))[:n]))
    first = draw(st.none() | st.sampled_from(rows.tolist()))
    return mixture(matrix, matrix.sum(axis=1), deviations, rows, k, first)


def slates(policy: Mixture) -> list[tuple[int, ...]]:
    """All that the policy may show."""
    held = () if policy.first is None else (policy.first,)
    k = policy.slates.shape[1] - len(held)
    return [held + drawn for drawn in permutations(policy.rows.tolist(), k)]


@given(mixtures())
def test_chances_sum_to_one_and_a_slot_s_are_the_sum_of_its_slates(policy: Mixture) -> None:
    chances = {slate: policy.chances(slate).slate for slate in slates(policy)}
    assert sum(chances.values()) == pytest.approx(1, abs=1e-12)
    assert all(0 < chance <= 1 for chance in chances.values())
    for slate in chances:
        for slot, told in enumerate(policy.chances(slate).slots):
            whole = sum(chance for other, chance in chances.items() if other[slot] == slate[slot])
            assert told == pytest.approx(whole, abs=1e-12)


def test_what_is_never_shown_has_no_chance() -> None:
    policy = of(10, 16, 3)  # of the even rows
    for slate in ([0, 2, 1], [0, 2, 2], [0, 2], [0, 2, 4, 6], []):
        assert policy.chances(slate).slate == 0


def test_a_slot_has_its_chance_whatever_the_others_show() -> None:
    """Logs of another policy are judged slot by slot: what is never shown beside it takes none of a slot's chance."""
    policy, cold = of(10, 16, 3), of(40, 32, 3, first=6)
    assert policy.chances([0, 2, 1]).slots == [*policy.chances([0, 2, 4]).slots[:2], 0]
    assert policy.chances([0, 2, 4, 6]).slots == [*policy.chances([0, 2, 4]).slots, 0]
    assert cold.chances([0, 2, 4]).slots == [0, *cold.chances([6, 2, 4]).slots[1:]]
    assert cold.chances([0, 6, 4]).slots[1] == 0, "it is held in slot 1"


@pytest.mark.parametrize("first", [None, 4])
def test_what_a_slot_is_worth_is_each_row_s_worth_by_its_chance(first: int | None) -> None:
    policy, values = of(10, 16, 3, first=first), np.arange(10.0)
    told = [sum(policy.chances([row] * 3).slots[slot] * values[row] for row in range(10)) for slot in range(3)]
    assert policy.expected(values) == pytest.approx(told, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "possible", "bound"),
    [(None, 60, 103), (4, 12, 33)],  # of 59 and 11 degrees of freedom: one in 3,000 and 2,000 runs of a right policy
    ids=["known", "cold"],
)
def test_20_000_draws_come_as_often_as_their_chances_say(first: int | None, possible: int, bound: float) -> None:
    policy, draws = of(10, 16, 3, first=first), 20_000
    drawn = [policy.draw(seed) for seed in range(draws)]
    counted = Counter(tuple(slate) for _, slate in drawn)
    could = slates(policy)
    expected = {slate: draws * policy.chances(slate).slate for slate in could}
    assert len(could) == possible
    assert set(counted) <= set(could)
    assert sum((counted[slate] - expected[slate]) ** 2 / expected[slate] for slate in could) < bound
    uniform = sum(policy == "uniform" for policy, _ in drawn) / draws
    assert uniform == pytest.approx(0.05, abs=0.005)


def test_slot_1_is_held_by_the_first_whichever_part_draws() -> None:
    policy = of(40, 32, 3, first=6)
    drawn = [policy.draw(seed) for seed in range(600)]
    assert {slate[0] for _, slate in drawn} == {6}
    assert {part for part, _ in drawn} == {"thompson", "uniform"}
    assert len({tuple(slate) for part, slate in drawn if part == "uniform"}) > 10
    assert policy.chances([6, 0, 2]).slots[0] == 1
    assert policy.chances([6, 0, 2]).slots[1] >= UNIFORM / 19
    for other in ([0, 6, 2], [0, 2, 4], [6, 6, 2]):
        assert policy.chances(other).slate == 0


def test_a_newcomer_with_one_sauce_to_see_sees_it() -> None:
    alone = mixture(numbers(3, len(FEATURES), seed=1), numbers(3, seed=2), numbers(4, len(FEATURES), seed=3),
                    np.array([1]), 1, 1)  # fmt: skip
    assert [alone.draw(seed)[1] for seed in range(60)] == [[1]] * 60
    assert alone.chances([1]) == (1, [1])
    assert alone.expected(np.array([5.0, 7.0, 9.0])) == [7]


@pytest.mark.parametrize("sauces", [6, 255, 700])
def test_each_member_shows_what_its_weights_rank_first(sauces: int) -> None:
    matrix, deviations = numbers(sauces, len(FEATURES), seed=5), numbers(64, len(FEATURES), seed=6)
    weights = numbers(len(FEATURES), seed=7)
    rows = np.array(sorted(random.Random(8).sample(range(sauces), sauces // 2)))
    scores = (matrix.astype(np.float64) @ weights).astype(np.float32)
    policy = mixture(matrix, scores, deviations, rows, 3, None)
    for deviation, slate in zip(deviations, policy.slates.tolist(), strict=True):
        utility = matrix[rows].astype(np.float64) @ (weights.astype(np.float64) + deviation)
        assert slate == rows[np.argsort(-utility)[:3]].tolist()


def test_in_whatever_order_a_machine_adds_equal_sauces_keep_the_menu_s_order() -> None:
    chance = np.random.default_rng(9)
    cells = chance.normal(size=len(FEATURES)).astype(np.float32)
    matrix = np.array([chance.permutation(cells) for _ in range(40)])
    alike = np.repeat(numbers(16, 1, seed=10), len(FEATURES), axis=1)
    policy = mixture(matrix, np.zeros(40, dtype=np.float32), alike, np.arange(40), 3, None)
    assert policy.slates.tolist() == [[0, 1, 2]] * 16


def test_scores_that_overflow_still_make_a_policy() -> None:
    matrix = np.full((4, len(FEATURES)), 3e38, dtype=np.float32)
    matrix[1] = -3e38
    policy = mixture(matrix, matrix[:, 0], np.full((2, len(FEATURES)), 3e38, dtype=np.float32), np.arange(4), 3, None)
    assert policy.slates.tolist() == [[0, 2, 3]] * 2
