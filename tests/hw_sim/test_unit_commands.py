"""Commands at a whole simulated dispenser, in real time: valves that shut by themselves, customers, reboots, cuts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from firmware_bridge.bodies import StatedBody
from firmware_bridge.codec import body_map
from firmware_bridge.messages import Command, Result
from firmware_bridge.verbs import AnyArguments, Prime, Reboot, SetKey, Tare, TestPour
from hw_sim.dispenser import SESSION_MS
from hw_sim.faults import FaultRates, Faults
from hw_sim.ports import PortSettings, SerialLine
from hw_sim.unit import Unit
from tests.hw_sim.desk import make_unit
from tests.hw_sim.test_commands import NEW_KEY, SET_KEY
from tests.waiting import wait_until_async


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[Unit]:
    """A dispenser whose cable is out: what it reports waits for a link."""
    faults = Faults(FaultRates(), "0")
    made = make_unit(tmp_path, lambda firmware: SerialLine(firmware, PortSettings(tmp_path / "port", 0), faults))
    yield made
    await made.aclose()


def tell(unit: Unit, arguments: AnyArguments, number: int = 1) -> Result:
    """What it says at once."""
    command = Command(
        id=bytes([number]) * 16,
        verb=arguments.verb,
        boot=unit.header.boot,
        expires_uptime_ms=unit.firmware.now_ms() + 60_000,
        arguments=body_map(arguments),
    )
    result = unit.carry_out(command, unit.firmware.now_ms())
    assert result is not None
    return result


def ended(unit: Unit) -> bool:
    return all(record.done for record in unit.eeprom.contents.commands)


async def test_a_valve_shuts_by_itself(unit: Unit) -> None:
    before_ul = unit.twin.tanks[1].level_ul
    assert tell(unit, TestPour(nozzle=1, volume_ul=400)).outcome == "running"
    assert tell(unit, TestPour(nozzle=1, volume_ul=400)).outcome == "running", "the same once more"
    assert unit.pour(2, 1_000) is None, "nobody is served meanwhile"
    await wait_until_async(lambda: ended(unit), 10, "it has poured")
    assert tell(unit, TestPour(nozzle=1, volume_ul=400)).outcome == "done"
    assert before_ul - unit.twin.tanks[1].level_ul == pytest.approx(400)
    assert unit.pour(2, 1_000) is not None


async def test_whoever_stands_there_is_not_disturbed(unit: Unit) -> None:
    async with unit.in_use:
        assert tell(unit, Prime(nozzle=1, duration_ms=100)).detail == "a customer stands there"
    unit.twin.open_valve(1, 3_000, 0)
    assert tell(unit, Reboot(), 2).detail == "a customer stands there"
    unit.twin.close_valve(10)
    assert tell(unit, Reboot(), 3).outcome == "running"


async def test_a_session_is_over_a_minute_after_its_last_touch_or_when_the_screen_goes_idle(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_ms = 0
    now_ms = unit.firmware.now_ms
    monkeypatch.setattr(unit.firmware, "now_ms", lambda: now_ms() + passed_ms)
    touches: list[Callable[[], object]] = [
        unit.begin_session,
        lambda: unit.state_preference(StatedBody(dial=40)),
        lambda: unit.pour(2, 1_000),
        lambda: unit.press("just_right"),
    ]
    for number, touch in enumerate(touches):
        touch()
        passed_ms += SESSION_MS - 5_000
        assert tell(unit, Prime(nozzle=1, duration_ms=100), 10 + number).detail == "a customer stands there"
    passed_ms += SESSION_MS
    assert tell(unit, Tare(nozzle=1), 20).outcome == "done"
    unit.refill(1)
    assert tell(unit, Tare(nozzle=1), 21).outcome == "done", "the staff is no customer"
    unit.begin_session()
    assert tell(unit, Tare(nozzle=1), 22).detail == "a customer stands there"
    unit.twin.leave()
    assert (tell(unit, Tare(nozzle=1), 23).outcome, unit.twin.session) == ("done", 0)


async def test_it_reboots_once_though_the_power_fails_meanwhile(unit: Unit) -> None:
    boot = unit.header.boot
    assert tell(unit, Reboot()).outcome == "running"
    unit.power_off()
    unit.power_on()
    assert ended(unit)
    assert tell(unit, Reboot(), 2).outcome == "running"  # its timer comes after the one of the first
    await wait_until_async(lambda: unit.header.boot >= boot + 2, 10, "it has started anew")
    assert ended(unit)
    assert unit.header.boot == boot + 2


async def test_the_power_fails_while_a_valve_is_open_and_again_in_the_log(unit: Unit) -> None:
    tell(unit, Prime(nozzle=1, duration_ms=20_000))
    unit.power_off()
    assert unit.twin.in_service
    unit.power_on()
    assert tell(unit, Prime(nozzle=1, duration_ms=20_000)).outcome == "interrupted"
    tell(unit, Prime(nozzle=2, duration_ms=1), 2)
    unit.eeprom.cut_next_write(40)
    await wait_until_async(lambda: not unit.powered, 10, "the result's write is cut")
    unit.power_on()
    assert tell(unit, Prime(nozzle=2, duration_ms=1), 2).outcome == "interrupted"


async def test_a_new_key_is_used_from_the_next_hello_on(unit: Unit) -> None:
    assert tell(unit, SET_KEY).outcome == "done"
    assert unit.firmware.mcu.key == unit.eeprom.contents.key == NEW_KEY
    unit.power_off()
    unit.power_on()
    assert unit.firmware.mcu.key == NEW_KEY
    wrong = SetKey(masked=bytes(32), key_id=SET_KEY.key_id)
    assert tell(unit, wrong, 2).outcome == "refused"
    assert unit.eeprom.contents.key == NEW_KEY
