"""The control socket: what it does, and what it says to what makes no sense."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heat.catalog import default_catalog
from heat.errors import ConfigError, LinkLost
from hw_sim.control import PATIENCE_S, SOCKET_NAME, ControlServer, call, patience_s
from hw_sim.plant import Nozzle, Plant
from hw_sim.ring import read_header
from hw_sim.scenario import Scenario, parse_scenario
from hw_sim.simulation import Simulation, ring_path
from tests.hw_sim.desk import TWO, arrived, gateways
from tests.waiting import wait_until_async


@contextlib.asynccontextmanager
async def controlled(scenario: Scenario, state: Path) -> AsyncIterator[tuple[Simulation, asyncio.Event]]:
    stopped = asyncio.Event()
    async with Simulation(scenario, state) as simulation, ControlServer(simulation, stopped.set):
        yield simulation, stopped


async def tell(state: Path, **request: Any) -> dict[str, Any]:
    return await asyncio.to_thread(call, state / SOCKET_NAME, request)


async def test_a_scripted_visit_is_told_with_its_events(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state) as (simulation, _), gateways(simulation) as (_, ports):
        visit = await tell(state, do="visit", dispenser="bar-1", token="me", word="hot", dial=30, rate="too_hot")
        generation = simulation.units["bar-1"].header.generation
        assert visit["events"] == [f"bar-1:{generation:08x}:{sequence}" for sequence in (1, 2, 3, 4)]
        assert (visit["session"], visit["pick_id"], visit["poured"]) == (
            1,
            "p1",
            simulation.units["bar-1"].twin.tanks[2].sauce.id,
        )
        assert visit["picks"][0]["sauce"] == "mango-fresno"
        assert visit["answer_ms"] > 0
        pressed = await tell(state, do="press", dispenser="bar-1", verdict="more")
        assert pressed == {"event": f"bar-1:{generation:08x}:5", "session": 1}
        await wait_until_async(lambda: simulation.units["bar-1"].header.held == 0, 10, "all came")
        assert [(ask.token, ask.dial) for ask in ports[0].gateway.asks] == [("me", 30)]
        assert set(arrived([ports[0]])) == {*visit["events"], pressed["event"]}


async def test_a_visit_may_pour_another_sauce_or_none(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state) as (simulation, _), gateways(simulation):
        visit = await tell(state, do="visit", dispenser="bar-1", pour="garlic-ghost")
        assert visit["poured"] == "garlic-ghost"
        nothing = await tell(state, do="visit", dispenser="bar-1", pour="")
        assert (nothing["poured"], nothing["events"]) == (None, [])
        with pytest.raises(ConfigError, match="has no 'ketchup'"):
            await tell(state, do="visit", dispenser="bar-1", pour="ketchup")


async def test_a_visit_without_a_gateway_goes_without_picks(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state):
        visit = await tell(state, do="visit", dispenser="bar-1")
        assert (visit["pick_id"], visit["picks"], visit["answer_ms"]) == (None, [], None)
        assert len(visit["events"]) == 1
        screen = (await tell(state, do="screen", dispenser="bar-1"))["text"]
        assert "choose your own sauce" in screen


async def test_cables_can_be_pulled(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state) as (simulation, _), gateways(simulation) as (_, ports):
        await wait_until_async(lambda: simulation.units["bar-1"].online, 10, "online")
        await tell(state, do="unplug", dispenser="bar-1")
        status = (await tell(state, do="status"))["dispensers"]["bar-1"]
        assert (status["online"], status["plugged"], status["state"]) == (False, False, "down")
        await wait_until_async(lambda: ports[0].lost, 10, "the gateway notices")
        await tell(state, do="plug", dispenser="bar-1")
        assert (await tell(state, do="status"))["dispensers"]["bar-1"]["plugged"]


async def test_status_tells_what_the_ring_tells(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state) as (simulation, _):
        simulation.units["bar-2"].pour(1, 50_000)
        status = (await tell(state, do="status"))["dispensers"]["bar-2"]
    header = read_header(ring_path(state, "bar-2"))
    for name in ("generation", "next", "lowest", "boot", "generated", "acked", "dropped", "held"):
        assert status[name] == getattr(header, name), name
    assert 690 <= min(status["levels_ml"].values()) <= 710


async def test_pause_and_resume(state: Path) -> None:
    scenario = parse_scenario("[load]\nevents_per_s = 1000\n" + TWO)
    async with controlled(scenario, state) as (simulation, _):
        await tell(state, do="pause")
        before = [unit.header.generated for unit in simulation.units.values()]
        await tell(state, do="resume")
        await wait_until_async(
            lambda: all(
                unit.header.generated > count for unit, count in zip(simulation.units.values(), before, strict=True)
            ),
            10,
            "it goes on",
        )
        await tell(state, do="pause")
        simulation.check_tasks()


async def test_stop(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state) as (_, stopped):
        await tell(state, do="stop")
        assert stopped.is_set()


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"do": "dance"}, "Invalid value 'dance' - at `$.do`. There are: status, "),
        ({}, "missing required field `do`"),
        ({"do": "screen", "dispenser": "bar-9"}, "no dispenser 'bar-9'. There are: bar-1, bar-2"),
        ({"do": "screen"}, "missing required field `dispenser`. It is written: screen DISPENSER"),
        ({"do": "press", "dispenser": "bar-1"}, "press DISPENSER verdict=too_hot|just_right|more"),
        ({"do": "leak", "dispenser": "bar-1", "nozzle": 9}, "has no nozzle 9. It has 1 (table-red), 2 ("),
        (
            {"do": "power", "dispenser": "bar-1", "to": "up"},
            "power DISPENSER to=off|on|cycle [seconds=...] [in_write=...]",
        ),
        ({"do": "status", "dispenser": "bar-9"}, "no dispenser 'bar-9'. There are: bar-1, bar-2"),
        ({"do": "press", "dispenser": "bar-1", "verdict": "more"}, "nothing was poured at bar-1"),
        ({"do": "visit", "dispenser": "bar-1", "tokens": "x"}, "unknown field `tokens`"),
        ({"do": "visit", "dispenser": "bar-1", "dial": 101}, "Expected `int` <= 100"),
        ({"do": "visit", "dispenser": "bar-1", "volume_ul": 10**15}, "Expected `int` <= 1000000"),
        ({"do": "visit", "dispenser": "bar-1", "shu": -1}, "Expected `int` >= 0"),
    ],
)
async def test_a_request_that_makes_no_sense_is_told(state: Path, request_: dict[str, Any], told: str) -> None:
    async with controlled(parse_scenario(TWO), state):
        with pytest.raises(ConfigError) as raised:
            await tell(state, **request_)
        assert told in str(raised.value)


def test_a_long_pour_has_the_time_that_it_takes() -> None:
    plant = Plant([Nozzle(number, sauce) for number, sauce in enumerate(default_catalog().values(), start=1)])
    slowest_ul_s = min(plant.flow_ul_s(number) for number in plant.nozzles)
    for ml in (3, 100, 1_000):
        request = {"do": "pour", "dispenser": "bar-1", "ml": ml, "quick": False}
        assert patience_s(request) > ml * 1_000 / slowest_ul_s + 20
        assert patience_s(request | {"quick": True}) == patience_s({"do": "status"}) == PATIENCE_S


async def test_no_answer_in_time_is_told_apart_from_no_simulator(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state) as (simulation, _):
        await simulation.units["bar-1"].in_use.acquire()  # somebody stands there
        request = {"do": "pour", "dispenser": "bar-1", "quick": True}
        with pytest.raises(LinkLost, match="pour is not done after 0 s. It goes on: somebody else may stand"):
            await asyncio.to_thread(call, state / SOCKET_NAME, request, 0.2)
        simulation.units["bar-1"].in_use.release()
    with pytest.raises(LinkLost, match="no simulator at"):
        await asyncio.to_thread(call, state / SOCKET_NAME, request, 0.2)


async def test_a_simulator_that_ends_meanwhile_is_told(state: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with asyncio.timeout(10), await asyncio.start_unix_server(hang_up, state / "s"):
        with pytest.raises(LinkLost, match="the simulator ended before status was done"):
            await asyncio.to_thread(call, state / "s", {"do": "status"})


async def test_rubbish_on_the_socket_is_answered(state: Path) -> None:
    async with controlled(parse_scenario(TWO), state):
        reader, writer = await asyncio.open_unix_connection(state / SOCKET_NAME)
        for line in (b"rubbish\n", b"[1]\n", secrets.token_bytes(40).replace(b"\n", b"") + b"\n"):
            writer.write(line)
            assert json.loads(await reader.readline())["ok"] is False
        writer.write(b'{"do": "status"}\n')
        assert json.loads(await reader.readline())["ok"] is True
        writer.close()


def test_nobody_there_is_told(state: Path) -> None:
    with pytest.raises(LinkLost, match="no simulator at"):
        call(state / SOCKET_NAME, {"do": "status"})
