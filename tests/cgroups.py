"""Less memory and less of a processor for one process and its children: a cgroup, of version 1 or 2 as the machine has.

    with squeezed(memory_mb=512, cpu=0.25) as group:
        group.take(process.pid)
        ...
        group.figures()

Needs root, and a machine that hands the two controllers on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import wait_until

MOUNT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What the kernel counted."""

    throttled: int
    """Periods of 100 ms in which the processes had to wait for the next one."""
    killed: int
    """Processes that were killed for want of memory."""
    full: int
    """Times that the memory's limit was reached."""
    peak_mb: float
    """Of memory, page cache included."""


class _One:
    """Version 1: a tree for each controller."""

    def __init__(self, name: str, memory_bytes: int, cpu: float) -> None:
        self._memory, self._cpu = (_own(controller) / name for controller in ("memory", "cpu"))
        self.places = (self._memory, self._cpu)
        for place in self.places:
            place.mkdir()
        (self._memory / "memory.limit_in_bytes").write_text(str(memory_bytes))
        (self._cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (self._cpu / "cpu.cfs_quota_us").write_text(str(int(cpu * PERIOD_US)))

    def figures(self) -> Figures:
        return Figures(
            throttled=_table(self._cpu / "cpu.stat")["nr_throttled"],
            killed=_table(self._memory / "memory.oom_control")["oom_kill"],
            full=int((self._memory / "memory.failcnt").read_text()),
            peak_mb=int((self._memory / "memory.max_usage_in_bytes").read_text()) / 2**20,
        )


class _Two:
    """Version 2: one tree."""

    def __init__(self, name: str, memory_bytes: int, cpu: float) -> None:
        (MOUNT / "cgroup.subtree_control").write_text("+cpu +memory")
        self._place = MOUNT / name
        self.places = (self._place,)
        self._place.mkdir()
        (self._place / "memory.max").write_text(str(memory_bytes))
        (self._place / "cpu.max").write_text(f"{int(cpu * PERIOD_US)} {PERIOD_US}")

    def figures(self) -> Figures:
        events = _table(self._place / "memory.events")
        peak = self._place / "memory.peak"  # since Linux 5.19
        return Figures(
            throttled=_table(self._place / "cpu.stat")["nr_throttled"],
            killed=events["oom_kill"],
            full=events["max"],
            peak_mb=int(peak.read_text()) / 2**20 if peak.exists() else float("nan"),
        )


class Group:
    """A cgroup with bounds."""

    def __init__(self, kind: type[_One | _Two], memory_mb: int, cpu: float) -> None:
        self._made = kind(f"picante-test-{os.getpid()}", memory_mb * 2**20, cpu)

    def take(self, pid: int) -> None:
        """Put a process in; its children follow."""
        for place in self._made.places:
            (place / "cgroup.procs").write_text(str(pid))

    def holds(self, pid: int) -> bool:
        """Whether a process is in it, for the one controller and the other."""
        return all(str(pid) in (place / "cgroup.procs").read_text().split() for place in self._made.places)

    def figures(self) -> Figures:
        """What has happened so far."""
        return self._made.figures()

    def remove(self) -> None:
        """Take the cgroup away, once its processes are gone."""
        for place in self._made.places:
            wait_until(lambda place=place: not (place / "cgroup.procs").read_text(), 10, f"{place} is empty")  # type: ignore[misc]
            place.rmdir()


@contextlib.contextmanager
def squeezed(memory_mb: int, cpu: float) -> Iterator[Group]:
    """A cgroup that may have so much memory and so much of one processor; skips the test where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("making a cgroup needs root")
    try:
        group = Group(_Two if (MOUNT / "cgroup.controllers").exists() else _One, memory_mb, cpu)
    except (OSError, StopIteration) as error:
        pytest.skip(f"no cgroup can be made here: {error!r}")
    try:
        yield group
    finally:
        group.remove()


def _own(controller: str) -> Path:
    """Where this process is in a controller's tree of version 1."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    path = next(path for _, controllers, path in lines if controller in controllers.split(","))
    return MOUNT / controller / path.lstrip("/")


def _table(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}
