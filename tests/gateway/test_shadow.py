"""A new ranker beside the one in use: what it does wrong is counted, and never gets in the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import count

import numpy as np
import pytest

from gateway.shadow import Shadow
from heat.errors import ModelError
from models.features import FEATURES, Matrix
from models.probe import BUDGET_US
from models.ranker import LinearRanker, Scorer


class Other:
    """A ranker by any rule."""

    name = "other"
    scorer: Scorer = "numpy"
    deviations: Matrix | None = None

    def __init__(self, score: Callable[[Matrix], Matrix]) -> None:
        self.weights: Matrix = np.zeros(len(FEATURES), dtype=np.float32)
        self.scores = score


IN_USE = LinearRanker("in use", [1.0] + [0.0] * (len(FEATURES) - 1))


def slates(number: int) -> list[Matrix]:
    chance = np.random.default_rng(7)
    return [chance.normal(size=(8, len(FEATURES))).astype(np.float32) for _ in range(number)]


def looked(shadow: Shadow, number: int = 20) -> Shadow:
    for slate in slates(number):
        shadow.look(slate, IN_USE.scores(slate))
    return shadow


def dies(_: Matrix) -> Matrix:
    raise RuntimeError("no such operator")


def test_one_that_does_well_is_done_after_so_many_slates() -> None:
    shadow = Shadow(IN_USE, wanted=20)
    assert [looked(shadow, 1).done for _ in range(22)] == [False] * 19 + [True] * 3
    shadow.check()
    assert (shadow.slates, shadow.same) == (20, 20)


@pytest.mark.parametrize(
    "score",
    [
        dies,
        lambda slate: np.full(len(slate), np.nan, dtype=np.float32),
        lambda slate: np.where(np.arange(len(slate)) == 3, np.inf, 0).astype(np.float32),
        lambda slate: np.zeros(len(slate) + 1, dtype=np.float32),
        lambda slate: np.zeros((len(slate), 1), dtype=np.float32),
    ],
    ids=["an error", "no numbers", "infinity", "one too many", "a column"],
)
def test_one_that_fails_once_is_done_at_once(score: Callable[[Matrix], Matrix]) -> None:
    shadow = looked(Shadow(Other(score), wanted=20))
    assert shadow.done
    with pytest.raises(ModelError, match="it failed on 1 of 1 slates") as raised:
        shadow.check()
    assert raised.value.reason == "model"


def test_one_that_is_slow_now_and_then_may_be() -> None:
    looked(Shadow(IN_USE, wanted=20, clock_us=count(0, BUDGET_US).__next__)).check()
    shadow = looked(Shadow(IN_USE, wanted=20, clock_us=count(0, BUDGET_US + 1).__next__))
    with pytest.raises(ModelError, match="more than 5 ms for 20 of 20 slates") as raised:
        shadow.check()
    assert raised.value.reason == "latency"


@pytest.mark.parametrize(("slow", "refused"), [(2, False), (3, True)])
def test_one_slate_in_twenty_may_be_slow(slow: int, refused: bool) -> None:
    took_us = [0, BUDGET_US + 1] * slow + [0, BUDGET_US] * (40 - slow)
    shadow = looked(Shadow(IN_USE, wanted=40, clock_us=iter(took_us).__next__), 40)
    with pytest.raises(ModelError) if refused else nullcontext():
        shadow.check()


def test_one_that_ranks_otherwise_is_told_apart_and_let_pass() -> None:
    shadow = looked(Shadow(Other(lambda slate: -IN_USE.scores(slate)), wanted=20))
    shadow.check()
    assert shadow.same == 0


def test_an_empty_menu_is_no_slate() -> None:
    shadow = Shadow(Other(dies), wanted=20)
    shadow.look(np.zeros((0, len(FEATURES)), dtype=np.float32), np.zeros(0, dtype=np.float32))
    assert shadow.slates == 0
