"""Boosted trees in NumPy: trees.json -> scores, the same ones to the bit as its ONNX model's in onnxruntime.

    trees.json   {"trees": [{"feature": [...], "threshold": [...], "left": [...], "right": [...], "value": [...]}, ...]}

A tree is five lists with an entry a node, the root first. A node with a feature sends a sauce `left` if its feature is
at most `threshold`, else `right`, NaN too; both lie behind the node, so every way ends. A leaf has the feature -1, and
its `value` is the tree's; the score is the sum of them.

Thresholds are float32, as features are. Values are whole multiples of 2**-16, and all of them together stay below
2**7: any sum of them fits into a float32, so it comes out the same whatever order a machine adds in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from heat.errors import ModelError
from models.features import FEATURES, Matrix

STEP = 2.0**-16
"""Of a leaf's value, in nats."""
MOST = 2.0**7
"""nats; the largest values of all trees, added up, stay below this."""
MAX_TREES = 500
MAX_NODES = 511
"""Of one tree."""

_Nodes = Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_NODES)]
_Numbers = Annotated[tuple[float, ...], msgspec.Meta(max_length=MAX_NODES)]


class Tree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tree, as trees.json has it."""

    feature: _Nodes
    threshold: _Numbers
    left: _Nodes
    right: _Nodes
    value: _Numbers


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    trees: Annotated[tuple[Tree, ...], msgspec.Meta(min_length=1, max_length=MAX_TREES)]


class Trees:
    """Trees side by side, their nodes in one row."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        """The trees must be sound (`from_json`)."""
        starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])
        self._roots: NDArray[np.intp] = starts[:-1].astype(np.intp)
        feature = np.concatenate([tree.feature for tree in trees])
        here = np.arange(len(feature))
        leaf = feature < 0
        self._feature = np.where(leaf, 0, feature).astype(np.intp)
        self._threshold = np.concatenate([np.array(tree.threshold, dtype=np.float32) for tree in trees])
        # a leaf leads to itself: all trees are walked as often as the deepest one needs
        self._left = np.where(leaf, here, np.concatenate([starts[i] + tree.left for i, tree in enumerate(trees)]))
        self._right = np.where(leaf, here, np.concatenate([starts[i] + tree.right for i, tree in enumerate(trees)]))
        self._value = np.concatenate([np.array(tree.value, dtype=np.float64) for tree in trees])
        self._depth = max(map(_depth, trees))

    def scores(self, features: Matrix) -> Matrix:
        """The sums of the trees' values: float32, shape (sauces,)."""
        rows = np.arange(len(features))[:, None]
        node = np.broadcast_to(self._roots, (len(features), len(self._roots)))
        for _ in range(self._depth):
            left = features[rows, self._feature[node]] <= self._threshold[node]
            node = np.where(left, self._left[node], self._right[node])
        result: Matrix = self._value[node].sum(axis=1).astype(np.float32)
        return result


def to_json(trees: Sequence[Tree]) -> bytes:
    """The bytes of trees.json."""
    return msgspec.json.encode(_File(tuple(trees))) + b"\n"


def from_json(path: Path, content: bytes, hint: str) -> Trees:
    """The trees in trees.json. `path` is for the message. Raises ModelError."""
    try:
        trees = msgspec.json.decode(content, type=_File).trees
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}", hint=hint) from error
    with np.errstate(over="ignore"):
        for number, tree in enumerate(trees):
            if (wrong := _flaw(tree)) is not None:
                raise ModelError(f"{path}: tree {number}: {wrong}", hint=hint)
    if sum(max(map(abs, tree.value)) for tree in trees) >= MOST:
        raise ModelError(f"{path}: the values of all trees add up to {MOST:.0f} or more", hint=hint)
    return Trees(trees)


def _flaw(tree: Tree) -> str | None:
    """What is wrong with a tree, if anything."""
    nodes = len(tree.feature)
    if not nodes or any(len(row) != nodes for row in (tree.threshold, tree.left, tree.right, tree.value)):
        return "its five lists must have one length"
    for node, feature in enumerate(tree.feature):
        if not -1 <= feature < len(FEATURES):
            return f"node {node} asks for a feature that is not there"
        if feature >= 0 and not (node < tree.left[node] < nodes and node < tree.right[node] < nodes):
            return f"node {node} must lead to nodes behind it"
        if tree.threshold[node] != float(np.float32(tree.threshold[node])):
            return f"the threshold of node {node} is no float32"
        if tree.value[node] % STEP:
            return f"the value of node {node} is no multiple of 2**-16"
    return None


def _depth(tree: Tree) -> int:
    depth = [0] * len(tree.feature)
    for node, feature in enumerate(tree.feature):
        if feature >= 0:
            for child in (tree.left[node], tree.right[node]):
                depth[child] = max(depth[child], depth[node] + 1)
    return max(depth)
