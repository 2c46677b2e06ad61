"""Logged slates -> boosted trees, by LightGBM's LambdaRank: what the slate logit is measured against.

Needs the `train` extra; never imported on a gateway. The trees learn from the very slates and features that the logit
learns from. Where a sauce was shown goes in as its position: LightGBM takes some of its pull out, the logit all of it.
Their scores are then stretched to nats, so that a bundle's deviations, which are the logit's, move them as far as it.

The same slates give the same trees, on one thread or on two: LightGBM is told to add in one order, and values are
rounded to the grid of `models.trees`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURES
from models.train import Slate
from models.trees import MOST, STEP, Tree, Trees

TREES = 120
PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 6,
    "learning_rate": 0.08,
    "num_leaves": 15,
    "max_depth": 6,
    "min_data_in_leaf": 200,
    "lambda_l2": 5.0,
    "label_gain": [0, 1],
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""Chosen on simulated customers: larger trees, and more of them, learnt the crowd by heart. `max_depth` is what a pick
has to walk."""
STEEPEST = 50.0
"""Scores are stretched by no more: choices that nothing contradicts would want it without end."""


def grow(slates: Sequence[Slate], seed: int, *, trees: int = TREES, threads: int = 2) -> tuple[Tree, ...]:
    """The trees for these slates. Raises ValueError without slates."""
    import lightgbm

    if not slates:
        raise ValueError("no slates to train on")
    sauces = np.array([len(slate.features) for slate in slates])
    features = np.concatenate([slate.features for slate in slates])
    chosen = np.concatenate([[0], np.cumsum(sauces)[:-1]]) + [slate.chosen for slate in slates]
    label = np.zeros(len(features), dtype=np.int8)
    label[chosen] = 1
    rows = lightgbm.Dataset(
        features,
        label=label,
        group=sauces,
        position=np.concatenate([slate.slots for slate in slates]),
        feature_name=list(FEATURES),
    )
    booster = lightgbm.train(PARAMETERS | {"seed": seed, "num_threads": threads}, rows, num_boost_round=trees)
    raw = [_tree(found["tree_structure"]) for found in booster.dump_model()["tree_info"]]
    return tuple(_stretched(raw, _nats(Trees(raw).scores(features).astype(np.float64), sauces, chosen)))


def _tree(root: dict[str, Any]) -> Tree:
    """LightGBM's nested nodes, in the order in which a walk meets them."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def add(node: dict[str, Any]) -> int:
        here = len(feature)
        feature.append(node.get("split_feature", -1))
        threshold.append(_below(node.get("threshold", 0.0)))
        left.append(0)
        right.append(0)
        value.append(0.0 if "split_feature" in node else node["leaf_value"])
        if "split_feature" in node:
            left[here] = add(node["left_child"])
            right[here] = add(node["right_child"])
        return here

    add(root)
    return Tree(tuple(feature), tuple(threshold), tuple(left), tuple(right), tuple(value))


def _below(threshold: float) -> float:
    """The largest float32 that is not above: every float32 lies on the same side of both."""
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-math.inf)))


def _stretched(trees: Sequence[Tree], factor: float) -> list[Tree]:
    """The trees with their values times `factor`, on the grid."""
    result = []
    for tree in trees:
        values = tuple(round(value * factor / STEP) * STEP for value in tree.value)
        result.append(Tree(tree.feature, tree.threshold, tree.left, tree.right, values))
    if sum(max(map(abs, tree.value)) for tree in result) >= MOST:
        raise ValueError("the trees' values don't fit their grid")
    return result


def _nats(scores: NDArray[np.float64], sauces: NDArray[np.int64], chosen: NDArray[np.int64]) -> float:
    """By what to multiply scores, slate after slate of so many sauces, so that their softmax fits the choices best."""
    starts = np.cumsum(sauces) - sauces
    scores = scores - np.repeat(np.maximum.reduceat(scores, starts), sauces)
    factor = 1.0
    for _ in range(50):
        exp = np.exp(scores * factor)
        total = np.add.reduceat(exp, starts)
        mean = np.add.reduceat(exp * scores, starts) / total
        curve = np.add.reduceat(exp * scores**2, starts) / total - mean**2
        step = float((scores[chosen] - mean).sum() / max(curve.sum(), 1e-12))
        factor = min(max(factor + step, factor / 2), factor * 2, STEEPEST)
        if abs(step) < 1e-9 * factor:
            break
    return round(factor, 4)
