"""How long each page takes in a shop of 200 dispensers that has been open for long: `python benchmarks/pages.py`.

`--million` has it hold a million events, else a tenth of that. The dispensers are simulated and online, on PTYs. The
gateway is a process of its own; a page is asked for five times, and the slowest counts.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.parts.bench import bench
from benchmarks.parts.daemon import Daemon
from benchmarks.parts.shop import DISPENSERS, TIMES, fill_shop, load
from benchmarks.parts.simulated import ONLINE_WITHIN_S, simulating
from benchmarks.parts.table import Line, show

GOAL_MS, CPU_GOAL_MS, HELD_GOAL_MS = 1_000, 200, 20
EVENTS, MILLION = 100_000, 1_000_000


@contextmanager
def full_shop(directory: Path, events: int, online: int = DISPENSERS) -> Iterator[tuple[Daemon, psutil.Process]]:
    """A gateway with so many events of all dispensers, so many of which are online."""
    fill_shop(directory, "gw-pages", events)
    with simulating(directory, online, baud=0, events_per_s=None) as ports:
        daemon = Daemon(directory, "gw-pages", ports=[ports])
        shutil.copy(directory / "sim" / "keys.toml", directory / "keys.toml")
        with daemon.running("benchmarks.parts.watched") as (_, process):
            deadline = time.monotonic() + ONLINE_WITHIN_S
            while (seen := daemon.online()) < online:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{seen} of {online} dispensers online in {ONLINE_WITHIN_S} s")
                time.sleep(0.2)
            yield daemon, process


def measure(daemon: Daemon, process: psutil.Process, directory: Path, times: int = TIMES) -> Iterator[Line]:
    """The table's lines."""
    for page in load(daemon.port, process, directory, daemon.headers, times):
        met = page.slowest_ms < GOAL_MS and page.cpu_ms < CPU_GOAL_MS and page.held_ms < HELD_GOAL_MS
        yield Line(
            f"ms, {page.path}",
            f"< {GOAL_MS:,}",
            f"{page.slowest_ms:,.0f}" if page.status == 200 else f"status {page.status}",
            f"first: {page.cpu_ms:.0f} ms of CPU; loop held {page.held_ms:.0f}",
            met=page.status == 200 and met,
        )


def main() -> None:
    """Print the table."""
    events = MILLION if "--million" in sys.argv[1:] else EVENTS
    with bench(f"{events:,} events of 200 dispensers") as directory, full_shop(directory, events) as (daemon, process):
        show(measure(daemon, process, directory))


if __name__ == "__main__":
    main()
