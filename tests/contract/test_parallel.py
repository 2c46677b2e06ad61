"""A run on several workers: whole files, the slow ones first, and no port for two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import servers
from tests.parallel import SLOWEST_FIRST, TOGETHER, unit
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]

BUSY = """
import os, pathlib, subprocess, time, pytest

HERE = pathlib.Path(__file__)

@pytest.fixture(scope="session")
def server():
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    (HERE.parent / f"{process.pid}.pid").touch()
    yield
    process.kill()
    process.wait()

@pytest.mark.parametrize("seconds", [0, 0, 0, 60])
def test_that_works(server, seconds):
    (HERE.parent / f"{HERE.stem}-{os.environ['PYTEST_XDIST_WORKER']}.worker").touch()
    time.sleep(seconds)
"""


def test_what_goes_first_is_there() -> None:
    for name in SLOWEST_FIRST:
        assert list(REPOSITORY.glob(f"{name}*")), name


def test_a_unit_is_a_file_or_what_rests_together() -> None:
    assert unit("tests/heat/test_scale.py::test_a[1::2]") == "tests/heat/test_scale.py"
    assert unit("tests/cloud_sync/test_uplink_edge.py::test_a") == TOGETHER[0]
    assert unit("tests/cloud_sync/test_uplink_rested.py::test_a") == TOGETHER[0]


def test_no_two_workers_are_given_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "UNUSED_BY_CLIENTS", range(20_000, 21_000))
    monkeypatch.setattr(servers, "is_free", lambda port: True)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    given = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        given.append({servers.free_port() for _ in range(2_000)})
    assert given[0].isdisjoint(given[1])
    assert all(len(ports) > 400 for ports in given)


def test_a_run_has_each_file_on_one_worker_and_when_it_is_stopped_their_servers_end(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"test_{name}.py").write_text(BUSY)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n2"]
    command += [f"--rootdir={tmp_path}", "-o", "asyncio_default_fixture_loop_scope=function"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 60, "both workers have a server")
        run.send_signal(signal.SIGTERM)  # to the one process alone, as `kill` does
        run.wait(60)
    finally:
        run.kill()
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), 30, "the servers have ended")
    assert len(list(tmp_path.glob("*.worker"))) == 2, "a file's tests on two workers"
