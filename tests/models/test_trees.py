"""Trees: grown from choices, the same each time, walked in NumPy as in onnxruntime, refused when they are odd."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heat.errors import ModelError
from models.assemble import About, write_bundle
from models.boost import _below, grow
from models.bundle import TREES_NAME, Bundle, load, save
from models.explore import suggest
from models.features import COLUMN, FEATURES, Context, Menu
from models.manifest import Training
from models.ranker import OnnxRanker, TreeRanker, in_numpy, open_ranker, rank
from models.train import Slate, fit
from models.trees import Tree, Trees, from_json, to_json
from tests.models.test_ranker import slates
from tests.tasting import SAUCES, reading


def _planted(count: int, seed: int) -> list[Slate]:
    """Choices that no weighted sum has: near is liked, unless it is smoky, and what is popular only if it is near."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        x = np.zeros((8, len(FEATURES)), dtype=np.float32)
        near, smoky = rng.normal(size=8), rng.random(8) < 0.5
        x[:, COLUMN["distance"]], x[:, COLUMN["flavour"]] = np.abs(near), smoky
        x[:, COLUMN["popularity"]] = rng.normal(size=8)
        liking = np.where(np.abs(near) < 0.7, np.where(smoky, -2, 3) + 0.5 * x[:, COLUMN["popularity"]], 0)
        slots = np.zeros(8, dtype=np.int8)
        slots[rng.permutation(8)[:3]] = [1, 2, 3]
        result.append(Slate(x, slots, int(np.argmax(liking + 0.7 * (slots > 0) + rng.gumbel(size=8)))))
    return result


LEARNT = _planted(800, seed=3)


@cache
def grown() -> tuple[Tree, ...]:
    return grow(LEARNT, seed=1, trees=30)


def _written(path: Path) -> Bundle:
    about = About(Training(seed=1, customers=1, slates=800, penalty=3.0), {}, "t", "test")
    return write_bundle(path, fit(LEARNT), [slate.features for slate in LEARNT], about, grown())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _written(tmp_path_factory.mktemp("trees") / "bundle")


def test_trees_learn_what_weights_cannot() -> None:
    fresh = _planted(600, seed=4)

    def right(scores: Callable[[Any], Any]) -> float:
        return float(np.mean([int(np.argmax(scores(slate.features))) == slate.chosen for slate in fresh]))

    weights = np.array(fit(LEARNT).weights)
    assert right(Trees(grown()).scores) > right(lambda x: x @ weights) + 0.02


def test_positions_take_some_of_the_echo_of_a_policy_away() -> None:
    """A policy shows what is popular, and what is shown is poured, although nobody cares for popularity."""
    chance, popular = np.random.default_rng(5), COLUMN["popularity"]
    visits: list[Slate] = []
    for _ in range(1500):
        x = np.zeros((5, len(FEATURES)), dtype=np.float32)
        x[:, popular] = chance.normal(size=5)
        first = int(chance.integers(5)) if chance.random() < 0.3 else int(x[:, popular].argmax())
        slots = np.zeros(5, dtype=np.int8)
        slots[first] = 1
        visits.append(Slate(x, slots, int((2 * slots + chance.gumbel(size=5)).argmax())))
    asked = np.zeros((41, len(FEATURES)), dtype=np.float32)
    asked[:, popular] = np.linspace(-2, 2, 41)
    echo, taste = (
        float(np.ptp(Trees(grow(learnt, seed=1)).scores(asked)))
        for learnt in ([replace(slate, slots=np.zeros(5, dtype=np.int8)) for slate in visits], visits)
    )
    assert taste < 0.8 * echo


def test_their_scores_are_in_nats() -> None:
    """Stretched by more or by less, they would tell the choices worse: deviations of the logit fit them."""
    scores = [Trees(grown()).scores(slate.features).astype(np.float64) for slate in LEARNT]

    def loss(factor: float) -> float:
        pairs = zip(LEARNT, scores, strict=True)
        return sum(float(np.log(np.exp(factor * (it - it[slate.chosen])).sum())) for slate, it in pairs)

    assert loss(1) < min(loss(0.8), loss(1.25))


def test_one_thread_grows_what_two_grow() -> None:
    assert grow(LEARNT, seed=1, trees=30, threads=1) == grown()
    assert grow(LEARNT[:-1], seed=1, trees=30) != grown()


def test_every_float32_lies_on_the_side_of_a_threshold_on_which_lightgbm_saw_it() -> None:
    for threshold in [0.1, 0.5, -0.1, 0.0, 1e-40, *np.random.default_rng(3).normal(size=200).tolist()]:
        below = np.float32(_below(threshold))
        assert float(below) == _below(threshold) <= threshold < float(np.nextafter(below, np.float32(np.inf)))


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="no slates"):
        grow([], seed=1)


def test_numpy_ranks_three_hundred_slates_as_onnxruntime_does(bundle: Bundle) -> None:
    onnx, numpy = OnnxRanker(bundle), in_numpy(bundle)
    assert isinstance(numpy, TreeRanker)
    edges = np.array([[tree.threshold[0]] * len(FEATURES) for tree in grown()], dtype=np.float32)
    # just beside each threshold, too
    beside = [np.nextafter(edges, np.float32(side)) for side in (-np.inf, np.inf)]
    for matrix in itertools.chain(slates(7, 300), [edges], beside):
        by_onnx, by_numpy = onnx.scores(matrix), numpy.scores(matrix)
        assert by_onnx.dtype == by_numpy.dtype == np.float32
        np.testing.assert_array_equal(by_onnx, by_numpy)
        assert rank(by_onnx, len(matrix)) == rank(by_numpy, len(matrix))


def test_a_bundle_of_trees_opens_without_onnxruntime_explains_and_explores(bundle: Bundle) -> None:
    ranker, problem = open_ranker(bundle.path)
    assert problem is None
    assert isinstance(ranker, TreeRanker)
    assert ranker.name == bundle.short_id
    chosen = [suggest(ranker, reading(7000, evidence=9), Menu(SAUCES), Context(), seed=seed) for seed in range(40)]
    assert all(pick.why for one in chosen for pick in one.picks)
    assert len({tuple(pick.sauce.id for pick in one.picks) for one in chosen}) > 1


def test_the_same_slates_give_the_same_bundle(bundle: Bundle, tmp_path: Path) -> None:
    assert _written(tmp_path / "again").id == bundle.id


def _tree(**change: Any) -> Tree:
    sound: dict[str, Any] = {
        "feature": (0, -1, -1),
        "threshold": (0.5, 0.0, 0.0),
        "left": (1, 0, 0),
        "right": (2, 0, 0),
        "value": (0.0, 1.5, -0.25),
    }
    return Tree(**(sound | change))


def test_a_small_tree_by_hand() -> None:
    trees = from_json(Path("trees.json"), to_json([_tree(), _tree(value=(0.0, 2.0, 4.0))]), "")
    x = np.zeros((4, len(FEATURES)), dtype=np.float32)
    x[:, 0] = [0.5, np.nextafter(np.float32(0.5), np.float32(1)), -np.inf, np.nan]
    assert trees.scores(x).tolist() == [3.5, 3.75, 3.5, 3.75]
    assert trees.scores(x[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (_tree(left=(0, 0, 0)), "node 0 must lead to nodes behind it"),
        (_tree(right=(3, 0, 0)), "node 0 must lead to nodes behind it"),
        (_tree(feature=(len(FEATURES), -1, -1)), "node 0 asks for a feature that is not there"),
        (_tree(feature=(-2, -1, -1)), "node 0 asks for a feature that is not there"),
        (_tree(threshold=(0.1, 0.0, 0.0)), "the threshold of node 0 is no float32"),
        (_tree(threshold=(1e300, 0.0, 0.0)), "the threshold of node 0 is no float32"),
        (_tree(value=(0.0, 0.1, 0.0)), r"the value of node 1 is no multiple of 2\*\*-16"),
        (_tree(value=(0.0, 1.0)), "its five lists must have one length"),
        (_tree(value=(0.0, 128.0, 0.0)), "the values of all trees add up to 128 or more"),
    ],
)
def test_an_odd_tree_is_refused(tree: Tree, why: str) -> None:
    with pytest.raises(ModelError, match=rf"there/trees\.json: .*{why}"):
        from_json(Path("there/trees.json"), to_json([tree]), "")


@pytest.mark.parametrize("content", [b"{}", b'{"trees": []}', json.dumps({"trees": [{}] * 600}).encode()])
def test_what_is_no_file_of_trees_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"trees\.json: "):
        from_json(Path("trees.json"), content, "")


def test_trees_that_are_not_the_model_s_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    last = grown()[-1]
    mirrored = Tree(last.feature, last.threshold, last.right, last.left, last.value)
    trees, fitted = [*grown()[:-1], mirrored], fit(LEARNT)
    about = About(bundle.manifest.training, {}, "t", "test")
    other = write_bundle(tmp_path / "other", fitted, [slate.features for slate in LEARNT], about, trees)
    odd = save(tmp_path / "odd", other.manifest, {**other.files, "model.onnx": bundle.files["model.onnx"]})
    in_numpy(odd)
    with pytest.raises(ModelError, match=rf"model\.onnx: does not score as .*{TREES_NAME} does") as raised:
        OnnxRanker(load(odd.path))
    assert raised.value.reason == "model"
