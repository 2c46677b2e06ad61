"""What a figure was measured on: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs", "overlay"}
"""Where an fsync costs nothing, or where it can't be told what it costs."""


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def file_system(path: Path) -> str:
    """The type of the file system that a path is on, as the kernel names it."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mounted, _, source = line.partition(" - ")
        if mounted.split()[2] == wanted:
            return source.split()[0]
    return "unknown"


def describe(path: Path) -> Iterator[str]:
    """The lines above the table."""
    yield f"{_model()}, {len(cores())} cores, {_memory_gib():.1f} GiB, Linux {platform.release()}"
    yield f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, databases on {file_system(path)}"
    if file_system(path) in MEMORY_FILE_SYSTEMS:
        yield "THIS IS NO DISK: the figures with commits in them mean nothing. Run it in a directory on a real one."
    yield f"load when it began {os.getloadavg()[0]:.1f}: what else runs slows a figure and its baseline alike"


def child(module: str, *arguments: object, before: tuple[str, ...] = ()) -> str:
    """Run a part in a process of its own, so that nobody's memory or warmth is counted as its own; what it printed."""
    command = [*before, sys.executable, "-m", f"benchmarks.parts.{module}", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def has_strace() -> bool:
    """Whether fsyncs can be counted."""
    return shutil.which("strace") is not None


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
