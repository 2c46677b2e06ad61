"""The `picante` command: its groups are there, and what one of them does not need is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from picante.cli import MODULES, main

LISTED = """
import sys
from picante.cli import main
main(["sim", "--help"], standalone_mode=False)
print([name for name in ("aiokafka", "cloud", "fastapi", "gateway", "numpy", "onnxruntime") if name in sys.modules])
"""


@pytest.mark.parametrize("name", MODULES)
def test_each_group_is_called_by_its_name(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"], prog_name="picante")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Usage: picante {name} ")


def test_all_are_in_the_help_and_another_is_refused() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    assert [name for name in MODULES if f"\n  {name} " not in listed] == []
    assert "No such command 'pour'" in CliRunner().invoke(main, ["pour"]).output


def test_its_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("picante, version ")


def test_a_simulator_has_nothing_of_the_gateways_or_the_clouds() -> None:
    done = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
