"""A store's limit, from gateway.toml to the customer's second press, and bottles that run empty.

A real daemon, a real dispenser, a real port.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.packed import unpack
from heat.errors import ConfigError, LinkLost
from hw_sim.control import SOCKET_NAME, call
from tests.flow.world import Process
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until

SCENARIO = """\
store = "mercado-12"

[[dispensers]]
id = "hot-bar-1"
link = "serial"
nozzles = ["table-red", "miso-piri", "reaper-raw"]
"""
LIMIT = "[picks]\nlimit_shu = 50000\n"


@pytest.fixture(scope="module")
def bar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a shop with a limit of 50,000 SHU, its dispenser online."""
    tmp_path = tmp_path_factory.mktemp("bar")
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    port = free_port()
    ports = f'[serial]\nports = ["{tmp_path}/sim/ports/usb-picante-*"]\n{LIMIT}'
    config = write_config(tmp_path, port, ports, keys="sim/keys.toml")
    sim = Process(tmp_path, "sim", "sim", "run", "--scenario", "scenario.toml", "--state", "sim")
    try:
        wait_until((tmp_path / "sim" / "keys.toml").exists, 60, "the simulator has made its keys")
        gateway = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config))
        try:
            socket = tmp_path / "sim" / SOCKET_NAME
            wait_until(lambda: online(socket), 40, "the dispenser is online")
            yield tmp_path
        finally:
            gateway.stop()
    finally:
        sim.stop()


def online(socket: Path) -> bool:
    try:
        return bool(call(socket, {"do": "status"})["dispensers"]["hot-bar-1"]["online"])
    except LinkLost:
        return False


def tell(directory: Path, do: str, **more: Any) -> dict[str, Any]:
    return call(directory / "sim" / SOCKET_NAME, {"do": do, "dispenser": "hot-bar-1", **more})


def pours(directory: Path) -> list[tuple[str, list[str]]]:
    """Sauce and flags of each pour in the gateway's store."""
    [path] = directory.rglob("gateway.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT data FROM events WHERE type = 'picante.poured.v1' ORDER BY position").fetchall()
    told = [json.loads(unpack(data)) for (data,) in rows]
    return [(data["sauce"], data["flags"]) for data in told]


def test_a_hot_sauce_is_no_pick_unless_asked_for_and_pours_on_the_second_press(bar: Path) -> None:
    def picked(**visit: Any) -> set[str]:
        return {pick["sauce"] for pick in tell(bar, "visit", pour="", leave=True, **visit)["picks"]}

    before = pours(bar)
    assert picked() == {"table-red"}
    assert picked(dial=50) == {"table-red"}
    assert picked(shu=1_000) == {"table-red"}
    assert picked(dial=85, avoid=["gluten"]) == {"table-red"}
    assert "miso-piri" in picked(dial=85)
    with pytest.raises(ConfigError, match="asks to press nozzle 3 again"):
        tell(bar, "pour", sauce="reaper-raw", quick=True, confirm=False)
    assert "Reaper Raw is very hot" in tell(bar, "screen")["text"]
    assert pours(bar) == before
    tell(bar, "pour", sauce="reaper-raw", quick=True, confirm=False)
    tell(bar, "pour", sauce="table-red", quick=True, confirm=False)
    wait_until(lambda: len(pours(bar)) == len(before) + 2, 20, "both pours are stored")
    confirmed = {sauce: "confirmed" in flags for sauce, flags in pours(bar)[-2:]}
    assert confirmed == {"reaper-raw": True, "table-red": False}


def test_an_empty_bottle_is_no_pick_and_a_full_one_is_again_while_the_link_stays_open(bar: Path) -> None:
    def picked() -> set[str]:
        return {pick["sauce"] for pick in tell(bar, "visit", pour="", leave=True)["picks"]}

    assert picked() == {"table-red"}
    tell(bar, "pour", sauce="table-red", ml=746, quick=True)
    wait_until(lambda: picked() == set(), 20, "nobody is shown an empty bottle's sauce")
    tell(bar, "refill", nozzle=1)
    wait_until(lambda: picked() == {"table-red"}, 20, "the new bottle's is shown")
