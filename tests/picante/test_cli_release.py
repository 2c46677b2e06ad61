"""`picante cloud release publish` says beforehand what gateways would refuse."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.bundle import load, pretrained, unpack
from picante.cli import main
from tests.signed import released


def _file(content: bytes) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        path = directory / "content"
        path.write_bytes(content)
        return path

    return make


def contradicting(directory: Path) -> Path:
    """A bundle whose model does not score as its manifest says."""
    weights = load(pretrained()).manifest.weights
    for name, content in unpack(released(weights=(weights[0] + 1, *weights[1:]))).items():
        (directory / name).write_bytes(content)
    return directory


def unsigned(directory: Path) -> Path:
    """The bundle that ships."""
    return Path(shutil.copytree(pretrained(), directory / "bundle"))


@pytest.mark.parametrize(
    ("kind", "make", "why"),
    [
        ("configuration", _file(b"[nonsense]"), "nonsense can't be released"),
        ("configuration", _file(b"[serial]"), "serial can't be released"),
        ("configuration", _file(b"[gateway]"), "gateway can't be released"),
        ("words", _file(b"[]"), "word table"),
        ("bundle", contradicting, "does not get its scores here"),
        ("bundle", unsigned, "Gateways refuse it: sign it"),
    ],
)
def test_what_gateways_would_refuse_is_not_released(
    tmp_path: Path, kind: str, make: Callable[[Path], Path], why: str
) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    words = ["cloud", "release", "publish", kind, str(make(tmp_path)), "--config", str(config)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1, done.output
    assert why in done.output
