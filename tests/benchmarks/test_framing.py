"""The benchmark of framing goes on where the package in C can't be had, and says so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benchmarks import framing


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that measure nothing, and a pip that knows no wheels but those of an index."""
    monkeypatch.setattr(framing, "FRAMES", 20)
    monkeypatch.setattr(framing, "ROUNDS", 1)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


def not_measured(capsys: pytest.CaptureFixture[str]) -> str:
    """Why, as a run that ends well says it."""
    assert framing.main() == 0
    ours, theirs = capsys.readouterr().out.splitlines()[-2:]
    assert ours.startswith("ours, in Python")
    said, _, why = theirs.partition("it can't be compiled here: ")
    assert said == f"{framing.PACKAGE} in C: not measured, "
    return why


def test_no_index(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert framing.PACKAGE in not_measured(capsys)


def test_an_index_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        monkeypatch.setattr(framing, "BUILD_S", 3.0)
        assert not_measured(capsys) == "it took longer than 3 s"


def test_a_pip_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not_measured(capsys) == "pip ended with status 7"
