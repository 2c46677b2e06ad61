"""Shares and differences with 95 % intervals, by a bootstrap over customers.

Visits of one customer are no independent evidence: whole customers are drawn, with all their visits, so that two
policies are compared on the same ones (paired). Intervals are percentiles of `RESAMPLES` draws.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

RESAMPLES = 1000
"""Bootstrap samples: the ends of a 95 % interval move by about 2 % of its width."""
DECIMALS = 4


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Resampled:
    """Shares by column, and what becomes of them when other customers had come.

    `hits` (customers, columns) over `counts` (customers, columns), both summed by customer, are the shares.
    """

    def __init__(self, hits: Floats, counts: Floats, seed: int) -> None:
        """Raises ValueError without customers."""
        customers = len(hits)
        if not customers:
            raise ValueError("no customers to draw from")
        draws = np.random.default_rng(seed).multinomial(customers, [1 / customers] * customers, size=RESAMPLES)
        self.shares = _ratio(hits.sum(axis=0), counts.sum(axis=0))
        self.drawn = _ratio(draws @ hits, draws @ counts)

    def share(self, column: int) -> Interval:
        """A column's share."""
        return _interval(float(self.shares[column]), self.drawn[:, column])

    def difference(self, column: int, other: int) -> Interval:
        """A column's share less another's, on the same customers."""
        value = float(self.shares[column] - self.shares[other])
        return _interval(value, self.drawn[:, column] - self.drawn[:, other])


def by_customer(seed: Ints, customer: Ints, values: NDArray[np.generic]) -> Floats:
    """The sums of `values` (visits, columns) by customer: (customers, columns)."""
    _, place = np.unique(np.stack([seed, customer]), axis=1, return_inverse=True)
    sums = np.zeros((int(place.max()) + 1 if len(place) else 0, values.shape[1]))
    np.add.at(sums, place.reshape(-1), values.astype(np.float64))
    return sums


def _ratio(hits: Floats, counts: Floats) -> Floats:
    return np.divide(hits, counts, out=np.zeros_like(hits, dtype=np.float64), where=counts > 0)


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value=rounded(value), low=rounded(low), high=rounded(high))


def rounded(value: float) -> float:
    """A figure to `DECIMALS`, never minus zero."""
    return round(float(value), DECIMALS) + 0.0
