"""manifest.json: what a bundle's model is, where it comes from, how well it did; the hashes of its files.

The bundle's id is the SHA-256 of this file's bytes, and so names all of them; a signature is one of these bytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from heat.errors import ModelError
from models.experiment import Experiment
from models.features import FEATURES, SCHEMA

FORMAT = 2
"""The format of the manifest that is written and read here."""
MANIFEST_NAME = "manifest.json"
AGAIN = "Copy the bundle again, or train a new one with `picante models train`"
"""What to do about most that can be wrong with a bundle."""
MAX_SEQUENCE = 2**53 - 1

RankerKind = Literal["linear", "trees"]
FILES: dict[RankerKind, frozenset[str]] = {
    "linear": frozenset({"model.onnx", "posterior.npy", "golden.json"}),
    "trees": frozenset({"model.onnx", "posterior.npy", "golden.json", "trees.json"}),
}
"""The files of a bundle besides manifest.json and signature.json. Other names are refused, and so is any path."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle was trained on. `source` says whose slates they were: `simulation`, or `lake`."""

    source: str = "simulation"
    seed: int
    customers: int
    slates: int
    penalty: float
    worth: float = 1.0
    """What a slate counted as evidence, when the deviations were drawn."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in manifest.json. `weights` are in the order of `features`: with trees, the linear model beside."""

    format: int = FORMAT
    sequence: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)] = 0
    """Larger than that of every bundle that was released before it by the same signer; 0 was never released."""
    kind: RankerKind = "linear"
    features: tuple[str, ...] = FEATURES
    features_schema: str = SCHEMA
    weights: tuple[float, ...]
    files: dict[str, str]
    """File name -> SHA-256 in hex."""
    catalog_version: str
    training: Training
    metrics: dict[str, float]
    created_by: str
    experiment: Experiment | None = None
    """The customers that it answers, if not all: the others keep the ranker from before."""


def encode(manifest: Manifest) -> bytes:
    """The bytes of manifest.json: the same ones each time."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def decode(path: Path, text: bytes) -> Manifest:
    """The manifest in these bytes, as far as they alone can tell. `path` is for the message. Raises ModelError."""
    try:
        version = msgspec.json.decode(text, type=dict[str, object]).get("format")
        if version != FORMAT:
            raise ModelError(
                f"{path}: format {version!r} is not known here, only {FORMAT}",
                hint="Use the bundle that belongs to this version of Picante, or train one with `picante models train`",
                reason="format",
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"{path}: {error}", hint=AGAIN) from error
    _check_features(path, manifest)
    if set(manifest.files) != FILES[manifest.kind]:
        raise ModelError(
            f"{path}: 'files' must name {', '.join(sorted(FILES[manifest.kind]))}, not "
            f"{', '.join(sorted(map(repr, manifest.files)))[:200]}",
            hint=AGAIN,
            reason="files",
        )
    if len(manifest.weights) != len(FEATURES) or not all(map(math.isfinite, manifest.weights)):
        raise ModelError(f"{path}: 'weights' must be {len(FEATURES)} finite numbers", hint=AGAIN)
    return manifest


def _check_features(path: Path, manifest: Manifest) -> None:
    if manifest.features == FEATURES and manifest.features_schema == SCHEMA:
        return
    odd = ", ".join(sorted(set(manifest.features) ^ set(FEATURES)))[:200]
    raise ModelError(
        f"{path}: made for other features ({odd or 'same names, other order or meaning'})",
        hint="Use the bundle that belongs to this version of Picante, or train one with `picante models train`",
        reason="schema",
    )
