"""Whole simulations: load, customers, signals, kills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heat.errors import ConfigError
from hw_sim.control import SOCKET_NAME
from hw_sim.eeprom import read_contents
from hw_sim.journal import expected_ids, read_journal
from hw_sim.keys import load_keys
from hw_sim.ring import read_header
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation, eeprom_path, journal_path, port_path, ring_path
from tests.firmware_bridge.pair import Disk
from tests.hw_sim.desk import TWO, arrived, gateway_at, gateways
from tests.waiting import wait_until, wait_until_async

ROOT = Path(__file__).parents[2]
# -- load --------------------------------------------------------------------------------------------------------------


async def test_a_load_arrives_whole_and_once(state: Path) -> None:
    scenario = parse_scenario("[load]\ntotal = 1501\nask_share = 0.05\n" + TWO)
    async with Simulation(scenario, state) as simulation, gateways(simulation) as (_, ports):
        await wait_until_async(lambda: simulation.load_is_done, 60, "the load is made")
        assert await simulation.drain(10)
        ids = arrived(ports)
        assert len(ids) == 1501
        assert set(ids) == expected_ids(journal_path(state))
        assert any(port.gateway.asks for port in ports)


async def test_a_load_never_overflows_a_ring_that_it_fills(state: Path) -> None:
    scenario = parse_scenario("[load]\n" + TWO)
    async with Simulation(scenario, state) as simulation:
        await wait_until_async(lambda: all(unit.full for unit in simulation.units.values()), 20, "the rings are full")
        assert [unit.header.dropped for unit in simulation.units.values()] == [0, 0]
        async with gateways(simulation):
            await wait_until_async(
                lambda: all(unit.header.acked > 500 for unit in simulation.units.values()), 20, "it goes on"
            )
        assert [unit.header.dropped for unit in simulation.units.values()] == [0, 0]


async def test_a_load_at_a_rate_overflows_without_a_gateway(state: Path) -> None:
    scenario = parse_scenario("[load]\nevents_per_s = 4000\n" + TWO)
    async with Simulation(scenario, state) as simulation:
        await wait_until_async(
            lambda: all(unit.header.dropped for unit in simulation.units.values()), 20, "both rings overflow"
        )
        async with gateways(simulation) as (disk, ports):
            simulation.opened.clear()
            await wait_until_async(lambda: not any(u.header.held for u in simulation.units.values()), 20, "drained")
            assert set(arrived(ports)) == expected_ids(journal_path(state))
            assert len(disk.gaps) == 2


def made(state: Path) -> list[tuple[str, int, str, dict[str, Any]]]:
    lines = [line for line in read_journal(journal_path(state)) if "event" in line]
    return [(line["dispenser"], line["session"], line["kind"], line["body"]) for line in lines]


async def test_a_load_follows_from_its_seed(tmp_path: Path) -> None:
    contents = []
    for run, seed in enumerate([3, 3, 4]):
        scenario = parse_scenario(f"seed = {seed}\n[load]\ntotal = 200\nask_share = 0\n" + TWO)
        async with Simulation(scenario, tmp_path / str(run)) as simulation:
            await wait_until_async(lambda: simulation.load_is_done, 10, "made")
        contents.append(sorted(map(repr, made(tmp_path / str(run)))))
    assert contents[0] == contents[1] != contents[2]
    kinds = {kind for _, _, kind, _ in made(tmp_path / "0")}
    assert kinds >= {"poured", "rated", "stated"}


# -- customers ---------------------------------------------------------------------------------------------------------


async def test_customers_ask_pour_and_rate(state: Path) -> None:
    scenario = parse_scenario("[crowd]\nvisit_every_s = 0.001\npace = 0\n" + TWO)
    async with Simulation(scenario, state) as simulation, gateways(simulation) as (_, ports):
        await wait_until_async(
            lambda: all(unit.answers.accepted >= 3 for unit in simulation.units.values()), 60, "picks are accepted"
        )
        assert await simulation.drain(10)
        simulation.check_tasks()
        for unit in simulation.units.values():
            assert unit.answers.asked >= unit.answers.shown >= unit.answers.accepted
        assert set(arrived(ports)) == expected_ids(journal_path(state))
        claims = {line["claim"] for line in read_journal(journal_path(state)) if "claim" in line}
        assert claims == {ask.token for port in ports for ask in port.gateway.asks} - {None}
    kinds = {kind for _, _, kind, _ in made(state)}
    assert kinds >= {"poured", "rated", "stated"}
    accepted = [body for _, _, kind, body in made(state) if kind == "poured" and "pick_id" in body]
    assert {body["sauce"] for body in accepted} == {"mango-fresno"}


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_a_dispenser_keeps_the_key_that_it_was_made_with(state: Path) -> None:
    async with Simulation(parse_scenario(TWO), state):
        made_with = load_keys(state / "keys.toml")
    assert {name: read_contents(eeprom_path(state, name)).key for name in made_with} == made_with
    (state / "keys.toml").unlink()
    async with Simulation(parse_scenario(TWO), state) as simulation:
        keys = {name: unit.firmware.mcu.identity.key for name, unit in simulation.units.items()}
    assert keys == made_with


async def test_a_factory_new_dispenser_has_no_key_until_it_is_given_one(state: Path) -> None:
    scenario = parse_scenario(TWO.replace("count = 2", 'factory_new = true\nhardware = "PD-8 no. 4"'))
    async with Simulation(scenario, state) as simulation:
        unit = simulation.units["bar"]
        assert (unit.firmware.mcu.key, load_keys(state / "keys.toml")) == (None, {})
        assert (unit.firmware.mcu.identity.hardware, (state / "keys.toml").exists()) == ("PD-8 no. 4", True)
        unit.keep_key(bytes(32))
    async with Simulation(scenario, state) as simulation:
        assert simulation.units["bar"].firmware.mcu.key == bytes(32)


# -- one simulator a directory, and what it leaves ---------------------------------------------------------------------


async def test_two_simulators_do_not_share_a_directory(state: Path) -> None:
    scenario = parse_scenario(TWO)
    async with Simulation(scenario, state):
        with pytest.raises(ConfigError, match="another simulator runs"):
            await Simulation(scenario, state).__aenter__()


def start(state: Path, text: str, *options: str) -> subprocess.Popen[str]:
    (state / "scenario.toml").write_text(text)
    command = [sys.executable, "-c", "from picante.cli_sim import sim; sim()", "run"]
    arguments = ["--scenario", str(state / "scenario.toml"), "--state", str(state), *options]
    return subprocess.Popen(
        [*command, *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )


def generated(state: Path, names: list[str]) -> int:
    with contextlib.suppress(FileNotFoundError):
        return sum(read_header(ring_path(state, name)).generated for name in names)
    return 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_the_rings(state: Path, number: signal.Signals) -> None:
    process = start(state, '[load]\nevents_per_s = 500\n[[dispensers]]\nid = "bar"\ncount = 20\n')
    names = [f"bar-{index}" for index in range(1, 21)]
    wait_until(lambda: generated(state, names) > 200, 30, "events are made")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"bar-1: {port_path(state, 'bar-1')}" in out
    assert not (state / SOCKET_NAME).exists()
    assert generated(state, names) == len(made(state))


def test_sigkill_under_load_loses_nothing(state: Path) -> None:
    names = ["bar-1", "bar-2"]
    text = "[load]\ntotal = 6000\n" + TWO

    async def serve(process: subprocess.Popen[str], disk: Disk, enough: int) -> None:
        for name in names:
            await wait_until_async(lambda: (state / "ports").is_dir() and port_path(state, name).exists(), 30, "ports")  # noqa: B023
        disk.keys = load_keys(state / "keys.toml")
        async with contextlib.AsyncExitStack() as stack:
            for name in names:
                await stack.enter_async_context(gateway_at(port_path(state, name), disk))
            await wait_until_async(lambda: len(disk.stored) >= enough, 60, "events arrive")
            process.kill()
            process.communicate()

    disk = Disk()
    for enough in (300, 1500, 6000):
        for name in names:
            port_path(state, name).unlink(missing_ok=True)
        asyncio.run(serve(start(state, text), disk, enough))
    headers = [read_header(ring_path(state, name)) for name in names]
    assert [header.boot for header in headers] == [3, 3]
    assert sum(header.generated for header in headers) == 6000
    stored = {f"{generation:08x}:{sequence}" for generation, sequence in disk.stored}
    assert stored == {identity.partition(":")[2] for identity in expected_ids(journal_path(state))}
