"""A bundle: the directory that carries one trained ranker from training to the gateways.

    manifest.json    what the model is, and the SHA-256 of each file below (`models.manifest`)
    model.onnx       input `features` float32 [sauces, features], output `scores` float32 [sauces]
    posterior.npy    float32 [members, features]: how else the weights might be (`models.posterior`)
    golden.json      slates and their scores, which every scorer has to give (`models.golden`)
    trees.json       only where `kind` is `trees`: the same trees as model.onnx, for NumPy
    signature.json   only in a bundle that was signed: a signature of manifest.json (`models.signing`)

The bundle's id is the SHA-256 of its manifest, so one id names all of it. Whatever is wrong with a bundle is a
ModelError that says what, where, and what to do: the gateway goes on with what it had, or falls back to the rule.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec

from heat.errors import ModelError
from models import golden, posterior
from models.experiment import Experiment
from models.features import Matrix
from models.golden import GoldenSlate
from models.manifest import AGAIN, FILES, MANIFEST_NAME, Manifest, decode, encode
from models.signing import SIGNATURE_NAME, Signers, verify
from models.signing import sign as signature_of

MODEL_NAME = "model.onnx"
POSTERIOR_NAME = "posterior.npy"
GOLDEN_NAME = "golden.json"
TREES_NAME = "trees.json"
MAX_MODEL_BYTES = 16 * 1024 * 1024
"""A model larger than this is not one of ours; reading it could exhaust a Pi."""
MAX_BYTES: dict[str, int] = {
    MANIFEST_NAME: 1 << 20,
    MODEL_NAME: MAX_MODEL_BYTES,
    POSTERIOR_NAME: 1 << 20,
    GOLDEN_NAME: 1 << 20,
    TREES_NAME: MAX_MODEL_BYTES,
    SIGNATURE_NAME: 4096,
}
"""All the files that a bundle may have, with the bytes of each that are read at most."""
MAX_PACKED_BYTES = MAX_MODEL_BYTES
"""Of a packed bundle on a disk; a release has far less room (`cloud_sync.releases.MAX_CONTENT_BYTES`)."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and found whole."""

    path: Path
    id: str
    """SHA-256 of manifest.json, in hex."""
    text: bytes
    """manifest.json."""
    manifest: Manifest
    files: Mapping[str, bytes]
    """The files that the manifest names."""
    deviations: Matrix
    """float32 [members, features]: see `models.posterior`."""
    golden: tuple[GoldenSlate, ...]
    signature: bytes | None = None
    """signature.json; that it is there says nothing yet."""
    signer: str | None = None
    """Who signed it, if that was checked and is trusted."""

    @property
    def short_id(self) -> str:
        """The first 12 digits of the id: what impressions name the ranker by."""
        return self.id[:12]

    @property
    def model(self) -> bytes:
        """The ONNX model."""
        return self.files[MODEL_NAME]


def pretrained() -> Path:
    """The directory of the bundle that ships with Picante."""
    return Path(str(resources.files("models").joinpath("pretrained")))


def load(path: Path, signers: Signers | None = None, *, signed: bool = False) -> Bundle:
    """The bundle in the directory `path`, or packed in the file `path`.

    With `signers`, a signature that is there has to be one of theirs; if it has to be `signed`, there has to be one.
    Raises ModelError if anything about it is wrong.
    """
    if path.is_file():
        return read_packed(_limited(path, MAX_PACKED_BYTES), path, signers, signed=signed)
    return _read(path, lambda name: _from_disk(path / name), signers, signed=signed)


def read_packed(packed: bytes, path: Path, signers: Signers | None = None, *, signed: bool = False) -> Bundle:
    """The bundle in the bytes of a packed one, as `load` would give it. `path` is for messages. Raises ModelError."""
    return _read(path, unpack(packed).get, signers, signed=signed)


def check_sequence(bundle: Bundle, last: int) -> None:
    """Raises ModelError unless the bundle comes after `last`, the highest sequence of its signer so far."""
    if bundle.manifest.sequence <= last:
        raise ModelError(
            f"{bundle.path / MANIFEST_NAME}: its sequence {bundle.manifest.sequence} is not above {last}, which was "
            "used before",
            hint=f"An old bundle does not come back; to use it all the same, sign it with --sequence {last + 1}",
            reason="sequence",
        )


def save(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle into the directory `path` (made if missing) and read it back. Raises ModelError, OSError.

    The manifest gets the files' hashes. What is left of another bundle there goes, its signature too.
    """
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    path.mkdir(parents=True, exist_ok=True)
    for name in MAX_BYTES:
        (path / name).unlink(missing_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    (path / MANIFEST_NAME).write_bytes(encode(msgspec.structs.replace(manifest, files=hashes)))
    return load(path)


def sign(path: Path, key_file: Path, sequence: int, experiment: Experiment | None = None) -> tuple[Bundle, str]:
    """Number the bundle in the directory `path` and sign it; its id changes with the number. The signer's public key.

    With an `experiment` it is for that share of the customers; one that it was part of before is over. Raises
    ModelError, ConfigError, OSError.
    """
    bundle = load(path)
    text = encode(msgspec.structs.replace(bundle.manifest, sequence=sequence, experiment=experiment))
    decode(path / MANIFEST_NAME, text)  # what gateways would not read is neither signed nor written
    public, signature = signature_of(text, key_file)
    (path / SIGNATURE_NAME).unlink(missing_ok=True)
    (path / MANIFEST_NAME).write_bytes(text)
    (path / SIGNATURE_NAME).write_bytes(signature)
    return load(path, {public: "us"}, signed=True), public


def pack(bundle: Bundle) -> bytes:
    """A bundle as one file, for a release: a ZIP of its files, the same bytes each time."""
    files = {MANIFEST_NAME: bundle.text, **dict(sorted(bundle.files.items()))}
    if bundle.signature is not None:
        files[SIGNATURE_NAME] = bundle.signature
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files of a packed bundle, by name. Nothing is unpacked beyond what each may have. Raises ModelError."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(set(names)) != len(names) or MANIFEST_NAME not in names or not MAX_BYTES.keys() >= set(names):
                raise ModelError(
                    f"a packed bundle has {', '.join(MAX_BYTES)}, each once at most, not {names[:8]}",
                    hint=AGAIN,
                    reason="files",
                )
            for member in members:
                if member.file_size > (limit := MAX_BYTES[member.filename]):
                    raise _too_large(member.filename, limit)
            return {member.filename: _unpacked(archive, member) for member in members}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"it is no packed bundle: {error}", hint=AGAIN) from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return file.read(member.file_size + 1)  # without a number, whatever it unpacks to, whatever it claims to be


def _read(path: Path, file: Callable[[str], bytes | None], signers: Signers | None, *, signed: bool) -> Bundle:
    """A bundle of files by name, None for what is not there. `path` is for messages."""
    text = _there(path / MANIFEST_NAME, file)
    signer, signature = None, file(SIGNATURE_NAME)
    if signature is not None and (signers is not None or signed):
        signer = verify(path / SIGNATURE_NAME, text, signature, signers or {})
    elif signed:
        raise ModelError(
            f"{path}: is not signed", hint="Sign it with `picante models sign` and release it again", reason="unsigned"
        )
    manifest = decode(path / MANIFEST_NAME, text)
    files = {name: _there(path / name, file) for name in sorted(FILES[manifest.kind])}
    for name, content in files.items():
        found, said = hashlib.sha256(content).hexdigest(), manifest.files[name]
        if found != said:
            raise ModelError(
                f"{path / name}: its SHA-256 is {found[:12]}…, the manifest says {said[:12]}…: damaged or exchanged",
                hint=AGAIN,
                reason="hash",
            )
    return Bundle(
        path,
        hashlib.sha256(text).hexdigest(),
        text,
        manifest,
        files,
        posterior.from_npy(path / POSTERIOR_NAME, files[POSTERIOR_NAME], AGAIN),
        golden.from_json(path / GOLDEN_NAME, files[GOLDEN_NAME], AGAIN),
        signature,
        signer,
    )


def _there(path: Path, file: Callable[[str], bytes | None]) -> bytes:
    if (content := file(path.name)) is None:
        raise ModelError(f"{path}: can't be read: No such file or directory", hint=AGAIN, reason="missing")
    return content


def _from_disk(path: Path) -> bytes | None:
    try:
        return _limited(path, MAX_BYTES[path.name])
    except FileNotFoundError:
        return None


def _limited(path: Path, limit: int) -> bytes:
    """The content of a file. Raises ModelError, FileNotFoundError."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror}", hint=AGAIN, reason="missing") from error
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def _too_large(path: Path | str, limit: int) -> ModelError:
    return ModelError(f"{path}: is larger than {limit} bytes", hint=AGAIN, reason="size")
