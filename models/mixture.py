"""What a policy that takes chances may show, and how likely that is: a finite mixture, whose chances are counts.

A Thompson draw takes one of the bundle's deviations of the weights, each as likely, and ranks by it. At one ask in
twenty any order of the sauces is as likely as any other. So there are as many Thompson slates as deviations, and
nothing is estimated:

    chance(slate) = 0.95 * members with this slate / members + 0.05 / ordered slates that there are

The same holds for one sauce in one slot. Every ordered slate of the sauces has a chance above zero: whatever another
policy would have shown can be judged by these logs. Where a sauce is held in slot 1, both parts show it there, and
draw the other slots: then the ordered slates are those that begin with it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import perm
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import Matrix
from models.ranker import Rows, top

Drawn = Literal["thompson", "uniform"]

UNIFORM = 0.05
"""Share of all asks that show any of the sauces: what judges every policy alike, at the price of one pick in twenty."""
AT_ONCE = 200_000
"""Multiplications: so many OpenBLAS does in the thread that asks. Waking others costs more, and jitters."""


class Chances(NamedTuple):
    """Of a slate as a whole, and of each of its rows in its own slot, whatever the other slots show."""

    slate: float
    slots: list[float]


@dataclass(frozen=True, slots=True)
class Mixture:
    """A policy for one ask.

    `rows` (n,) are the menu's rows that may be drawn, in its order, `slates` (members, k) what each member shows, best
    first. With `first`, which is not among `rows`, every slate begins with that one.
    """

    rows: Rows
    slates: Rows
    first: int | None = None

    def draw(self, seed: int) -> tuple[Drawn, list[int]]:
        """A slate by the policy's chances: the same one for the same seed, on every machine and Python."""
        chance = random.Random(seed)
        if chance.random() >= UNIFORM:
            return "thompson", self.slates[_below(chance, len(self.slates))].tolist()
        held = [] if self.first is None else [self.first]
        left = self.rows.tolist()
        return "uniform", held + [left.pop(_below(chance, len(left))) for _ in range(self.slates.shape[1] - len(held))]

    def chances(self, slate: Sequence[int]) -> Chances:
        """How likely these rows are in this order, and each in its slot by itself; 0 for what is never shown."""
        held = 0 if self.first is None else 1
        drawn, width = slate[held:], self.slates.shape[1]
        slots = [self._in_slot(slot, row) for slot, row in enumerate(slate[:width])]
        slots += [0.0] * (len(slate) - len(slots))
        if len(slate) != width or 0.0 in slots or len(set(slate)) != width:
            return Chances(0.0, slots)
        same = int((self.slates == slate).all(axis=1).sum())
        return Chances(self._chance(same, perm(len(self.rows), len(drawn))), slots)

    def expected(self, values: NDArray[np.float64]) -> list[float]:
        """What each slot shows on average, where each row of the menu is worth `values` (sauces,)."""
        held = [] if self.first is None else [float(values[self.first])]
        members = values[self.slates[:, len(held) :]].mean(axis=0).tolist()
        return held + [(1 - UNIFORM) * member + UNIFORM * float(values[self.rows].mean()) for member in members]

    def _in_slot(self, slot: int, row: int) -> float:
        if slot == 0 and self.first is not None:
            return float(row == self.first)
        place = int(self.rows.searchsorted(row))
        if place == len(self.rows) or self.rows[place] != row:
            return 0.0
        return self._chance(int((self.slates[:, slot] == row).sum()), len(self.rows))

    def _chance(self, members: int, alike: int) -> float:
        return (1 - UNIFORM) * (members / len(self.slates)) + UNIFORM / alike


def mixture(matrix: Matrix, scores: Matrix, deviations: Matrix, rows: Rows, k: int, first: int | None) -> Mixture:
    """The policy over these rows of the menu (in its order), of which `k` are shown.

    `matrix` (sauces, features) and `scores` (sauces,) are the whole menu's, `deviations` (members, features) the
    bundle's. With `first`, one of the rows, every slate has that one in slot 1.
    """
    drawn = rows if first is None else rows[rows != first]
    # scores are one more feature, whose weight is sure: all is summed in float64 and rounded once, as scores are, so
    # that ranks come out the same in whatever order a machine adds
    columns = np.empty((matrix.shape[1] + 1, len(drawn)))
    columns[:-1], columns[-1] = matrix[drawn].T, scores[drawn]
    wide = np.ones((len(deviations), len(columns)))
    wide[:, :-1] = deviations
    sampled = np.empty((len(wide), len(drawn)), dtype=np.float32)
    step = max(AT_ONCE // max(columns.size, 1), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(wide), step):
            sampled[start : start + step] = wide[start : start + step] @ columns
    best = drawn[top(sampled, k if first is None else k - 1)]
    if first is not None:
        best = np.insert(best, 0, first, axis=1)
    return Mixture(drawn, best, first)


def _below(chance: random.Random, count: int) -> int:
    return int(chance.random() * count)
