"""Labelled sentences -> the classifier of heat text, and its ONNX model.

An averaged perceptron with a margin, in whole numbers and in an order that the sentences themselves give: the same file
of sentences makes the same weights, bit for bit, on any machine.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heat.errors import DataError
from heat.wording import normalise
from models.heat_text import BUCKETS, CLASSES, Weights, buckets

EPOCHS = 20
MARGIN = 12
"""Of the right class above the best other one, in steps; below it the weights are moved."""
SCALE = 100
"""What a step of the averaged weights is in the whole numbers that are kept."""


class Example(NamedTuple):
    """A sentence and its class."""

    text: str
    label: int


def read_sentences(path: Path) -> list[Example]:
    """The sentences of a CSV with the columns text, about_heat, wish. Raises DataError with the line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_example(path, number, row) for number, row in enumerate(csv.DictReader(file), 2)]
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}", hint="Give the path of the sentences") from error


def _example(path: Path, number: int, row: dict[str, str]) -> Example:
    name = row.get("wish") if row.get("about_heat") == "1" else "not_about"
    if not row.get("text") or row.get("about_heat") not in {"0", "1"} or name not in CLASSES:
        raise DataError(
            f"{path}, line {number}: not a labelled sentence", hint="Columns: text, about_heat (0, 1), wish"
        )
    return Example(normalise(row["text"]).text, CLASSES.index(name))


def train(examples: list[Example]) -> Weights:
    """The weights, int16 [BUCKETS + 1, classes]."""
    rows = [np.append(buckets(example.text), BUCKETS) for example in examples]
    weights = np.zeros((BUCKETS + 1, len(CLASSES)), dtype=np.int64)
    # the average over all steps: each change, times the steps that it lasted
    changes = np.zeros_like(weights)
    step = 0
    for epoch in range(EPOCHS):
        for at in sorted(range(len(examples)), key=lambda at: _order(epoch, examples[at].text)):
            _learn(weights, changes, rows[at], examples[at].label, step)
            step += 1
    average = (weights * step - changes) * SCALE // max(step, 1)
    kept: Weights = np.clip(average, -32_768, 32_767).astype(np.int16)
    return kept


def _learn(
    weights: npt.NDArray[np.int64], changes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], label: int, step: int
) -> None:
    scores = weights[rows].sum(axis=0)
    right = int(scores[label])
    scores[label] = np.iinfo(np.int64).min
    wrong = int(scores.argmax())
    if right - int(scores[wrong]) < MARGIN:
        for column, sign in ((label, 1), (wrong, -1)):
            weights[rows, column] += sign
            changes[rows, column] += sign * step


def _order(epoch: int, text: str) -> bytes:
    return hashlib.sha256(f"{epoch} {text}".encode()).digest()


def save(folder: Path, weights: Weights) -> None:
    """Write both files into a folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "heat_text.npy", weights, allow_pickle=False)
    (folder / "heat_text.onnx").write_bytes(_onnx(weights))


def _onnx(weights: Weights) -> bytes:
    import onnx

    helper, kind = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "buckets"], ["rows"], axis=0),
            helper.make_node("Cast", ["rows"], ["wide"], to=kind.INT32),
            helper.make_node("ReduceSum", ["wide", "axes"], ["sums"], keepdims=0),
            helper.make_node("Add", ["sums", "bias"], ["scores"]),
        ],
        "heat_text",
        [helper.make_tensor_value_info("buckets", kind.INT64, ["n"])],
        [helper.make_tensor_value_info("scores", kind.INT32, [len(CLASSES)])],
        [
            onnx.numpy_helper.from_array(weights[:-1], "weights"),
            onnx.numpy_helper.from_array(weights[-1].astype(np.int32), "bias"),
            onnx.numpy_helper.from_array(np.array([0], dtype=np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    model.producer_name = "picante"
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
