"""A run that is killed leaves no mounts behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.faults.loop_image import skip_without_loop_devices
from tests.flow.world import ROOT
from tests.waiting import wait_until

KILLED = """\
import os, signal, sys
from pathlib import Path
from tests.faults.loop_image import mount_for_ourselves, small_disk, tmpfs

mount_for_ourselves()
directory = Path(sys.argv[1])
with small_disk(directory, 8) as disk, tmpfs(directory / "memory", 1) as memory:
    assert os.path.ismount(disk) and os.path.ismount(memory)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_had_mounted_is_gone(tmp_path: Path) -> None:
    skip_without_loop_devices()
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not _loops(tmp_path / "small.img"), 10, "the kernel has given the loop device up")
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    shutil.rmtree(tmp_path / "memory")


def test_this_run_mounts_for_itself() -> None:
    skip_without_loop_devices()
    assert Path("/proc/self/ns/mnt").readlink() != Path(f"/proc/{os.getppid()}/ns/mnt").readlink()


def _loops(image: Path) -> str:
    return subprocess.run(["losetup", "-j", image], capture_output=True, text=True, check=True).stdout
