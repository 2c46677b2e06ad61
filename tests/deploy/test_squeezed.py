"""A Pi's worth of machine: the demo's shop through a gateway with 512 MB of memory and a quarter of one core."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from tests.cgroups import squeezed
from tests.flow.reckoning import settle
from tests.flow.verdict import NOTHING_WRONG
from tests.flow.world import Kafka, Mqtt, world
from tests.waiting import wait_until

MEMORY_MB = 512
CORE = 0.25
ROWS = 120
"""That the shop gives in some ten seconds; each row is an event of a dispenser or of the gateway."""
SHOP = """\
[crowd]
size = 60
visit_every_s = 0.8
pace = 0.12

[[dispensers]]
id = "counter"
count = 4

[[dispensers]]
id = "bar"
link = "mqtt"
count = 2
"""
"""As `picante demo` plays it: four dispensers on serial lines of 115,200 baud, two on MQTT."""


def test_the_demos_load_on_a_quarter_of_a_core(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    with squeezed(MEMORY_MB, CORE) as group, world(tmp_path, kafka, mqtt, SHOP, "gw-pi") as shop:
        shop.start_sim()
        began_s = time.monotonic()
        daemon = shop.spawn_gateway()
        group.take(daemon.process.pid)
        shop.wait_until_ready(120)
        start_s = time.monotonic() - began_s
        started = group.figures()
        wait_until(lambda: shop.stored() >= ROWS, 120, f"{ROWS} rows are stored")
        picks = shop.get("/api/v1/status")["times"]
        made, verdict = settle(shop)
        memory, figures = psutil.Process(daemon.process.pid).memory_info(), group.figures()
        print(  # noqa: T201 -- shown by pytest -s
            f"start to ready {start_s:.1f} s; {made} events;"
            f" resident {memory.rss / 2**20:.0f} MB, with page cache at most {figures.peak_mb:.0f} MB;"
            f" throttled in {started.throttled} periods of the start and {figures.throttled - started.throttled} after;"
            f" picks p50 {picks['p50_us'] / 1000:.1f} ms, p99 {picks['p99_us'] / 1000:.1f} ms"
        )
        assert verdict == NOTHING_WRONG
        assert made >= ROWS
        assert group.holds(daemon.process.pid), "it was not squeezed: nothing was tested"
        assert (figures.killed, figures.full) == (0, 0)
        assert daemon.process.poll() is None
