"""Bundles: what is written is read; whatever is wrong says what, where, and what to do."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heat.errors import ModelError
from models.bundle import load, pretrained, save
from models.features import FEATURES
from models.ranker import OnnxRanker
from models.train import onnx_model

WEIGHTS = load(pretrained()).manifest.weights


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle."""
    return shutil.copytree(pretrained(), tmp_path / "bundle")


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def _exchange(path: Path, model: bytes) -> None:
    """Another model, with a manifest that vouches for it."""
    (path / "model.onnx").write_bytes(model)
    _edit(path, lambda manifest: manifest.update(model_sha256=hashlib.sha256(model).hexdigest()))


def test_the_id_is_the_manifest_s_hash(bundle: Path) -> None:
    loaded = load(bundle)
    assert loaded.id == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert loaded.short_id == loaded.id[:12]


def test_saving_what_was_loaded_gives_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    loaded = load(bundle)
    again = save(tmp_path / "deep" / "again", loaded.manifest, loaded.model)
    assert (again.id, again.manifest, again.model) == (loaded.id, loaded.manifest, loaded.model)


BREAKAGES: list[tuple[Callable[[Path], object], str, str]] = [
    (shutil.rmtree, "manifest.json: can't be read: No such file", "Copy the bundle again"),
    (lambda path: (path / "model.onnx").unlink(), "model.onnx: can't be read: No such file", "Copy the bundle again"),
    (lambda path: (path / "manifest.json").write_text("{"), "manifest.json: .*truncated", "Copy the bundle again"),
    (lambda path: (path / "manifest.json").write_text("[1]"), "manifest.json: Expected `object`", "Copy the bundle"),
    (lambda path: _edit(path, lambda m: m.pop("weights")), "manifest.json: .*missing.*`weights`", "Copy the bundle"),
    (lambda path: _edit(path, lambda m: m.update(format=2)), "manifest.json: format 2 is not known", "Update Picante"),
    (lambda path: _edit(path, lambda m: m.pop("format")), "manifest.json: format None is not known", "Update Picante"),
    (
        lambda path: _edit(path, lambda m: m.update(features=[*m["features"][:-1], "zest"])),
        "manifest.json: made for other features .*after_too_hot, zest",
        "Use the bundle that belongs to this version",
    ),
    (
        lambda path: _edit(path, lambda m: m.update(features_schema="0" * 64)),
        "manifest.json: made for other features .same names",
        "Use the bundle that belongs to this version",
    ),
    (lambda path: _edit(path, lambda m: m["weights"].pop()), "manifest.json: 'weights' must be", "Copy the bundle"),
    (
        lambda path: _edit(path, lambda m: m.update(model="../../etc/passwd")),
        "manifest.json: 'model' must be a file name",
        "Copy the bundle again",
    ),
    (
        lambda path: (path / "model.onnx").write_bytes(b"x" + (path / "model.onnx").read_bytes()),
        "model.onnx: its SHA-256 is [0-9a-f]{12}…, the manifest says",
        "Copy the bundle again",
    ),
    (lambda path: (path / "model.onnx").write_bytes(b"0" * (17 << 20)), "model.onnx: is larger than", "Copy the"),
]


@pytest.mark.parametrize(("breakage", "what", "remedy"), BREAKAGES)
def test_a_broken_bundle_says_what_where_and_what_to_do(
    bundle: Path, breakage: Callable[[Path], object], what: str, remedy: str
) -> None:
    breakage(bundle)
    with pytest.raises(ModelError) as raised:
        load(bundle)
    assert re.search(what, str(raised.value))
    assert remedy in raised.value.hint
    assert str(bundle) in str(raised.value)


def _graph(nodes: list[Any], outputs: list[Any], weights: np.ndarray[Any, Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["sauces", len(FEATURES)])],
        outputs,
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _two_columns() -> bytes:
    return _graph(
        [helper.make_node("MatMul", ["features", "weights"], ["scores"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["sauces", 2])],
        np.zeros((len(FEATURES), 2)),
    )


def _other_output() -> bytes:
    return _graph(
        [helper.make_node("MatMul", ["features", "weights"], ["points"])],
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["sauces"])],
        np.zeros(len(FEATURES)),
    )


def _clipped() -> bytes:
    """Right wherever all features lie in 0..1."""
    wide = np.array(WEIGHTS, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Clip", ["features", "least", "most"], ["clipped"]),
            helper.make_node("Cast", ["clipped"], ["wide"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["wide", "weights"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["scores"], to=TensorProto.FLOAT),
        ],
        "clipped",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["sauces", len(FEATURES)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["sauces"])],
        [
            numpy_helper.from_array(wide.astype(np.float64), "weights"),
            numpy_helper.from_array(np.zeros((), dtype=np.float32), "least"),
            numpy_helper.from_array(np.ones((), dtype=np.float32), "most"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def _summed_in_float32() -> bytes:
    return _graph(
        [helper.make_node("MatMul", ["features", "weights"], ["scores"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["sauces"])],
        np.array(WEIGHTS),
    )


def _near(by: float) -> bytes:
    return onnx_model([weight + by for weight in WEIGHTS])


OTHER_SCORES = r"model\.onnx: does not score as the weights in .*manifest\.json do"


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (lambda: onnx_model([0.0] * len(FEATURES)), OTHER_SCORES),
        (lambda: onnx_model([-weight for weight in WEIGHTS]), OTHER_SCORES),
        (lambda: _near(9e-5), OTHER_SCORES),
        (lambda: _near(1e-6), OTHER_SCORES),
        (lambda: onnx_model([float(np.nextafter(np.float32(WEIGHTS[0]), np.float32(9))), *WEIGHTS[1:]]), OTHER_SCORES),
        (_clipped, OTHER_SCORES),
        (_summed_in_float32, OTHER_SCORES),
        (lambda: onnx_model([1.0] * 3), "does not score .* features"),
        (_two_columns, "does not give one float32 a sauce"),
        (_other_output, "does not score .* features"),
        (lambda: b"no model", "onnxruntime can't open it"),
    ],
    ids=[
        "constant",
        "negated",
        "near",
        "nearer",
        "one-bit",
        "clipped",
        "float32",
        "too-narrow",
        "two-columns",
        "other-output",
        "no-model",
    ],
)
def test_another_model_is_refused_even_if_its_hash_is_vouched_for(
    bundle: Path, model: Callable[[], bytes], what: str
) -> None:
    _exchange(bundle, model())
    with pytest.raises(ModelError, match=what) as raised:
        OnnxRanker(load(bundle))
    assert "picante models train" in raised.value.hint
    assert "model.onnx" in str(raised.value)
