"""Features -> scores: what ranks the sauces of a menu.

`open_ranker` gives the gateway one at once: the bundle in NumPy, or the rule where no bundle is valid. The
bundle's ONNX model takes over once a process of its own has run it (`models.probe`): onnxruntime has killed processes
on some boards. Both give the same scores to the bit, whatever order they add in: sums are taken in float64, where the
products are exact, and then rounded to float32. A model that gives others is refused. A score means nothing by itself;
only the order of one menu's counts, and where scores are equal, that of the menu (`rank`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heat.errors import ModelError
from models import golden
from models.bundle import GOLDEN_NAME, MODEL_NAME, TREES_NAME, Bundle, load
from models.features import COLUMN, FEATURES, Matrix
from models.manifest import AGAIN, MANIFEST_NAME
from models.trees import Trees, from_json

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""Set before anything loads onnxruntime: since 1.29 it writes an id of the device to disk, and tells its maker of the
process and the model. https://github.com/microsoft/onnxruntime/pull/27379"""

CHECKED_SLATES = 300
"""Slates on which a model must score as its manifest's weights do, every bit of it: 0.1 s on a PC."""


Scorer = Literal["onnx", "numpy", "rule"]
Rows: TypeAlias = NDArray[np.intp]
"""Rows of a menu."""


class Ranker(Protocol):
    """Scores a menu."""

    @property
    def name(self) -> str:
        """`rule`, or the short id of the bundle: what impressions name the ranker by."""
        ...

    @property
    def scorer(self) -> Scorer:
        """What computes the scores."""
        ...

    @property
    def weights(self) -> Matrix:
        """One weight a feature: the linear view of the ranker from which picks are explained."""
        ...

    @property
    def deviations(self) -> Matrix | None:
        """How wrong the weights may be, float32 [members, features] (`models.posterior`); None: not known."""
        ...

    def scores(self, features: Matrix) -> Matrix:
        """A score for each row of `features` (float32, shape (sauces, len(FEATURES))): float32, shape (sauces,)."""
        ...


class RuleRanker:
    """Nearest to the preferred heat; nothing above the tolerance before everything below it."""

    name = "rule"
    scorer: Scorer = "rule"
    deviations: Matrix | None = None

    def __init__(self) -> None:
        self.weights: Matrix = np.zeros(len(FEATURES), dtype=np.float32)
        self.weights[COLUMN["distance"]] = -1
        self.weights[COLUMN["dial_distance"]] = -1
        self.weights[COLUMN["popularity"]] = 0.1
        # 20 octaves are the whole scale: one step above tolerance outweighs any distance
        self.weights[COLUMN["above_tolerance"]] = -1000

    def scores(self, features: Matrix) -> Matrix:
        """Minus the octaves to the preferred heat, and to the dial if there is one."""
        return weighed(features, self.weights)


class LinearRanker:
    """Weights, multiplied in NumPy: scores as the ONNX model of the same bundle does."""

    scorer: Scorer = "numpy"

    def __init__(self, name: str, weights: Sequence[float], deviations: Matrix | None = None) -> None:
        self.name = name
        self.deviations = deviations
        self.weights: Matrix = np.array(weights, dtype=np.float32)

    def scores(self, features: Matrix) -> Matrix:
        """The weighted sums of the features."""
        return weighed(features, self.weights)


class TreeRanker:
    """Boosted trees, walked in NumPy: scores as the ONNX model of the same bundle does. `weights` are the logit's."""

    scorer: Scorer = "numpy"

    def __init__(self, name: str, trees: Trees, weights: Sequence[float], deviations: Matrix | None = None) -> None:
        self.name = name
        self.weights: Matrix = np.array(weights, dtype=np.float32)
        self.deviations = deviations
        self._trees = trees

    def scores(self, features: Matrix) -> Matrix:
        """The sums of the trees' values."""
        return self._trees.scores(features)


class OnnxRanker:
    """A bundle's model.onnx in onnxruntime, on one thread that does not spin."""

    scorer: Scorer = "onnx"

    def __init__(self, bundle: Bundle) -> None:
        """Open the model and compare its scores with the golden ones, and with those of NumPy.

        Raises:
            ModelError: onnxruntime can't run the model, or the model is not the one that the manifest describes.
        """
        numpy = in_numpy(bundle)
        self.name = numpy.name
        self.weights = numpy.weights
        self.deviations = numpy.deviations
        self._session = _session(bundle)
        self._check(bundle, numpy)

    def scores(self, features: Matrix) -> Matrix:
        """What the model says of each row."""
        result: Matrix = self._session.run(["scores"], {"features": features})[0]
        return result

    def _check(self, bundle: Bundle, numpy: LinearRanker | TreeRanker) -> None:
        where = bundle.path / MODEL_NAME
        said = f"the weights in {bundle.path / MANIFEST_NAME} do"
        if isinstance(numpy, TreeRanker):
            said = f"{bundle.path / TREES_NAME} does"
        for slate in _slates():
            scores: Any
            try:
                scores = self.scores(slate)
            except _onnxruntime_errors() as error:
                raise _wrong(where, f"does not score {len(FEATURES)} features: {error}") from error
            if not isinstance(scores, np.ndarray) or (scores.dtype, scores.shape) != (np.float32, slate.shape[:1]):
                raise _wrong(where, "does not give one float32 a sauce")
            if not np.array_equal(scores, numpy.scores(slate), equal_nan=True):
                raise _wrong(where, f"does not score as {said}")
        golden.check(bundle.golden, self.scores, bundle.path / GOLDEN_NAME, AGAIN)


def weighed(features: Matrix, weights: Matrix) -> Matrix:
    """The weighted sum of each row's features, the same in whatever order a machine adds."""
    with np.errstate(over="ignore", invalid="ignore"):
        result: Matrix = (features.astype(np.float64) @ weights.astype(np.float64)).astype(np.float32)
    return result


def in_numpy(bundle: Bundle) -> LinearRanker | TreeRanker:
    """The ranker of a bundle, without onnxruntime. Raises ModelError if it does not give the golden scores."""
    ranker: LinearRanker | TreeRanker
    weights = bundle.manifest.weights
    if bundle.manifest.kind == "trees":
        trees = from_json(bundle.path / TREES_NAME, bundle.files[TREES_NAME], AGAIN)
        ranker = TreeRanker(bundle.short_id, trees, weights, bundle.deviations)
    else:
        ranker = LinearRanker(bundle.short_id, weights, bundle.deviations)
    golden.check(bundle.golden, ranker.scores, bundle.path / GOLDEN_NAME, AGAIN)
    return ranker


def rank(scores: Matrix, k: int) -> list[int]:
    """The rows of the `k` highest scores, best first; equal scores keep the menu's order, NaN comes last."""
    rows: list[int] = top(scores[None].copy(), min(k, len(scores)))[0].tolist()
    return rows


def top(scores: Matrix, k: int) -> Rows:
    """The same of each line of `scores` (lines, sauces), which is used up: (lines, k), `k` being no more than sauces.

    One pass a place: for the few of a screen that is a tenth of what sorting takes.
    """
    if not np.isfinite(scores).all():
        scores = np.nan_to_num(scores, nan=float(np.finfo(np.float32).min))
    best = np.empty((len(scores), k), dtype=np.intp)
    lines = np.arange(len(scores))
    for place in range(k):
        best[:, place] = scores.argmax(axis=1)
        scores[lines, best[:, place]] = -np.inf
    return best


def open_ranker(path: Path | None) -> tuple[Ranker, ModelError | None]:
    """The best ranker for the bundle at `path` without onnxruntime, and what stood in the way of a better one."""
    if path is None:
        return RuleRanker(), None
    try:
        return in_numpy(load(path)), None
    except ModelError as error:
        return RuleRanker(), error


def _slates() -> Iterator[Matrix]:
    """What a model is checked on, the same at each start: each feature alone, and slates of 1 to 250 sauces.

    A third have numbers as features are, a third whole ones, a third any that float32 can hold.
    """
    yield np.eye(len(FEATURES), dtype=np.float32)
    chance = random.Random(CHECKED_SLATES)  # not NumPy's: loading that takes the gateway 3 MB
    for number in range(CHECKED_SLATES - 1):
        shape = chance.randint(1, 250), len(FEATURES)
        slate = np.frombuffer(chance.randbytes(4 * shape[0] * shape[1]), dtype="<i4").reshape(shape) / 2.0**28
        if number % 3 == 1:
            slate = slate.round()
        elif number % 3 == 2:
            powers = np.frombuffer(chance.randbytes(shape[0] * shape[1]), dtype=np.uint8).reshape(shape)
            slate *= 10.0 ** (powers % 78 - 40.0)
        yield slate.astype(np.float32)


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: classes of its own without a common base, and a few of Python's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (RuntimeError, ValueError, *own)


def _session(bundle: Bundle) -> Any:
    import onnxruntime  # not at the top: see `models.probe`

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # one or two nodes leave nothing to optimise, and what optimises takes time and memory to load
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    except _onnxruntime_errors() as error:
        raise _wrong(bundle.path / MODEL_NAME, f"onnxruntime can't open it: {error}") from error


def _wrong(where: Path, what: str) -> ModelError:
    return ModelError(f"{where}: {what}", hint=AGAIN, reason="model")
