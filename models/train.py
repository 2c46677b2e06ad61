"""Logged slates -> weights, and how sure they are. Never imported on a gateway.

The model is a conditional logit: of the sauces on offer, the customer pours the one with the highest utility
`x @ weights + noise`. Each slate is one visit; its likelihood is a softmax over its rows, so whatever all rows share
cancels out. Visits on which nothing was poured are left out: given that something is poured, the choice among the
sauces does not depend on how good walking away would have been, and walking away says nothing of which sauce is better.

Being shown raises a sauce's chance by itself. Each slot therefore gets a weight of its own while fitting, which is then
dropped: what is left is the taste, not the echo of an earlier policy. With the L2 penalty the loss is strictly convex,
so Newton's method finds its one minimum in a few steps, the same one every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features import Matrix

PENALTY = 3.0
"""L2 penalty on the standardised weights: worth a few slates each, enough to tie down columns that go together."""
SLOTS = 3
MAX_STEPS = 50
TOLERANCE = 1e-8
"""Newton stops when the gradient's largest entry, per slate, is below this."""
DECIMALS = 5
"""Weights are rounded to this, so that the last bits of a sum can't change a bundle's id."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Slate:
    """One visit with a pour. `slots` holds, for each row, the slot in which it was shown (1..3), or 0."""

    features: Matrix
    slots: NDArray[np.int8]
    chosen: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The fitted model. `weights` belong to raw features; losses are in nats a slate."""

    weights: tuple[float, ...]
    slot_weights: tuple[float, ...]
    loss: float
    guessing_loss: float
    steps: int
    covariance: Floats
    """Of the weights, (features, features): Laplace's approximation, the loss's curvature at its minimum inverted."""


@dataclass(frozen=True, slots=True)
class _Problem:
    """The slates side by side: x is (slates, rows, columns), padded; `mask` is 0, or -inf where padded."""

    x: Floats
    mask: Floats
    chosen: Floats
    """(slates, columns): the chosen rows."""

    def shares(self, weights: Floats) -> tuple[Floats, float]:
        """The chance of each row of each slate, and the summed loss."""
        utility = self.x @ weights + self.mask
        top = utility.max(axis=1, keepdims=True)
        exp = np.exp(utility - top)
        total = exp.sum(axis=1, keepdims=True)
        loss = float((np.log(total) + top).sum() - (self.chosen @ weights).sum())
        return exp / total, loss

    def curvature(self, weights: Floats) -> Floats:
        """The second derivative of the summed loss: (columns, columns)."""
        shares, _ = self.shares(weights)
        columns = self.x.shape[2]
        expected = np.einsum("sr,src->sc", shares, self.x)
        weighted = (self.x * shares[..., None]).reshape(-1, columns)
        return np.asarray(weighted.T @ self.x.reshape(-1, columns) - expected.T @ expected)


def fit(slates: Sequence[Slate], penalty: float = PENALTY, worth: float = 1.0) -> Fit:
    """Fit the weights to the slates; `worth` is what each counts when it comes to how sure the weights are.

    Raises ValueError without slates.
    """
    if not slates:
        raise ValueError("no slates to train on")
    problem = _problem(slates)
    flat = problem.x[np.isfinite(problem.mask)]
    scale = flat.std(axis=0)
    idle = scale < 1e-9
    scale[idle] = 1.0
    scaled = _Problem(problem.x / scale, problem.mask, problem.chosen / scale)
    weights, steps = _newton(scaled, penalty)
    covariance = np.asarray(
        np.linalg.inv(worth * scaled.curvature(weights) + penalty * np.eye(len(weights))), np.float64
    )
    # what never varied taught nothing, and its scale is unknown: nobody explores along it
    covariance[idle], covariance[:, idle] = 0, 0
    covariance = covariance / np.outer(scale, scale)
    raw = weights / scale
    _, loss = problem.shares(raw)
    _, guessing = problem.shares(np.zeros_like(raw))
    rounded = [round(float(weight), DECIMALS) + 0.0 for weight in raw]
    count = len(slates)
    return Fit(
        tuple(rounded[:-SLOTS]),
        tuple(rounded[-SLOTS:]),
        loss / count,
        guessing / count,
        steps,
        covariance[:-SLOTS, :-SLOTS],
    )


def _problem(slates: Sequence[Slate]) -> _Problem:
    own = slates[0].features.shape[1]
    rows, columns = max(len(slate.features) for slate in slates), own + SLOTS
    x = np.zeros((len(slates), rows, columns))
    mask = np.full((len(slates), rows), -np.inf)
    chosen = np.zeros((len(slates), columns))
    for i, slate in enumerate(slates):
        n = len(slate.features)
        x[i, :n, :own] = slate.features
        for slot in range(1, SLOTS + 1):
            x[i, :n, own + slot - 1] = slate.slots == slot
        mask[i, :n] = 0
        chosen[i] = x[i, slate.chosen]
    return _Problem(x, mask, chosen)


def _newton(problem: _Problem, penalty: float) -> tuple[Floats, int]:
    count, _, columns = problem.x.shape
    weights = np.zeros(columns)
    shares, loss = problem.shares(weights)
    for step in range(MAX_STEPS):
        expected = np.einsum("sr,src->sc", shares, problem.x)
        gradient = (expected - problem.chosen).sum(axis=0) + penalty * weights
        if np.abs(gradient).max() < TOLERANCE * count:
            return weights, step
        hessian = problem.curvature(weights) + penalty * np.eye(columns)
        direction = np.linalg.solve(hessian, gradient)
        weights, shares, loss = _descend(problem, penalty, weights, direction, loss)
    return weights, MAX_STEPS


def _descend(
    problem: _Problem, penalty: float, weights: Floats, direction: Floats, loss: float
) -> tuple[Floats, Floats, float]:
    """A Newton step, halved until the loss does not rise."""
    here = loss + penalty * float(weights @ weights) / 2
    size = 1.0
    while True:
        trial = weights - size * direction
        shares, trial_loss = problem.shares(trial)
        if trial_loss + penalty * float(trial @ trial) / 2 <= here + 1e-9 or size < 1e-6:
            return trial, shares, trial_loss
        size /= 2
