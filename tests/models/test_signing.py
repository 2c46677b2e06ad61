"""Signed bundles: a trusted signer's is taken, and whatever was changed, by whomever, is refused for its own reason."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner

from heat.errors import ConfigError, Flaw, ModelError
from models.bundle import check_sequence, load, pack, pretrained, save, sign
from models.experiment import Experiment
from models.export import onnx_model
from models.features import FEATURES
from models.ranker import OnnxRanker
from models.signing import make_key, read_signers, verify
from picante.cli_models import models

# RFC 8032, 7.1, test 2: whoever checks with another tool finds the same
RFC_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
RFC_SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture
def brand(tmp_path: Path) -> Path:
    """The brand's key; its line for gateways is in keys.toml beside it."""
    public = make_key(tmp_path / "brand.key")
    (tmp_path / "keys.toml").write_text(f'[signers]\nbrand-2026 = "{public}"\n')
    return tmp_path / "brand.key"


@pytest.fixture
def bundle(tmp_path: Path, brand: Path) -> Path:
    """A copy of the shipped bundle, signed with sequence 7."""
    path = shutil.copytree(pretrained(), tmp_path / "bundle")
    sign(path, brand, 7)
    return path


def _released(path: Path) -> None:
    """What a gateway that has used sequence 6 asks of a bundle."""
    one = load(path, read_signers(path.parent / "keys.toml"), signed=True)
    check_sequence(one, 6)
    OnnxRanker(one)


def test_a_signed_bundle_says_who_made_it(bundle: Path, tmp_path: Path) -> None:
    signers = read_signers(tmp_path / "keys.toml")
    one = load(bundle, signers, signed=True)
    assert (one.signer, one.manifest.sequence) == ("brand-2026", 7)
    assert load(bundle).signer is None
    (tmp_path / "bundle.zip").write_bytes(pack(one))
    packed = load(tmp_path / "bundle.zip", signers, signed=True)
    assert (packed.signer, packed.id, packed.files) == ("brand-2026", one.id, one.files)
    _released(bundle)


def test_the_number_is_part_of_the_id_and_nothing_else_changes(bundle: Path, brand: Path) -> None:
    before = load(bundle)
    sign(bundle, brand, 7)
    assert load(bundle).id == before.id
    after, _ = sign(bundle, brand, 8)
    assert after.id != before.id
    assert after.files == before.files


def test_signing_is_that_of_rfc_8032() -> None:
    signature = json.dumps({"key": RFC_KEY, "signature": RFC_SIGNATURE}).encode()
    assert verify(Path("there"), b"\x72", signature, {RFC_KEY: "rfc"}) == "rfc"
    with pytest.raises(ModelError, match="not rfc's signature"):
        verify(Path("there"), b"\x73", signature, {RFC_KEY: "rfc"})


# -- what was changed ---------------------------------------------------------------------------------------------


def _flip(name: str) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        content = bytearray((path / name).read_bytes())
        content[len(content) // 2] ^= 1
        (path / name).write_bytes(content)

    return flip


def _resigned(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Another manifest, with the brand's signature: what the brand itself may get wrong."""

    def edit(path: Path) -> None:
        from models.signing import sign as signature_of

        manifest = json.loads((path / "manifest.json").read_text())
        change(manifest)
        text = json.dumps(manifest).encode()
        (path / "manifest.json").write_bytes(text)
        (path / "signature.json").write_bytes(signature_of(text, path.parent / "brand.key")[1])

    return edit


def _edited(path: Path) -> None:
    """Whoever has no key lets the brand's signature stand."""
    signature = (path / "signature.json").read_bytes()
    _resigned(lambda manifest: manifest.update(sequence=9))(path)
    (path / "signature.json").write_bytes(signature)


def _other_s(path: Path) -> None:
    make_key(path.parent / "other.key")
    sign(path, path.parent / "other.key", 7)


def _in_the_brand_s_name(path: Path) -> None:
    _other = json.loads((path / "signature.json").read_text())
    _other_s(path)
    signed = json.loads((path / "signature.json").read_text())
    (path / "signature.json").write_text(json.dumps(signed | {"key": _other["key"]}))


def _swapped(path: Path) -> None:
    model = onnx_model([0.5] * len(FEATURES))
    (path / "model.onnx").write_bytes(model)
    _resigned(lambda manifest: manifest["files"].update({"model.onnx": hashlib.sha256(model).hexdigest()}))(path)


def _other_weights(path: Path) -> None:
    _resigned(lambda manifest: manifest["weights"].__setitem__(0, manifest["weights"][0] + 1))(path)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "bit-manifest": (_flip("manifest.json"), "signature"),
    "bit-signature": (_flip("signature.json"), "signature"),
    "bit-model": (_flip("model.onnx"), "hash"),
    "bit-posterior": (_flip("posterior.npy"), "hash"),
    "bit-golden": (_flip("golden.json"), "hash"),
    "edited": (_edited, "signature"),
    "not-signed": (lambda path: (path / "signature.json").unlink(), "unsigned"),
    "another-signer": (_other_s, "signer"),
    "in-the-brand's-name": (_in_the_brand_s_name, "signature"),
    "older": (lambda path: sign(path, path.parent / "brand.key", 6), "sequence"),
    "never-numbered": (_resigned(lambda manifest: manifest.update(sequence=0)), "sequence"),
    "swapped-model": (_swapped, "model"),
    "other-weights": (_other_weights, "golden"),
    "other-features": (_resigned(lambda manifest: manifest.update(features_schema="0" * 64)), "schema"),
    "other-format": (_resigned(lambda manifest: manifest.update(format=1)), "format"),
    "a-file-elsewhere": (_resigned(lambda m: m["files"].update({"../x": "0" * 64})), "files"),
    "a-file-is-gone": (lambda path: (path / "golden.json").unlink(), "missing"),
    "too-large": (lambda path: (path / "signature.json").write_bytes(b" " * 5000), "size"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_refused_for_its_own_reason(bundle: Path, name: str) -> None:
    change, reason = CHANGES[name]
    change(bundle)
    with pytest.raises(ModelError) as raised:
        _released(bundle)
    assert raised.value.reason == reason
    assert str(bundle) in str(raised.value)
    assert raised.value.hint


def test_every_bit_of_the_manifest_is_signed(bundle: Path, tmp_path: Path) -> None:
    text, signature = (bundle / "manifest.json").read_bytes(), (bundle / "signature.json").read_bytes()
    signers = read_signers(tmp_path / "keys.toml")
    assert verify(bundle, text, signature, signers) == "brand-2026"
    for place in range(0, len(text), 7):
        changed = text[:place] + bytes([text[place] ^ 1 << place % 8]) + text[place + 1 :]
        with pytest.raises(ModelError):
            verify(bundle, changed, signature, signers)


def test_a_new_training_in_the_same_directory_is_not_signed(bundle: Path) -> None:
    one = load(bundle)
    assert save(bundle, one.manifest, one.files).signature is None


# -- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("[signers]\nbrand =", "Invalid value"),
        ("brand = 'x'", "unknown field `brand`"),
        ("[signers]\nbrand = 'abc'", "matching regex"),
        (f"[signers]\nbrand = '{RFC_KEY}'\nother = '{RFC_KEY}'", "brand and other have one key"),
        ("#" * 70_000, "is larger than 65536 bytes"),
    ],
)
def test_a_file_of_signers_says_what_is_wrong_with_it(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(ConfigError, match=why) as raised:
        read_signers(tmp_path / "keys.toml")
    assert "keys.toml" in str(raised.value)


def test_a_private_key_is_its_owner_s_alone_and_is_never_written_over(brand: Path) -> None:
    assert stat.S_IMODE(brand.stat().st_mode) == 0o600
    content = brand.read_bytes()
    with pytest.raises(ConfigError, match="File exists"):
        make_key(brand)
    assert brand.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_signs_nothing(bundle: Path, tmp_path: Path, content: bytes) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    (tmp_path / "no.key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"no\.key: no private key in PEM") as raised:
        sign(bundle, tmp_path / "no.key", 8)
    assert "AAAA" not in str(raised.value)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_what_gateways_would_not_read_is_not_signed(bundle: Path, brand: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    for sequence, share in ((2**53, 20.0), (8, float("nan"))):
        with pytest.raises(ModelError):
            sign(bundle, brand, sequence, Experiment("warmer-1", share))
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


# -- commands -----------------------------------------------------------------------------------------------------


def _run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(models, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_from_a_key_to_a_bundle_that_gateways_take(tmp_path: Path) -> None:
    directory = shutil.copytree(pretrained(), tmp_path / "trained")
    key, keys, packed = tmp_path / "brand.key", tmp_path / "keys.toml", tmp_path / "bundle.zip"
    code, said = _run("keygen", key, "--name", "brand-2026")
    assert code == 0
    keys.write_text(said.partition("\n\n")[2])
    assert key.read_text().splitlines()[1] not in said
    assert _run("sign", directory, "--key", key, "--sequence", "3")[0] == 0
    code, said = _run("bundle", directory, packed)
    assert (code, ", signed, " in said) == (0, True)
    for path in (directory, packed):
        code, said = _run("verify", path, "--keys", keys, "--above", "2")
        assert (code, "signed by brand-2026" in said) == (0, True)
        code, said = _run("inspect", path, "--keys", keys)
        assert code == 0
        assert "sequence   3\nsigner     brand-2026, with the key" in said
    assert "not checked, give --keys, with the key" in _run("inspect", packed)[1]
    code, said = _run("verify", packed, "--keys", keys, "--above", "3")
    assert code == 2
    assert said.startswith(f"error: {packed}/manifest.json: its sequence 3 is not above 3, which was used before. ")
    assert "--sequence 4" in said


def test_a_key_that_others_may_read_signs_nothing(bundle: Path, brand: Path) -> None:
    brand.chmod(0o644)
    code, said = _run("sign", bundle, "--key", brand, "--sequence", "8")
    assert (code, "others may read it (mode 0644). chmod 600" in said) == (2, True)


def test_verifying_runs_the_model(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("models.probe.BUDGET_US", -1)
        code, said = _run("verify", bundle, "--keys", tmp_path / "keys.toml")
        assert (code, "ms for 60 sauces here, and may take" in said) == (2, True)
    _swapped(bundle)
    code, said = _run("verify", bundle, "--keys", tmp_path / "keys.toml")
    assert (code, "model.onnx: does not score as" in said) == (2, True)


def test_the_shipped_bundle_is_one_of_the_owner_s_files_and_not_signed() -> None:
    one = load(pretrained(), {RFC_KEY: "any"})
    assert (one.signature, one.signer) == (None, None)
    assert np.isfinite(one.deviations).all()


def test_nothing_is_loaded_for_a_signature_that_is_not_there() -> None:
    code = """
import sys
import gateway.picks
from models.bundle import load, pretrained
load(pretrained(), {})
assert "cryptography" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_flaw_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    table = text.partition("## Why a bundle is refused")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(Flaw))


def test_a_bundle_is_signed_for_a_share_of_the_customers(bundle: Path, brand: Path) -> None:
    words = ["sign", str(bundle), "--key", str(brand), "--sequence", "8", "--experiment", "warmer-1", "--percent", "20"]
    done = CliRunner().invoke(models, words)
    assert done.exit_code == 0, done.output
    assert "It answers 20 % of the customers, in the experiment warmer-1" in done.output
    assert load(bundle).manifest.experiment == Experiment("warmer-1", 20)
    shown = CliRunner().invoke(models, ["inspect", str(bundle)]).output
    assert "experiment warmer-1: it answers 20 % of the customers" in shown
    sign(bundle, brand, 9)
    assert load(bundle).manifest.experiment is None, "the next release ends it"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--experiment", "warmer-1"], "go together"),
        (["--percent", "20"], "go together"),
        (["--experiment", "Wärmer 1", "--percent", "20"], "is not a name"),
        (["--experiment", "warmer-1", "--percent", "120"], "is not in the range"),
        (["--experiment", "warmer-1", "--percent", "nan"], "is not in the range"),
    ],
)
def test_half_an_experiment_is_none(bundle: Path, brand: Path, more: list[str], why: str) -> None:
    before = load(bundle).id
    done = CliRunner().invoke(models, ["sign", str(bundle), "--key", str(brand), "--sequence", "8", *more])
    assert done.exit_code == 2
    assert why in done.output
    assert load(bundle).id == before
