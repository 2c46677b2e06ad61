"""Dispensers on the shop's secured broker, which is killed and loses its memory; and dispensers that die in silence.

Processes all: the simulator, the gateway without a Kafka, and Mosquitto with the configuration of `deploy/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hw_sim.control import call
from hw_sim.journal import read_journal
from tests.flow.verdict import generated
from tests.flow.world import PSEUDONYM_KEY, World
from tests.secure_mosquitto import SecureMosquitto
from tests.servers import free_port
from tests.serving import serving
from tests.waiting import wait_until

KILLS = 3
BARS = ("bar-1", "bar-2", "bar-3")

SCENARIO = """\
store = "shop-1"
gateway = "unix:gateway/gateway.sock"
[mqtt]
host = "{host}"
port = {port}
ca = "{ca}"
certificates = "{certificates}"
[load]
events_per_s = 200
[faults]
drop = 0.002
duplicate = 0.01
[[dispensers]]
id = "bar"
link = "mqtt"
ring = 16384
count = 3
"""

GATEWAY = """\
[gateway]
id = "gw-1"
store = "shop-1"
region = "south"
data_dir = "gateway"
ballast_mb = 0
[keys]
dispensers = "sim/keys.toml"
[mqtt]
host = "{host}"
port = {port}
tls = true
ca = "{ca}"
certificate = "{certificate}"
key = "{key}"
[http]
port = {http}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecureMosquitto]:
    """It saves its memory every second or two, as the tests' open one does: what a kill takes is little, and random."""
    yield from serving(SecureMosquitto, tmp_path / "mosquitto")


@pytest.fixture
def shop(tmp_path: Path, broker: SecureMosquitto) -> Iterator[World]:
    for name in BARS:
        broker.pair("dispenser", name)
    own, port = broker.pair("gateway"), free_port()
    where = {"host": broker.host, "port": broker.port, "ca": broker.ca, "http": port}
    (tmp_path / "scenario.toml").write_text(SCENARIO.format(**where, certificates=broker.authority / "dispensers"))
    (tmp_path / "gateway.toml").write_text(GATEWAY.format(**where, certificate=own.certificate, key=own.key))
    (tmp_path / "pseudonym.toml").touch(0o600)
    (tmp_path / "pseudonym.toml").write_text(f'version = 1\nkey = "{PSEUDONYM_KEY.hex()}"\n')
    shop = World(tmp_path, "gw-1", "", port)
    try:
        yield shop
    finally:
        for process in (shop.sim, shop.gateway):
            if process is not None:
                process.stop()


def links(shop: World) -> dict[str, bool]:
    """Whether each dispenser is online, by the page."""
    return {one["name"]: one["online"] for one in shop.get("/api/v1/status")["dispensers"]}


def wait_until_more(shop: World, count: int) -> None:
    before = shop.stored()
    wait_until(lambda: shop.stored() >= before + count, 60, "events flow")


def stored(shop: World) -> list[str]:
    rows = shop.query("SELECT source, generation, sequence FROM events WHERE source LIKE 'bar-%'")
    return [f"{source}:{generation:08x}:{sequence}" for source, generation, sequence in rows]


def test_a_broker_killed_and_emptied_loses_and_doubles_nothing(shop: World, broker: SecureMosquitto) -> None:
    shop.start_sim()
    shop.start_gateway()
    for kill in range(KILLS):
        wait_until_more(shop, 100)
        broker.kill()
        if kill == 1:
            assert shop.gateway is not None
            shop.gateway.kill()  # both at once: what the broker saved is all that there is, and it is old
            shop.spawn_gateway()
        else:
            broker.empty()
        broker.start()
    shop.wait_until_ready(60)
    # dispensers without a word: the broker tells of them by their last wills
    wait_until(lambda: links(shop) == dict.fromkeys(BARS, True), 60, "all are there again")
    assert shop.sim is not None
    shop.sim.kill()
    wait_until(lambda: links(shop) == dict.fromkeys(BARS, False), 10, "the page says that they are gone")
    sim = shop.start_sim("--check")
    wait_until(lambda: links(shop) == dict.fromkeys(BARS, True), 60, "they are back by themselves")
    call(shop.socket, {"do": "stop"})
    wait_until(shop.sim_ended, 60, "all rings are empty")
    assert sim.process.returncode == 0, sim.said()
    made, found = generated(read_journal(shop.directory / "sim" / "journal.jsonl")), stored(shop)
    assert len(made) > KILLS * 100
    assert sorted(found) == sorted(made)
