"""Shares, differences, and intervals that are about customers."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.statistics import Interval, Resampled, by_customer


def _drawn(hits: list[list[float]], counts: list[list[float]]) -> Resampled:
    return Resampled(np.array(hits, dtype=float), np.array(counts, dtype=float), seed=1)


def test_the_interval_is_about_customers_not_visits() -> None:
    """A hundred visits of two customers who disagree say as little as two visits."""
    assert _drawn([[50], [0]], [[50], [50]]).share(0) == Interval(value=0.5, low=0.0, high=1.0)


def test_a_resample_divides_by_its_own_visits() -> None:
    assert _drawn([[9], [0]], [[9], [1]]).share(0) == Interval(value=0.9, low=0.0, high=1.0)


def test_a_difference_is_paired() -> None:
    """Customers who differ much, but each by as much between two policies, leave no doubt about the difference."""
    drawn = _drawn([[9, 8], [1, 0], [5, 4]], [[10, 10]] * 3)
    assert drawn.share(0).high - drawn.share(0).low > 0.3
    assert drawn.difference(0, 1) == Interval(value=0.1, low=0.1, high=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(5), 0
    for seed in range(200):
        taste = rng.beta(2, 3, size=80)
        hits = rng.binomial(10, taste).reshape(-1, 1).astype(float)
        interval = Resampled(hits, np.full((80, 1), 10.0), seed=seed).share(0)
        covered += interval.low <= 0.4 <= interval.high
    assert 180 <= covered <= 199


def test_a_column_without_counts_is_zero() -> None:
    assert _drawn([[0], [0]], [[0], [0]]).share(0) == Interval(value=0, low=0, high=0)


def test_without_customers_there_is_no_share() -> None:
    with pytest.raises(ValueError, match="no customers"):
        Resampled(np.zeros((0, 1)), np.zeros((0, 1)), seed=1)


def test_customers_of_two_seeds_are_two_people() -> None:
    seed, customer = np.array([1, 1, 2, 1]), np.array([7, 8, 7, 7])
    sums = by_customer(seed, customer, np.array([[1], [2], [4], [8]]))
    assert sums.tolist() == [[9], [2], [4]]


def test_an_interval_is_one_of_95_percent() -> None:
    half = _drawn([[0], [1]] * 1000, [[1]] * 2000).share(0)
    assert half.high - half.low == pytest.approx(2 * 1.96 * (0.25 / 2000) ** 0.5, rel=0.08)
