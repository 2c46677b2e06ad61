"""`picante cloud release publish` says beforehand what gateways would refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.bundle import load, pack, pretrained, unpack
from models.manifest import MANIFEST_NAME
from picante.cli import main


def _file(content: bytes) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        path = directory / "content"
        path.write_bytes(content)
        return path

    return make


def contradicting(directory: Path) -> Path:
    """A bundle whose model does not score as its manifest says."""
    files = unpack(pack(load(pretrained())))
    manifest = json.loads(files[MANIFEST_NAME])
    manifest["weights"][0] += 1
    for name, content in (files | {MANIFEST_NAME: json.dumps(manifest).encode()}).items():
        (directory / name).write_bytes(content)
    return directory


@pytest.mark.parametrize(
    ("kind", "make", "why"),
    [
        ("configuration", _file(b"[nonsense]"), "nonsense can't be released"),
        ("configuration", _file(b"[serial]"), "serial can't be released"),
        ("configuration", _file(b"[gateway]"), "gateway can't be released"),
        ("words", _file(b"[]"), "word table"),
        ("bundle", contradicting, "does not get its scores here"),
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
