"""A Pi installs wheels alone, and the gateway without extras: such wheels exist, and what they make runs.

The index is asked for them: without a network these tests skip.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.flow.world import ROOT
from tests.gateway.systemd import Systemd
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until

UV = Path(sys.executable).with_name("uv")
LOCK = "requirements/gateway.lock"
PI = ("--only-binary", ":all:", "--python-platform", "aarch64-manylinux_2_36")
"""Debian 12's glibc, which a Raspberry Pi OS of 2023 has too."""


def uv(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run uv in the repository; skips the test where it, or the index, can't be had."""
    if not UV.exists():
        pytest.skip("no uv: run make dev")
    done = subprocess.run(
        [UV, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip(f"the package index can't be reached: {done.stderr}")
    return done


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("wanted", [("pyproject.toml",), (LOCK, "--no-deps")], ids=["declared", "locked"])
def test_a_pi_finds_wheels_for_all(python: str, wanted: tuple[str, ...]) -> None:
    done = uv("pip", "compile", "--quiet", "--no-python-downloads", *PI, "--python-version", python, *wanted)
    assert done.returncode == 0, done.stderr
    assert "\nonnxruntime==" in done.stdout


def test_a_package_without_wheels_would_be_found() -> None:
    done = uv(
        "pip",
        "compile",
        "--quiet",
        "--no-python-downloads",
        *PI,
        "--python-version",
        "3.11",
        "-",
        stdin="cobs>=1.2.1\n",
    )
    assert done.returncode == 1
    assert "no usable wheels" in done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A fresh environment with what a Pi gets, as docs/operations.md has it."""
    venv = tmp_path / "venv"
    for step in (
        ("venv", "--quiet", "--python", sys.executable, str(venv)),
        ("pip", "install", "--quiet", "--python", str(venv), "--require-hashes", *PI[:2], "-r", LOCK),
        ("pip", "install", "--quiet", "--python", str(venv), "--no-deps", "--no-build-isolation", "."),
    ):
        done = uv(*step)
        assert done.returncode == 0, done.stderr
    return venv


def test_the_gateway_runs_without_extras_and_without_the_repository(installed: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port())
    with closing(Systemd(tmp_path, 30)) as systemd, (tmp_path / "log").open("wb") as log:
        command = [str(installed / "bin" / "picante"), "gateway", "run", "--config", str(config)]
        process = subprocess.Popen(command, cwd=tmp_path, env=systemd.environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: systemd.count("READY") or process.poll() is not None, 60, "it is ready")
            process.terminate()
            assert process.wait(10) == 0, (tmp_path / "log").read_text()
            assert systemd.count("READY")
        finally:
            process.kill()
            process.wait()
    extras = subprocess.run(
        [installed / "bin" / "python", "-c", "import amqtt, confluent_kafka, httpx, onnx, rich"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ModuleNotFoundError" in extras.stderr
