"""The demo's state directory: its own, or none that it touches."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from picante.cli import main
from picante.demo.stage import gateway_of


@pytest.mark.parametrize("mark", [None, "gw-1"], ids=["no mark", "a real gateway's"])
def test_somebody_elses_folder_is_left_as_it_is(tmp_path: Path, mark: str | None) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "app.py").write_text("a checkout's\n")
    (tmp_path / "cloud.toml").write_text("[cloud]\n")
    if mark is not None:
        (tmp_path / "gateway.id").write_text(mark)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    ended = CliRunner().invoke(main, ["demo", "--state", str(tmp_path), "--seconds", "15"])
    assert ended.exit_code == 2
    assert "no demo's" in ended.output
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    ended = CliRunner().invoke(main, ["demo", "--state", str(tmp_path / "state"), "--seconds", "15"])
    assert (ended.exit_code, type(ended.exception)) == (2, SystemExit)
    assert "File exists" in ended.output


def test_a_demos_folder_is_taken_again_under_the_same_name(tmp_path: Path) -> None:
    name = gateway_of(tmp_path / "new" / "shop")
    (tmp_path / "new" / "shop" / "cloud").mkdir()
    assert gateway_of(tmp_path / "new" / "shop") == name
