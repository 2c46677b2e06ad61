"""A dispenser on a cable and on MQTT at once is one dispenser: its lines take no turns, and each stands by the other.

The simulator's dispenser has two links that know nothing of each other: the gateway alone keeps them from flapping.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app import run_parts
from gateway.assembly import assemble
from gateway.config import load_config
from gateway.notify import Notifier
from gateway.state import GatewayState
from gateway.web.repairs.board import Board
from gateway.web.watch import Watch
from hw_sim.lines import TwoLines
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation
from hw_sim.unit import Unit
from tests.flow.world import Mqtt
from tests.servers import free_port
from tests.waiting import wait_until_async


@dataclass
class Shop:
    """A gateway, and a dispenser that reaches it both ways."""

    gateway: GatewayState
    unit: Unit
    lines: TwoLines

    @property
    def used(self) -> str:
        """`serial` or `mqtt`; empty while it is offline."""
        known = self.gateway.dispensers.known.get("bar-1")
        if known is None or known.link is None:
            return ""
        return "mqtt" if known.link.name.startswith("mqtt:") else "serial"

    @property
    def openings(self) -> int:
        return self.gateway.dispensers.known["bar-1"].openings

    def turned_away(self, beyond: int = 0) -> int:
        """REJECTs that its two links got, above a number of them."""
        return max(sum(firmware.mcu.counters.rejected for firmware in self.unit._firmwares) - beyond, 0)

    def stored(self) -> list[int]:
        return [row[0] for row in self.gateway.reader.execute("SELECT sequence FROM events WHERE source = 'bar-1'")]

    async def pours(self, count: int) -> None:
        """Pour, and wait until the gateway has acknowledged all of it."""
        for number in range(count):
            self.unit.pour(1, 100 + number)
        await wait_until_async(lambda: not self.unit.header.held, 20, "all is acknowledged")

    async def uses(self, line: str, within_s: float = 10) -> None:
        await wait_until_async(lambda: self.used == line, within_s, f"{line} is in use")


@pytest.fixture
async def shop(tmp_path: Path, mqtt: Mqtt) -> AsyncIterator[Shop]:
    store = f"store-{secrets.token_hex(4)}"
    scenario = parse_scenario(
        f'store = "{store}"\n[mqtt]\nhost = "{mqtt.host}"\nport = {mqtt.port}\n'
        '[[dispensers]]\nid = "bar-1"\nlink = "both"\nbaud = 0\n'
    )
    (tmp_path / "pseudonym.toml").touch(0o600)
    (tmp_path / "pseudonym.toml").write_text(f'version = 1\nkey = "{"ab" * 32}"\n')
    (tmp_path / "gateway.toml").write_text(
        f'[gateway]\nid = "gw-{store}"\nstore = "{store}"\nregion = "r"\ndata_dir = "data"\nballast_mb = 0\n'
        f'[keys]\ndispensers = "sim/keys.toml"\n[serial]\nports = ["{tmp_path}/sim/ports/*"]\n'
        f'[mqtt]\nhost = "{mqtt.host}"\nport = {mqtt.port}\n[http]\nport = {free_port()}\n'
    )
    async with Simulation(scenario, tmp_path / "sim") as simulation:
        unit = simulation.units["bar-1"]
        assert isinstance(unit.line, TwoLines)
        async with assemble(load_config(tmp_path / "gateway.toml")) as gateway:
            parts = asyncio.create_task(run_parts(gateway, Notifier({})))
            yield Shop(gateway, unit, unit.line)
            parts.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await parts


async def test_it_settles_on_one_line_and_is_one_dispenser(shop: Shop) -> None:
    await wait_until_async(lambda: shop.turned_away() >= 1, 10, "one of its lines was turned away")
    used, openings = shop.used, shop.openings
    for _ in range(2):  # progress lets a link that was turned away ask again after a second
        asked = shop.turned_away()
        await shop.pours(20)
        await wait_until_async(functools.partial(shop.turned_away, beyond=asked), 20, "the other line asked again")
    assert (shop.used, shop.openings) == (used, openings)
    assert shop.stored() == list(range(1, 41))
    watch = Watch(shop.gateway)
    told = Board(shop.gateway, watch).repairs
    assert [str(repair.what) for repair in told if "bar-1" in str(repair.what) and repair.urgent] == []


async def test_each_line_takes_over_within_seconds_and_events_come_once(shop: Shop) -> None:
    await wait_until_async(lambda: shop.used, 10, "it is online")
    shop.lines.cable.unplug()
    await shop.uses("mqtt")
    await shop.pours(20)
    shop.lines.cable.plug()
    await shop.uses("serial")  # the newest READY wins
    for number in range(30):
        shop.unit.pour(1, 100 + number)
    shop.lines.cable.unplug()  # in the midst of them
    await shop.uses("mqtt", 5)
    await shop.pours(20)
    shop.lines.cable.plug()
    await shop.uses("serial")
    shop.lines.network.unplug()
    await shop.pours(5)
    asked = shop.turned_away()
    shop.lines.network.plug()  # it was replaced: its coming and going changes nothing
    await wait_until_async(functools.partial(shop.turned_away, beyond=asked), 20, "the network is back")
    await shop.pours(5)
    assert shop.used == "serial"
    shop.lines.cable.unplug()
    await shop.uses("mqtt")
    picks = await shop.unit.ask()
    assert picks is not None
    assert shop.stored() == list(range(1, 81))
