"""A bundle: the directory that carries one trained ranker from training to the gateways.

    manifest.json   what the model is, what it expects, where it comes from, how well it did
    model.onnx      input `features` float32 [sauces, features], output `scores` float32 [sauces]

The manifest holds the model's SHA-256; the bundle's id is the SHA-256 of the manifest, so one id names both. Whatever
is wrong with a bundle is a ModelError that says what, where, and what to do: the gateway falls back to the rule.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec

from heat.errors import ModelError
from models.features import FEATURES, SCHEMA

FORMAT = 1
"""The format of the manifest that is written and read here."""
MANIFEST_NAME = "manifest.json"
MODEL_NAME = "model.onnx"
MAX_MODEL_BYTES = 16 * 1024 * 1024
"""A model larger than this is not one of ours; reading it could exhaust a Pi."""
MAX_MANIFEST_BYTES = 1 << 20
"""The same, of a manifest."""
AGAIN = "Copy the bundle again, or train a new one with `picante models train`"
"""What to do about most that can be wrong with one."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle was trained on."""

    seed: int
    customers: int
    slates: int
    penalty: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in manifest.json. `weights` are the model's, in the order of `features`."""

    format: int
    features: tuple[str, ...]
    features_schema: str
    weights: tuple[float, ...]
    model: str
    model_sha256: str
    catalog_version: str
    training: Training
    metrics: dict[str, float]
    created_by: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and found whole."""

    path: Path
    id: str
    """SHA-256 of manifest.json, in hex."""
    manifest: Manifest
    model: bytes

    @property
    def short_id(self) -> str:
        """The first 12 digits of the id: what impressions name the ranker by."""
        return self.id[:12]


def pretrained() -> Path:
    """The directory of the bundle that ships with Picante."""
    return Path(str(resources.files("models").joinpath("pretrained")))


def load(path: Path) -> Bundle:
    """The bundle in the directory `path`. Raises ModelError if anything about it is wrong."""
    text = _read(path / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = _parse(path / MANIFEST_NAME, text)
    if Path(manifest.model).name != manifest.model:
        raise ModelError(f"{path / MANIFEST_NAME}: 'model' must be a file name, not {manifest.model!r}", hint=AGAIN)
    model = _read(path / manifest.model, MAX_MODEL_BYTES)
    found = hashlib.sha256(model).hexdigest()
    if found != manifest.model_sha256:
        raise ModelError(
            f"{path / manifest.model}: its SHA-256 is {found[:12]}…, the manifest says "
            f"{manifest.model_sha256[:12]}…: damaged or exchanged",
            hint=AGAIN,
        )
    return Bundle(path, hashlib.sha256(text).hexdigest(), manifest, model)


def save(path: Path, manifest: Manifest, model: bytes) -> Bundle:
    """Write a bundle into the directory `path` (made if missing) and read it back. Raises ModelError, OSError."""
    path.mkdir(parents=True, exist_ok=True)
    (path / manifest.model).write_bytes(model)
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"
    (path / MANIFEST_NAME).write_bytes(text)
    return load(path)


def pack(bundle: Bundle) -> bytes:
    """A bundle as one file, for a release: a ZIP of its two files, the same bytes each time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            (MANIFEST_NAME, _read(bundle.path / MANIFEST_NAME, MAX_MANIFEST_BYTES)),
            (bundle.manifest.model, bundle.model),
        ):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def unpack(packed: bytes) -> dict[str, bytes]:
    """The two files of a packed bundle, by name. Nothing is unpacked beyond what they may have. Raises ModelError."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(names) != 2 or MANIFEST_NAME not in names or any(Path(name).name != name for name in names):
                raise ModelError(f"a packed bundle has a manifest and a model, not {names[:4]}", hint=AGAIN)
            if sum(member.file_size for member in members) > MAX_MODEL_BYTES + MAX_MANIFEST_BYTES:
                raise ModelError(f"a packed bundle is larger than {MAX_MODEL_BYTES} bytes", hint=AGAIN)
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ModelError(f"it is no packed bundle: {error}", hint=AGAIN) from error


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror}", hint=AGAIN) from error
    if len(content) > limit:
        raise ModelError(f"{path}: is larger than {limit} bytes", hint=AGAIN)
    return content


def _parse(path: Path, text: bytes) -> Manifest:
    try:
        version = msgspec.json.decode(text, type=dict[str, object]).get("format")
        if version != FORMAT:
            raise ModelError(
                f"{path}: format {version!r} is not known here, only {FORMAT}",
                hint="Update Picante, or use an older bundle",
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}", hint=AGAIN) from error
    if manifest.features != FEATURES or manifest.features_schema != SCHEMA:
        odd = sorted(set(manifest.features) ^ set(FEATURES))
        raise ModelError(
            f"{path}: made for other features ({', '.join(odd) if odd else 'same names, other order or meaning'})",
            hint="Use the bundle that belongs to this version of Picante, or train one with `picante models train`",
        )
    if len(manifest.weights) != len(FEATURES) or not all(map(math.isfinite, manifest.weights)):
        raise ModelError(f"{path}: 'weights' must be {len(FEATURES)} finite numbers", hint=AGAIN)
    return manifest
