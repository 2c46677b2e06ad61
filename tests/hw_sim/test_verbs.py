"""What can be done to a dispenser through the control socket, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.messages import Ack, HelloRequest
from heat.errors import ConfigError
from hw_sim import trouble
from hw_sim.control import SOCKET_NAME, ControlServer, call
from hw_sim.journal import expected_ids, read_journal
from hw_sim.plant import TANK_UL
from hw_sim.power import PowerCut
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation, journal_path, port_path
from hw_sim.unit import Unit
from hw_sim.verbs import NotDone
from tests.hw_sim.desk import TWO, GatewayPort, arrived, gateway_at, gateways
from tests.waiting import wait_until_async

IDEAL = '[physics]\nlevel_sensor = "ideal"\nmeter_noise = 0.0\nmeter_spread = 0.0\ncelsius_noise = 0.0\n'


@contextlib.asynccontextmanager
async def shop(state: Path) -> AsyncIterator[Simulation]:
    """Two dispensers that can be told what to do, and no gateway."""
    async with Simulation(parse_scenario(IDEAL + TWO), state) as simulation, ControlServer(simulation, lambda: None):
        yield simulation


@contextlib.asynccontextmanager
async def open_shop(state: Path) -> AsyncIterator[tuple[Unit, GatewayPort]]:
    """The same with a gateway; the first of the two, which is online, and its port."""
    async with shop(state) as simulation, gateways(simulation) as (_, ports):
        unit = simulation.units["bar-1"]
        await wait_until_async(lambda: unit.online, 10, "online")
        yield unit, ports[0]


async def tell(state: Path, do: str, **more: Any) -> dict[str, Any]:
    request = {"do": do, "dispenser": "bar-1", **more}
    return await asyncio.to_thread(call, state / SOCKET_NAME, request)


WANTED: list[tuple[str, dict[str, Any]]] = [
    ("pour", {}),
    ("pour", {"quick": True}),
    ("press", {"verdict": "more"}),
    ("visit", {}),
    ("refill", {"nozzle": 1}),
    ("freeze", {}),
    ("babble", {}),
]
"""What comes to nothing without power."""


async def refused(state: Path, do: str, **more: Any) -> str:
    """What is said where nothing came of it."""
    with pytest.raises(NotDone) as raised:
        await tell(state, do, **more)
    return str(raised.value)


async def status(state: Path) -> dict[str, Any]:
    told: dict[str, Any] = (await tell(state, "status"))["dispensers"]["bar-1"]
    return told


def faults(state: Path) -> list[dict[str, Any]]:
    """The faults in the journal, without what every line has."""
    lines = [line for line in read_journal(journal_path(state)) if "fault" in line]
    return [{name: value for name, value in line.items() if name not in ("dispenser", "generation")} for line in lines]


# -- people ------------------------------------------------------------------------------------------------------------


async def test_a_pour_takes_its_time_and_is_an_event(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        begun = time.monotonic()
        poured = await tell(state, "pour", nozzle=2, ml=1)
        assert time.monotonic() - begun >= unit.twin.pour_ms(2, 1_000) / 1000
        assert (poured["nozzle"], poured["sauce"], poured["session"]) == (2, "mango-fresno", 1)
        assert poured["event"] == unit.event_id(1)
        quick = await tell(state, "pour", sauce="garlic-ghost", ml=100, quick=True)
        assert (quick["nozzle"], quick["event"]) == (3, unit.event_id(2))
        only = f"only 650.0 of 900.0 ml were left at nozzle 3 of bar-1: they were poured, as event {unit.event_id(3)}"
        assert await refused(state, "pour", nozzle=3, ml=900, quick=True) == only
        told = "nothing was poured at bar-1: the bottle on nozzle 3 is empty"
        assert await refused(state, "pour", nozzle=3, quick=True) == told
        assert await refused(state, "visit", pour="garlic-ghost", leave=True) == told
        assert unit.twin.session == 0, "they left all the same"
        assert (await tell(state, "refill", nozzle=3))["event"] == unit.event_id(4)
        assert unit.twin.tanks[3].level_ul == TANK_UL


async def test_the_screen_can_be_read(state: Path) -> None:
    async with open_shop(state):
        visit = await tell(state, "visit", dial=30)
        screen = await tell(state, "screen")
        assert (screen["pick_id"], screen["session"], screen["dial"]) == (visit["pick_id"], 1, 30)
        assert screen["picks"] == visit["picks"]
        assert screen["text"].startswith("╭")


async def test_a_visit_says_things_in_its_own_words(state: Path) -> None:
    async with open_shop(state):
        visit = await tell(state, "visit", text="not too hot please", remark="m" * 200, leave=True)
        lines = [line for line in read_journal(journal_path(state)) if line.get("event") in {1, 2, 3}]
        assert len(visit["events"]) == 3
        assert [line["body"].get("text") for line in lines] == ["not too hot please", None, "m" * 200]
        assert "room for 200" in await refused(state, "visit", text="\N{HOT PEPPER}" * 60)


async def test_the_door_and_the_tray(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        await tell(state, "door", to="open")
        assert unit.twin.readings(unit.firmware.now_ms()).door_open
        assert (await status(state))["door_open"]
        await tell(state, "door", to="shut")
        assert not (await status(state))["door_open"]
        unit.twin.plant.tray_ul = 1_000.0
        await tell(state, "tray")
        assert unit.twin.plant.tray_ul == 0


# -- power -------------------------------------------------------------------------------------------------------------


async def test_a_power_cycle_loses_ram_and_keeps_ring_and_settings(state: Path) -> None:
    async with open_shop(state) as (unit, port):
        await tell(state, "visit", token="me")
        port.stop_reading()
        held = (await tell(state, "pour", quick=True))["event"]
        unit.eeprom.calibrate(1, 90.0)
        await tell(state, "power", to="off")
        told = await status(state)
        assert (told["powered"], told["online"], told["session"]) == (False, False, 0)
        for do, words in WANTED:
            assert await refused(state, do, **words) == "bar-1 has no power. `power bar-1 on` gives it some", do
        assert set((await tell(state, "screen"))["text"]) == set("╭─╮│╰╯ \n"), "it is dark"
        assert (await tell(state, "power", to="on"))["boot"] == 2
        assert unit.eeprom.pulses_per_ml(1) == 90.0
        assert unit.firmware.now_ms() < 5_000
        async with gateway_at(port_path(state, "bar-1"), port.gateway.disk) as again:
            await wait_until_async(lambda: unit.header.held == 0, 10, "what was held is delivered")
            assert arrived([again])[-1] == held
    assert [fault for fault in faults(state) if fault["fault"] == "power"] == [
        {"fault": "power", "to": to, "seconds": None, "in_write": None} for to in ("off", "on")
    ]


async def test_a_reset_one_is_as_from_the_factory_and_keeps_its_events(state: Path) -> None:
    async with open_shop(state) as (unit, port):
        port.stop_reading()
        held = (await tell(state, "pour", quick=True))["event"]
        unit.eeprom.update(locked=True, planogram={1: "reaper-raw"})
        unit.eeprom.calibrate(1, 90.0)
        assert (await tell(state, "reset"))["boot"] == 2
        contents = unit.eeprom.contents
        assert (contents.key, contents.locked, contents.calibration, contents.planogram) == (None, False, {}, {})
        assert unit.firmware.mcu.key is None
        assert unit.event_id(unit.header.lowest) == held
    assert faults(state) == [{"fault": "reset"}]


async def test_the_power_comes_back_by_itself(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        await tell(state, "power", to="off", seconds=0.05)
        await wait_until_async(lambda: unit.header.boot == 2, 5, "it boots")


async def test_a_cut_in_the_middle_of_a_pour_makes_no_event(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        pour = asyncio.create_task(tell(state, "pour", nozzle=1, ml=3))
        await wait_until_async(lambda: unit.twin.pouring, 5, "the valve is open")
        await tell(state, "power", to="cycle")
        with pytest.raises(NotDone, match="nothing was poured at bar-1: its power failed meanwhile"):
            await pour
        assert (unit.header.generated, unit.header.boot) == (0, 2)
        assert TANK_UL - 3_000 < unit.twin.tanks[1].level_ul < TANK_UL


@pytest.mark.parametrize(("through", "kept"), [(0, 1), (40, 1), (92, 2)])
async def test_a_cut_in_the_middle_of_a_write_keeps_what_was_whole(state: Path, through: int, kept: int) -> None:
    """The 92 bytes of a header are all of it: then the event is there, though nobody was told."""
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        unit.pour(1, 1_000)
        cut = asyncio.create_task(tell(state, "power", to="off", in_write=through))
        await asyncio.sleep(0)
        await wait_until_async(lambda: faults(state), 5, "the cut waits")
        assert (await status(state))["powered"]
        assert unit.pour(1, 2_000) is None
        await cut
        assert not unit.powered
        await tell(state, "power", to="on")
        assert (unit.header.next - 1, unit.header.boot) == (kept, 2)
        assert unit.pour(1, 3_000) == kept + 1, "a sequence is given out once"
        events = [line["event"] for line in read_journal(journal_path(state)) if "event" in line]
        assert events == list(range(1, kept + 2))


async def test_a_setting_that_was_through_when_the_power_failed_holds_after_the_start(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        unit.cut_power_in_next_write(4096)
        with pytest.raises(PowerCut):
            unit.eeprom.calibrate(1, 90.0)
        unit.power_off()
        unit.power_on()
        assert unit.eeprom.pulses_per_ml(1) == 90.0
        assert unit.pour(1, 1_000) == 1, "the cut is over"


async def test_a_cut_that_no_write_meets_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "IN_WRITE_S", 0.05)
    async with shop(state):
        with pytest.raises(ConfigError, match="has written nothing for"):
            await tell(state, "power", to="cycle", in_write=3)


async def test_a_leak_goes_on_without_power(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        await tell(state, "leak", nozzle=1, ul_per_s=100_000)
        await tell(state, "power", to="off")
        at_off = unit.twin.tanks[1].level_ul
        await asyncio.sleep(0.05)
        await tell(state, "power", to="on")
        assert unit.twin.tanks[1].level_ul <= at_off - 5_000


async def test_a_cable_that_was_pulled_stays_out_through_a_power_cycle(state: Path) -> None:
    async with open_shop(state) as (unit, _):
        await tell(state, "unplug")
        await tell(state, "power", to="cycle")
        assert not unit.line.plugged
        await tell(state, "plug")
        assert unit.line.plugged


# -- cable and firmware ------------------------------------------------------------------------------------------------


async def test_a_cable_comes_back_by_itself(state: Path) -> None:
    async with open_shop(state) as (unit, port):
        await tell(state, "unplug", seconds=0.05)
        await wait_until_async(lambda: port.lost, 5, "the gateway notices")
        await wait_until_async(lambda: unit.line.plugged, 5, "it is back")


async def test_a_frozen_dispenser_says_nothing_until_it_is_thawed(state: Path) -> None:
    async with open_shop(state) as (unit, port):
        await tell(state, "freeze")
        for do, words in WANTED:
            if do not in ("freeze", "babble"):
                assert await refused(state, do, **words) == (
                    "the firmware of bar-1 hangs. `thaw bar-1` lets it go on"
                ), do
        unit.pour(1, 3_000)
        heard = port.received_bytes
        port.write(b"\x00")
        port.gateway.perform(port.gateway.session.tick(10**12))  # an invitation, or a ping, or the end
        assert (await status(state))["frozen"]
        unit.firmware.receive(Ack(generation=unit.header.generation, sequence=1))
        assert (unit.header.held, port.received_bytes) == (1, heard)
        port.gateway.session = type(port.gateway.session)(port.gateway.disk, bytes, 0)
        await tell(state, "thaw")
        await wait_until_async(lambda: unit.header.held == 0, 15, "it goes on")
        assert unit.header.boot == 1


async def test_babble_is_noise_to_the_gateway_and_ends(state: Path) -> None:
    async with open_shop(state) as (unit, port):
        await tell(state, "babble", seconds=0.3)
        await wait_until_async(lambda: port.bad > 3, 5, "bad frames arrive")
        event = (await tell(state, "pour", quick=True))["event"]
        await wait_until_async(lambda: unit.header.held == 0, 10, "the event arrives after it")
        assert arrived([port]) == [event]
    assert faults(state) == [{"fault": "babble", "seconds": 0.3}]
    assert expected_ids(journal_path(state)) == {event}


# -- meters and sensors ------------------------------------------------------------------------------------------------


async def test_meddling_with_the_plant(state: Path) -> None:
    async with shop(state) as simulation:
        unit = simulation.units["bar-1"]
        plant = unit.twin.plant
        assert (await tell(state, "drift", nozzle=1, percent=-10, percent_per_h=5)) == {"pulses_per_ml": 90.0}
        assert plant.meters[1].creep_per_h == 0.05
        await tell(state, "block", nozzle=2)
        assert await refused(state, "pour", nozzle=2) == "nothing was poured at bar-1: nozzle 2 is blocked"
        unit.eeprom.update(locked=True)
        assert await refused(state, "pour", nozzle=1) == "nothing was poured at bar-1: it is locked, or in service"
        unit.eeprom.update(locked=False)
        await tell(state, "block", nozzle=2, on=False)
        assert (await tell(state, "pour", nozzle=2, quick=True))["event"] is not None
        plant.readings(0)
        await tell(state, "stuck", nozzle=3)
        await tell(state, "stuck")
        assert (plant.gauges[3].stuck, plant.cabinet.thermometer.stuck) == (True, True)
        await tell(state, "stuck", nozzle=3, on=False)
        assert not plant.gauges[3].stuck
        await tell(state, "leak", nozzle=1)
        assert plant.nozzles[1].leak_ul_s == 50.0
    assert [line["fault"] for line in faults(state)] == [
        "drift", "block", "block", "stuck", "stuck", "stuck", "leak",
    ]  # fmt: skip


async def test_a_hot_sauce_is_poured_once_it_is_confirmed(tmp_path: Path) -> None:
    async with shop(tmp_path) as simulation, gateways(simulation) as (disk, ports):
        unit = simulation.units["bar-1"]
        await wait_until_async(lambda: unit.online, 10, "online")
        disk.confirm = (1,)
        ports[0].gateway.send(HelloRequest())
        await wait_until_async(lambda: unit.eeprom.contents.confirm == (1,), 10, "it was told")
        with pytest.raises(NotDone, match="asks to press nozzle 1 again"):
            await tell(tmp_path, "pour", nozzle=1, quick=True, confirm=False)
        assert "again" in (await tell(tmp_path, "screen"))["text"]
        assert (await tell(tmp_path, "pour", nozzle=1, confirm=False))["event"]
        assert (await tell(tmp_path, "pour", nozzle=1, quick=True))["event"], "it presses twice by itself"
        await tell(tmp_path, "power", to="off")
        await tell(tmp_path, "power", to="on")
        assert unit.eeprom.contents.confirm == (1,)
