"""Dispensers that have a bad day, and a real gateway: what it has, and says that it lacks, is true to the event."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from hw_sim.check import check_all
from hw_sim.journal import read_journal
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation, journal_path
from tests.access import console
from tests.flow.world import Process
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import LONG_S, wait_until_async

CAPACITY = 32
OVERFLOW = f"""
[load]
events_per_s = 500
ask_share = 0
total = 400
[[dispensers]]
id = "bar-1"
ring = {CAPACITY}
"""
BAD_DAY = """
seed = 3
[load]
events_per_s = 120
ask_share = 0.1
[faults]
drop = 0.01
duplicate = 0.01
corrupt = 0.02
unplug_per_h = 2400
power_cut_per_h = 2000
freeze_per_h = 1800
babble_per_h = 2000
longest_s = 0.4
[[dispensers]]
id = "bar"
count = 2
"""
MISHAPS = ("unplug", "power", "freeze", "babble")


@contextlib.asynccontextmanager
async def gateway_at(directory: Path) -> AsyncIterator[str]:
    """A gateway for the simulator in this directory; its address."""
    port = free_port()
    ports = f'[serial]\nports = ["{directory}/sim/ports/usb-picante-*"]\n'
    config = write_config(directory, port, ports, keys="sim/keys.toml")
    gateway = Process(directory, "gateway", "gateway", "run", "--config", str(config))
    try:
        yield f"unix:{directory}/gateway/gateway.sock"
    finally:
        gateway.stop()


async def test_a_ring_that_wrapped_is_told_to_the_event(tmp_path: Path) -> None:
    async with Simulation(parse_scenario(OVERFLOW), tmp_path / "sim") as simulation:
        unit = simulation.units["bar-1"]
        await wait_until_async(lambda: unit.header.dropped > 5 * CAPACITY, 20, "the ring wraps, and wraps")
        async with gateway_at(tmp_path) as url:
            client = console(tmp_path / "gateway")
            await wait_until_async(lambda: simulation.load_is_done, 30, "the load is made")
            await wait_until_async(lambda: unit.header.held == 0, 30, "the rest is delivered")
            [row] = await asyncio.to_thread(check_all, tmp_path / "sim", ["bar-1"], url, patience_s=LONG_S)
            assert (row.agrees, row.untold, row.mistold) == (True, (), ())
            assert row.header.dropped == row.told > 5 * CAPACITY
            assert row.told + row.arrived == 400
            metrics = client.get("/metrics").text
            assert f'picante_lost_events_total{{dispenser="bar-1"}} {row.told}.0' in metrics
            events = client.get("/api/v1/events?limit=1000").json()["events"]
            gaps = [event["data"] for event in events if event["type"] == "picante.gap.v1"]
            assert sum(gap["last"] - gap["first"] + 1 for gap in gaps) == row.told
            page = client.get("/").text
            assert f"bar-1 lost {row.told} events: its memory was full before they got here" in page


async def test_through_cuts_pulls_hangs_and_noise_every_event_arrives_once(tmp_path: Path) -> None:
    path = journal_path(tmp_path / "sim")

    def mishaps() -> Counter[str]:
        return Counter(line["fault"] for line in read_journal(path) if line.get("fault") in MISHAPS)

    async with Simulation(parse_scenario(BAD_DAY), tmp_path / "sim") as simulation, gateway_at(tmp_path) as url:
        await wait_until_async(lambda: all(mishaps()[kind] >= 2 for kind in MISHAPS), 40, "enough has gone wrong")
        simulation.check_tasks()
        assert await simulation.drain(40)
        rows = await asyncio.to_thread(check_all, tmp_path / "sim", list(simulation.units), url, patience_s=LONG_S)
        assert [(row.good, row.missing, row.doubled, row.unknown) for row in rows] == [(True, (), (), ())] * 2
        assert all(row.arrived > 50 and row.header.boot > 1 for row in rows)
