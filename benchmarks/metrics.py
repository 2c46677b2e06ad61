"""What a scrape of `/metrics` costs a gateway with 200 dispensers at work: `python benchmarks/metrics.py`.

The dispensers are simulated, on 200 PTYs, and send 50 events a second while the scrapes are timed. Beside them stand
the same bytes, ready, from a bare FastAPI route, and their formatting by prometheus_client alone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parts.bench import bench
from benchmarks.parts.daemon import Daemon
from benchmarks.parts.scrape import Cost, bare, format_s, scrape
from benchmarks.parts.simulated import ONLINE_WITHIN_S, simulating
from benchmarks.parts.table import Line, show

DISPENSERS = 200
SCRAPES = 300
GOAL_MS = 5.0


def online(cost: Cost) -> int:
    """How many dispensers a scrape says are online."""
    line = next(line for line in cost.text.splitlines() if line.startswith("picante_dispensers_online "))
    return int(float(line.split()[1]))


def measure(directory: Path, count: int = DISPENSERS, scrapes: int = SCRAPES) -> Iterator[Line]:
    """The table's lines."""
    with simulating(directory, count, baud=0, events_per_s=50.0) as ports:
        daemon = Daemon(directory, "gw-metrics", ports=[ports])
        shutil.copy(directory / "sim" / "keys.toml", directory / "keys.toml")
        with daemon.running() as (_, process):
            deadline = time.monotonic() + ONLINE_WITHIN_S
            while (seen := online(scrape(daemon.port, process, 1, daemon.headers))) < count:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{seen} of {count} dispensers online in {ONLINE_WITHIN_S} s")
                time.sleep(0.2)
            got = scrape(daemon.port, process, scrapes, daemon.headers)
    with bare(got.text, directory) as (port, server):
        raw = scrape(port, server, scrapes)
    formatted_s = format_s(got.text, scrapes)
    yield Line(
        f"ms of CPU a scrape, {count} dispensers",
        f"< {GOAL_MS:g}",
        f"{got.cpu_s * 1e3:.2f}",
        f"FastAPI, the text ready: {raw.cpu_s * 1e3:.2f}",
        got.cpu_s / raw.cpu_s if raw.cpu_s > 0 else None,
        got.cpu_s * 1e3 < GOAL_MS,
    )
    yield Line("  of it prometheus_client alone, the figures ready", "", f"{formatted_s * 1e3:.2f}")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        mine, other = (costs.seconds[int(len(costs.seconds) * share)] for costs in (got, raw))
        yield Line(
            f"ms from request to answer, {name}", "", f"{mine * 1e3:.2f}", f"FastAPI: {other * 1e3:.2f}", mine / other
        )
    yield Line("samples", "", f"{got.samples:,}")
    yield Line("bytes", "", f"{len(got.text):,}")


def main() -> None:
    """Print the table. Arguments of the other benchmarks are not for this one."""
    with bench() as directory:
        show(measure(directory))


if __name__ == "__main__":
    main()
