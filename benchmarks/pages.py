"""How long each page takes in a shop of 200 dispensers that has been open for long: `python benchmarks/pages.py`.

`--million` has it hold a million events, else a tenth of that. The gateway is a process of its own and has nothing else
to do; a page is asked for five times, and the slowest counts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parts.bench import bench
from benchmarks.parts.daemon import Daemon
from benchmarks.parts.shop import TIMES, fill_shop, load
from benchmarks.parts.table import Line, show

GOAL_MS = 1_000
EVENTS, MILLION = 100_000, 1_000_000


def measure(directory: Path, events: int, times: int = TIMES) -> Iterator[Line]:
    """The table's lines."""
    fill_shop(directory, "gw-pages", events)
    daemon = Daemon(directory, "gw-pages")
    with daemon.running():
        for page in load(daemon.port, daemon.headers, times):
            yield Line(
                f"ms, {page.path}",
                f"< {GOAL_MS:,}",
                f"{page.slowest_ms:,.0f}" if page.status == 200 else f"status {page.status}",
                f"{page.size_bytes:,} bytes",
                met=page.status == 200 and page.slowest_ms < GOAL_MS,
            )


def main() -> None:
    """Print the table."""
    events = MILLION if "--million" in sys.argv[1:] else EVENTS
    with bench(f"{events:,} events of 200 dispensers") as directory:
        show(measure(directory, events))


if __name__ == "__main__":
    main()
