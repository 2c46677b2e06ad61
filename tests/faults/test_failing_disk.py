"""A disk that fails under a working gateway: nothing is acknowledged any more, it ends, and its next start is sound."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.counter import Counter, at_counter
from tests.faults.loop_image import Disk, cuttable, skip_without_loop_devices
from tests.waiting import wait_until

BROKEN = 3
"""Exit status of a gateway whose store failed."""
TRIES = int(os.environ.get("PICANTE_TRIES", "0"))
FSYNCS_BEFORE = 60
"""At most."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be cloned."""
    skip_without_loop_devices()
    with cuttable(tmp_path / "disks") as made:
        yield made


@pytest.fixture
def counter(tmp_path: Path, disk: Disk) -> Iterator[Counter]:
    """A counter at which events flow."""
    with at_counter(tmp_path / "counter", disk.mounted / "data") as made:
        made.start_gateway()
        made.open_lines()
        made.serve_until_all_have_more()
        yield made
        made.kill()


@pytest.mark.parametrize("seed", range(TRIES or 3))
def test_a_disk_that_vanishes_ends_the_gateway(disk: Disk, counter: Counter, seed: int) -> None:
    counter.serve(random.Random(seed).uniform(0.01, 0.3))
    # frozen, so that the clone is what the disk had at the end; an ACK of more than that would show
    counter.freeze()
    clone = disk.clone()
    disk.shut_down()
    counter.thaw()
    counter.serve_until(counter.has_ended, 10, "the gateway has ended")
    assert counter.ended(1) == BROKEN, counter.said()
    counter.drain()
    disk.put_in(clone)
    goes_on(counter)


@pytest.mark.parametrize("seed", range(TRIES or 5))
def test_an_fsync_that_fails_ends_the_gateway(disk: Disk, counter: Counter, seed: int) -> None:
    """What it did not reach is not on the device, and so not in the clone: an ACK of it would show."""
    with fsyncs_failing(counter.pid, 1 + random.Random(seed).randrange(FSYNCS_BEFORE)):
        counter.serve_until(counter.has_ended, 60, "the gateway has ended")
    assert counter.ended(1) == BROKEN, counter.said()
    counter.drain()
    assert (counter.data_dir / "suspect").exists()
    disk.put_in(disk.clone())
    goes_on(counter)


def goes_on(counter: Counter) -> None:
    """The gateway starts again by itself on what the disk has."""
    counter.start_gateway()
    counter.check()
    counter.open_lines()
    counter.serve_until_all_have_more()


@contextmanager
def fsyncs_failing(pid: int, first: int) -> Iterator[None]:
    """From its `first` call on, no fdatasync of a process is made, and each is said to have failed."""
    if shutil.which("strace") is None:
        pytest.skip("no strace: run scripts/test-setup")
    calls = "fdatasync,fsync"
    command = ["strace", "-f", "-q", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when={first}+"]
    strace = subprocess.Popen([*command, "-o", "/dev/null", "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        status = Path(f"/proc/{pid}/status")
        wait_until(lambda: f"TracerPid:\t{strace.pid}\n" in status.read_text(), 10, "strace has attached itself")
        yield
    finally:
        strace.terminate()
        strace.wait(10)
