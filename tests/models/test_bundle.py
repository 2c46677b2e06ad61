"""Bundles: what is written is read; whatever is wrong says what, where, and what to do."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heat.errors import ModelError
from models.bundle import load, pack, pretrained, save, unpack
from models.export import onnx_model
from models.features import FEATURES
from models.ranker import OnnxRanker, in_numpy

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
    _vouched(path, "model.onnx", model)


def _vouched(path: Path, name: str, content: bytes) -> None:
    (path / name).write_bytes(content)
    _edit(path, lambda manifest: manifest["files"].update({name: hashlib.sha256(content).hexdigest()}))


def test_the_id_is_the_manifest_s_hash(bundle: Path) -> None:
    loaded = load(bundle)
    assert loaded.id == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert loaded.short_id == loaded.id[:12]


def test_saving_what_was_loaded_gives_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    loaded = load(bundle)
    again = save(tmp_path / "deep" / "again", loaded.manifest, loaded.files)
    assert (again.id, again.manifest, again.files) == (loaded.id, loaded.manifest, loaded.files)


def test_what_was_in_the_directory_before_goes(bundle: Path) -> None:
    loaded = load(bundle)
    (bundle / "signature.json").write_text("of another manifest")
    (bundle / "trees.json").write_text("of another model")
    save(bundle, loaded.manifest, loaded.files)
    assert sorted(path.name for path in bundle.iterdir()) == [
        "golden.json",
        "manifest.json",
        "model.onnx",
        "posterior.npy",
    ]


def _posterior(deviations: np.ndarray[Any, Any], version: tuple[int, int] = (1, 0)) -> Callable[[Path], None]:
    content = io.BytesIO()
    np.lib.format.write_array(content, deviations, version=version)
    return lambda path: _vouched(path, "posterior.npy", content.getvalue())


def _claims_much(path: Path) -> None:
    """A header of a billion rows, and no numbers."""
    content = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, len(FEATURES))}
    np.lib.format.write_array_header_1_0(content, header)
    _vouched(path, "posterior.npy", content.getvalue())


def _golden(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        content = json.loads((path / "golden.json").read_text())
        change(content)
        _vouched(path, "golden.json", json.dumps(content).encode())

    return edit


AGAIN, OTHER = "Copy the bundle again", "Use the bundle that belongs to this version"
FLOATS = np.float32
BREAKAGES: list[tuple[Callable[[Path], object], str, str, str]] = [
    (shutil.rmtree, "missing", "manifest.json: can't be read: No such file", AGAIN),
    (lambda path: (path / "model.onnx").unlink(), "missing", "model.onnx: can't be read: No such file", AGAIN),
    (lambda path: (path / "posterior.npy").unlink(), "missing", "posterior.npy: can't be read: No such", AGAIN),
    (lambda path: (path / "golden.json").unlink(), "missing", "golden.json: can't be read: No such file", AGAIN),
    (lambda path: (path / "manifest.json").write_text("{"), "unreadable", "manifest.json: .*truncated", AGAIN),
    (lambda path: (path / "manifest.json").write_text("[1]"), "unreadable", "manifest.json: Expected `object`", AGAIN),
    (lambda path: (path / "manifest.json").write_text('{"format":' + "[" * 99_999), "unreadable", "recursion", AGAIN),
    (lambda path: _edit(path, lambda m: m.pop("weights")), "unreadable", "manifest.json: .*missing.*`weights`", AGAIN),
    (lambda path: _edit(path, lambda m: m.update(format=1)), "format", "manifest.json: format 1 is not known", OTHER),
    (lambda path: _edit(path, lambda m: m.update(format=3)), "format", "manifest.json: format 3 is not known", OTHER),
    (lambda path: _edit(path, lambda m: m.pop("format")), "format", "manifest.json: format None is not known", OTHER),
    (lambda path: _edit(path, lambda m: m.update(sequence=-1)), "unreadable", "manifest.json: .*sequence", AGAIN),
    (lambda path: _edit(path, lambda m: m.update(kind="net")), "unreadable", "manifest.json: .*'net'.*kind", AGAIN),
    (
        lambda path: _edit(path, lambda m: m.update(features=[*m["features"][:-1], "zest"])),
        "schema",
        f"manifest.json: made for other features .*{FEATURES[-1]}.*zest|zest.*{FEATURES[-1]}",
        OTHER,
    ),
    (
        lambda path: _edit(path, lambda m: m.update(features_schema="0" * 64)),
        "schema",
        "manifest.json: made for other features .same names",
        OTHER,
    ),
    (lambda path: _edit(path, lambda m: m["weights"].pop()), "unreadable", "manifest.json: 'weights' must be", AGAIN),
    (
        lambda path: _edit(path, lambda m: m["files"].update({"../../etc/passwd": "0" * 64})),
        "files",
        "manifest.json: 'files' must name golden.json, .* not '../../etc/passwd', 'golden.json'",
        AGAIN,
    ),
    (lambda path: _edit(path, lambda m: m["files"].pop("golden.json")), "files", "'files' must name golden.jso", AGAIN),
    (lambda path: _edit(path, lambda m: m.update(kind="trees")), "files", "'files' must name .*trees.json", AGAIN),
    (
        lambda path: (path / "model.onnx").write_bytes(b"x" + (path / "model.onnx").read_bytes()),
        "hash",
        "model.onnx: its SHA-256 is [0-9a-f]{12}…, the manifest says",
        AGAIN,
    ),
    (lambda path: (path / "model.onnx").write_bytes(b"0" * (17 << 20)), "size", "model.onnx: is larger than", AGAIN),
    (lambda path: (path / "golden.json").write_bytes(b"0" * (2 << 20)), "size", "golden.json: is larger than", AGAIN),
    (_posterior(np.zeros((4, 3), FLOATS)), "unreadable", r"posterior.npy: it holds float32 \[4, 3\], not", AGAIN),
    (_posterior(np.zeros((4, len(FEATURES)))), "unreadable", "posterior.npy: it holds float64", AGAIN),
    (_posterior(np.zeros((0, len(FEATURES)), FLOATS)), "unreadable", r"posterior.npy: it holds \[0,", AGAIN),
    (_posterior(np.zeros((257, len(FEATURES)), FLOATS)), "unreadable", r"posterior.npy: it holds \[257,", AGAIN),
    (_posterior(np.zeros((4, len(FEATURES)), FLOATS), (2, 0)), "unreadable", "posterior.npy: it is of another", AGAIN),
    (_posterior(np.full((4, len(FEATURES)), np.nan, FLOATS)), "unreadable", "posterior.npy: has numbers that", AGAIN),
    (_claims_much, "unreadable", r"posterior.npy: it holds \[1000000000, ", AGAIN),
    (lambda path: _vouched(path, "posterior.npy", b"none"), "unreadable", "posterior.npy: ", AGAIN),
    (lambda path: _vouched(path, "golden.json", b"{}"), "unreadable", "golden.json: .*missing.*`slates`", AGAIN),
    (_golden(lambda c: c["slates"].clear()), "unreadable", "golden.json: .*length >= 1", AGAIN),
    (_golden(lambda c: c["slates"].extend(c["slates"] * 9)), "unreadable", "golden.json: .*length <= 64", AGAIN),
    (_golden(lambda c: c["slates"][2]["scores"].pop()), "unreadable", "golden.json: slate 2 must have", AGAIN),
    (_golden(lambda c: c["slates"][1]["features"][0].pop()), "unreadable", "golden.json: slate 1 must have", AGAIN),
]


@pytest.mark.parametrize(("breakage", "reason", "what", "remedy"), BREAKAGES)
def test_a_broken_bundle_says_what_where_and_what_to_do(
    bundle: Path, breakage: Callable[[Path], object], reason: str, what: str, remedy: str
) -> None:
    breakage(bundle)
    with pytest.raises(ModelError) as raised:
        load(bundle)
    assert re.search(what, str(raised.value))
    assert remedy in raised.value.hint
    assert str(bundle) in str(raised.value)
    assert raised.value.reason == reason


@pytest.mark.parametrize("name", ["model.onnx", "posterior.npy", "golden.json"])
def test_a_bit_that_flipped_in_a_file_is_found(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        content[place] ^= 0x10
        (bundle / name).write_bytes(content)
        with pytest.raises(ModelError, match="damaged or exchanged") as raised:
            load(bundle)
        assert raised.value.reason == "hash"
        content[place] ^= 0x10


# -- as one file --------------------------------------------------------------------------------------------------


def test_packed_and_unpacked_it_is_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    (bundle / "signature.json").write_text("whatever it is")
    (bundle / "notes.txt").write_text("not part of it")
    packed = pack(load(bundle))
    assert pack(load(bundle)) == packed
    files = unpack(packed)
    assert set(files) == {*load(bundle).files, "manifest.json", "signature.json"}
    (tmp_path / "there").mkdir()
    for name, content in files.items():
        (tmp_path / "there" / name).write_bytes(content)
    assert load(tmp_path / "there").id == load(bundle).id


def _zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _lying(packed: bytes) -> bytes:
    """The directory of the archive says that golden.json unpacks to 9 bytes."""
    entry = packed.rindex(b"golden.json") - 46
    return packed[: entry + 24] + (9).to_bytes(4, "little") + packed[entry + 28 :]


def _misplaced(packed: bytes) -> bytes:
    """The archive says that its directory is where nothing can be."""
    end = packed.rindex(b"PK\x05\x06")
    return packed[: end + 16] + (2**31).to_bytes(4, "little") + packed[end + 20 :]


BOMB = _zipped({"manifest.json": b"{}", "golden.json": b"0" * (64 << 20)})


@pytest.mark.parametrize(
    ("packed", "reason", "what"),
    [
        (_zipped({"manifest.json": b"{}", "../../etc/passwd": b""}), "files", r"not \['manifest.json', '../../etc/pa"),
        (_zipped({"manifest.json": b"{}", "/model.onnx": b""}), "files", "not .*'/model.onnx'"),
        (_zipped({"model.onnx": b""}), "files", r"not \['model.onnx'\]"),
        (BOMB, "size", "golden.json: is larger than 1048576 bytes"),
        (_lying(BOMB), "unreadable", "no packed bundle: Bad CRC-32 for file 'golden.json'"),
        (BOMB[:-30], "unreadable", "no packed bundle: File is not a zip file"),
        (b"", "unreadable", "no packed bundle"),
        (_misplaced(_zipped({"manifest.json": b"{}"})), "unreadable", "no packed bundle: negative seek value"),
        (
            _zipped({"ü": b""}).replace("ü".encode(), b"\xff\xff"),
            "unreadable",
            "no packed bundle: .*invalid start byte",
        ),
    ],
    ids=["path", "absolute", "no-manifest", "bomb", "lying-bomb", "cut", "empty", "misplaced", "no-utf-8"],
)
def test_what_is_no_packed_bundle_is_not_unpacked(packed: bytes, reason: str, what: str) -> None:
    tracemalloc.start()
    with pytest.raises(ModelError, match=what) as raised:
        unpack(packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raised.value.reason == reason
    assert peak < 4 << 20


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
    assert raised.value.reason == "model"
    assert "picante models train" in raised.value.hint
    assert "model.onnx" in str(raised.value)


def test_scores_that_differ_from_the_golden_ones_are_refused_by_every_scorer(bundle: Path) -> None:
    def off_by_one_bit(content: dict[str, Any]) -> None:
        score = np.float32(content["slates"][3]["scores"][0])
        content["slates"][3]["scores"][0] = float(np.nextafter(score, np.float32(99)))

    _golden(off_by_one_bit)(bundle)
    for scorer in (in_numpy, OnnxRanker):
        with pytest.raises(ModelError, match=r"golden\.json: slate 3 does not get its scores here") as raised:
            scorer(load(bundle))
        assert raised.value.reason == "golden"
