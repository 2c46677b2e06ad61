"""A ring that overflows while no gateway is there: every event that it lost is told, and none that it kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from hw_sim.check import check_all
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation
from tests.flow.world import Process
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until_async

CAPACITY = 32
SCENARIO = f"""
[load]
events_per_s = 500
ask_share = 0
total = 400
[[dispensers]]
id = "bar-1"
ring = {CAPACITY}
"""


async def test_a_ring_that_wrapped_is_told_to_the_event(tmp_path: Path) -> None:
    port = free_port()
    ports = f'[serial]\nports = ["{tmp_path}/sim/ports/usb-picante-*"]\n'
    config = write_config(tmp_path, port, ports, keys="sim/keys.toml")
    url = f"http://127.0.0.1:{port}"
    async with Simulation(parse_scenario(SCENARIO), tmp_path / "sim") as simulation:
        unit = simulation.units["bar-1"]
        await wait_until_async(lambda: unit.header.dropped > 5 * CAPACITY, 20, "the ring wraps, and wraps")
        gateway = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config))
        try:
            await wait_until_async(lambda: simulation.load_is_done, 30, "the load is made")
            await wait_until_async(lambda: unit.header.held == 0, 30, "the rest is delivered")
            [row] = await asyncio.to_thread(check_all, tmp_path / "sim", ["bar-1"], url)
            assert (row.agrees, row.untold, row.mistold) == (True, (), ()), gateway.said()
            assert row.header.dropped == row.told > 5 * CAPACITY
            assert row.told + row.arrived == 400
            async with httpx.AsyncClient(base_url=url, timeout=10) as client:
                metrics = (await client.get("/metrics")).text
                assert f'picante_lost_events_total{{dispenser="bar-1"}} {row.told}.0' in metrics
                events = (await client.get("/api/v1/events?limit=1000")).json()["events"]
                gaps = [event["data"] for event in events if event["type"] == "picante.gap.v1"]
                assert sum(gap["last"] - gap["first"] + 1 for gap in gaps) == row.told
                page = (await client.get("/")).text
                assert f"bar-1 lost {row.told} events: its memory was full before they got here" in page
        finally:
            gateway.stop()
