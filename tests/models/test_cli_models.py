"""`picante models`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest
from click.testing import CliRunner

from hw_sim.shoppers.world import World
from models.bundle import load, pretrained
from models.evaluation.report import Report
from models.features import FEATURES
from picante.cli_models import models
from picante.training import SIMULATED_WORTH


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(models, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_train_then_inspect(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("train", "--kind", "both", "--seed", "3", "--customers", "45", "--days", "14")
    code, stdout, stderr = _run(*arguments, "--out", str(out))
    assert code == 0
    for kind in ("linear", "trees"):
        assert all(f"{kind:8}{world}" in stdout for world in get_args(World))
        bundle = load(out / kind)
        assert f"bundle {bundle.short_id} ({kind}) is in {out / kind}" in stderr
    assert "visits with a pour" in stderr

    linear = load(out / "linear")
    assert (linear.manifest.training.source, linear.manifest.training.worth) == ("simulation", SIMULATED_WORTH)
    code, stdout, _ = _run("inspect", str(out / "linear"))
    assert code == 0
    assert linear.id in stdout
    assert all(name in stdout for name in FEATURES)
    assert "burn.overall.model" in stdout

    # the same in a process of its own, in which sets and dicts have another order; trees have the logit's weights too
    alone = ["trees" if argument == "both" else argument for argument in arguments]
    again = [sys.executable, "-m", "picante", "models", *alone, "--out", str(tmp_path / "again")]
    subprocess.run(again, check=True, capture_output=True, timeout=120, env=os.environ | {"PYTHONHASHSEED": "5"})
    assert load(tmp_path / "again").id == load(out / "trees").id


def test_without_arguments_it_is_about_the_shipped_bundle() -> None:
    code, stdout, _ = _run("inspect")
    assert code == 0
    assert load(pretrained()).id in stdout


TINY = ("evaluate", "--quick", "--seeds", "1", "--customers", "20", "--world", "satisficing")


def test_an_evaluation_writes_its_report_and_a_broken_rule_is_exit_4(tmp_path: Path) -> None:
    """Twenty customers are too few to keep the rules on."""
    code, stdout, stderr = _run(*TINY, "--report", str(tmp_path / "judged"), "--json")
    report = msgspec.json.decode(stdout, type=Report)
    assert report.failed
    assert code == 4
    assert [line for line in stderr.splitlines() if line.startswith("error: ")] == [
        f"error: {check}" for check in report.failed
    ]
    assert (tmp_path / "judged/report.json").read_text() == stdout
    assert f"{len(report.failed)} of 5 rules broken" in (tmp_path / "judged/report.html").read_text()
    assert [world.world for world in report.worlds] == ["satisficing"]
    assert report.bundles[0].bundle == load(pretrained()).id


def test_a_report_without_matplotlib_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    code, _, stderr = _run("evaluate", "--report", str(tmp_path))
    assert code == 2
    assert "pip install 'picante[train]'" in stderr


@pytest.mark.parametrize("command", ["inspect", "evaluate"])
def test_a_missing_bundle_is_one_line_and_exit_2(command: str, tmp_path: Path) -> None:
    arguments = [str(tmp_path)] if command == "inspect" else ["--bundle", str(tmp_path)]
    code, stdout, stderr = _run(command, *arguments)
    assert (code, stdout) == (2, "")
    assert stderr.startswith("error: ")
    assert "manifest.json: can't be read" in stderr
    assert "Traceback" not in stderr


def test_a_missing_catalogue_is_an_error(tmp_path: Path) -> None:
    code, _, stderr = _run("train", "--out", str(tmp_path), "--catalog", str(tmp_path / "none.json"))
    assert code == 2
    assert "none.json: can't be read" in stderr


def test_training_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    code, _, stderr = _run("train", "--out", str(tmp_path))
    assert code == 2
    assert "pip install 'picante[train]'" in stderr
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deltalake" else ())
    code, _, stderr = _run("train", "--out", str(tmp_path), "--lake", str(tmp_path))
    assert code == 2
    assert "training needs deltalake. Install it: pip install 'picante[cloud]'" in stderr


def test_training_says_what_is_wrong_with_its_options(tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    few = ("train", "--customers", "40", "--seed", "3")
    code, _, stderr = _run(*few, "--days", "1", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "error: 40 customers in 1 days: " in stderr
    assert "Give more of --customers" in stderr
    for out in (file, file / "in"):
        code, _, stderr = _run(*few, "--days", "30", "--out", str(out))
        assert code == 2
        assert f"error: {out}: " in stderr
        assert "fitting" not in stderr, "it is found before the work is done"


@pytest.mark.parametrize("name", sorted(models.commands))
def test_every_command_shows_an_example(name: str) -> None:
    command = models.commands[name]
    assert isinstance(command, click.Command)
    code, stdout, _ = _run(name, "--help")
    assert code == 0
    assert f"picante models {name}" in stdout.split("Example:")[1]
