"""A dispenser on a PTY: at its baud rate, with a port that nobody opens, that nobody reads, that comes and goes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hw_sim.faults import FaultRates, Faults
from hw_sim.ports import BITS_A_BYTE, PortSettings, SerialLine
from hw_sim.unit import Unit
from tests.firmware_bridge.pair import Disk
from tests.hw_sim.desk import gateway_at, make_unit
from tests.waiting import wait_until_async

MakeUnit = Callable[..., Unit]


@pytest.fixture
def port(tmp_path: Path) -> Path:
    return tmp_path / "ports/usb-picante-bar-1"


@pytest.fixture
async def plugged(tmp_path: Path, port: Path) -> AsyncIterator[MakeUnit]:
    """Makes dispensers that are plugged in, and pulls them out at the end."""
    units: list[Unit] = []

    def make(baud: int = 0, rates: FaultRates | None = None, capacity: int = 1024) -> Unit:
        faults = Faults(rates or FaultRates(), "seed")
        unit = make_unit(tmp_path, lambda firmware: SerialLine(firmware, PortSettings(port, baud), faults), capacity)
        unit.line.plug()
        units.append(unit)
        return unit

    yield make
    for unit in units:
        await unit.aclose()


def device(port: Path) -> str:
    """Where the port's name leads to; empty if it is gone."""
    return str(port.readlink()) if port.is_symlink() else ""


def pour(unit: Unit, count: int) -> None:
    for number in range(count):
        unit.pour(1, 100 + number)


async def drained(unit: Unit, deadline_s: float = 60) -> None:
    await wait_until_async(lambda: unit.header.held == 0, deadline_s, "the ring is empty")


async def test_events_arrive_and_free_the_ring(plugged: MakeUnit, port: Path) -> None:
    unit = plugged()
    unit.begin_session()
    pour(unit, 300)
    async with gateway_at(port) as gateway:
        await drained(unit)
        assert [event.sequence for event in gateway.gateway.arrived] == list(range(1, 301))
        assert unit.online
        assert unit.header.acked == 300


async def test_an_ask_is_answered_on_the_screen(plugged: MakeUnit, port: Path) -> None:
    unit = plugged(baud=115_200)
    async with gateway_at(port) as gateway:
        unit.begin_session()
        picks = await unit.ask(token="loyal-1")
        assert picks is not None
        assert gateway.gateway.asks[0].token == "loyal-1"
        assert "mango-fresno" in unit.twin.render_screen()
        unit.pour(2, 1000)
        unit.pour(2, 1000)  # a second helping of the same picks
        assert (unit.answers.asked, unit.answers.shown, unit.answers.accepted) == (1, 1, 1)


async def test_the_line_is_no_faster_than_its_baud_rate(plugged: MakeUnit, port: Path) -> None:
    unit = plugged(baud=57_600)
    async with gateway_at(port) as gateway:
        await wait_until_async(lambda: unit.online, 5, "the link is open")
        pour(unit, 60)
        await drained(unit)
        took_s = gateway.last_s - gateway.first_s
        assert took_s >= gateway.received_bytes * BITS_A_BYTE / 57_600 * 0.9


async def test_an_ask_overtakes_what_a_slow_line_holds(plugged: MakeUnit, port: Path) -> None:
    unit = plugged(baud=9_600)
    async with gateway_at(port):
        await wait_until_async(lambda: unit.online, 5, "the link is open")
        pour(unit, 500)
        assert await unit.ask() is not None
        assert unit.header.held > 400


async def test_a_port_that_nobody_opens_costs_nothing(plugged: MakeUnit) -> None:
    unit = plugged()
    pour(unit, 200)
    begun_s = time.process_time()
    assert await unit.ask() is None
    assert time.process_time() - begun_s < 0.5
    assert unit.header.held == 200


async def test_a_port_that_nobody_reads_fills_up_and_goes_on(plugged: MakeUnit, port: Path) -> None:
    unit = plugged()
    line = unit.line
    assert isinstance(line, SerialLine)
    async with gateway_at(port) as gateway:
        await wait_until_async(lambda: unit.online, 5, "the link is open")
        gateway.stop_reading()
        pour(unit, 1000)

        def full() -> bool:
            # a cable that is moved about: resends alone would take minutes to fill the kernel's buffer
            unit.firmware.mcu.link_up(unit.firmware.now_ms())
            line.wake()
            return line._unwritten != b""

        await wait_until_async(full, 60, "the kernel takes no more")
        begun_s = time.process_time()
        assert await unit.ask() is None
        assert time.process_time() - begun_s < 0.5
        gateway.read_on()
        await drained(unit)
        assert [event.sequence for event in gateway.gateway.arrived] == list(range(1, 1001))


async def test_a_pulled_cable_loses_nothing(plugged: MakeUnit, port: Path) -> None:
    unit, disk = plugged(baud=115_200), Disk()
    pour(unit, 300)
    async with gateway_at(port, disk) as gateway:
        await wait_until_async(lambda: len(gateway.gateway.arrived) > 20, 5, "some events came")
        unit.line.unplug()
        assert device(port) == ""
        assert not unit.online
        await wait_until_async(lambda: gateway.lost, 5, "the gateway notices")
    assert unit.header.held > 0
    unit.line.plug()
    async with gateway_at(port, disk) as gateway:
        await drained(unit)
        assert unit.header.boot == 1
    assert sorted(sequence for _, sequence in disk.stored) == list(range(1, 301))


async def test_the_name_stays_while_the_device_changes(plugged: MakeUnit, port: Path) -> None:
    unit = plugged()
    first = device(port)
    assert first.startswith("/dev/pts/")
    async with gateway_at(port):  # holds the first device, so the second is another
        unit.line.unplug()
        unit.line.plug()
        assert device(port) not in ("", first)
        async with gateway_at(port):
            await wait_until_async(lambda: unit.online, 5, "the link is open")


async def test_plugging_twice_is_plugging_once(plugged: MakeUnit, port: Path) -> None:
    unit = plugged()
    first = device(port)
    unit.line.plug()
    assert device(port) == first
    unit.line.unplug()
    unit.line.unplug()
    assert not unit.line.plugged


async def test_a_gateway_that_closes_and_opens_the_port_goes_on(plugged: MakeUnit, port: Path) -> None:
    unit, disk = plugged(), Disk()
    for count in (50, 100, 150):
        async with gateway_at(port, disk):
            pour(unit, 50)
            await drained(unit)
        assert len(disk.stored) == count


async def test_noise_from_the_gateway_is_counted_and_skipped(plugged: MakeUnit, port: Path) -> None:
    unit = plugged()
    async with gateway_at(port) as gateway:
        await wait_until_async(lambda: unit.online, 5, "the link is open")
        gateway.write(b"\x00login: \x00\x03ab\x00")
        await wait_until_async(lambda: unit.line.bad_frames == 2, 5, "the noise came")
        pour(unit, 5)
        await drained(unit)


async def test_a_line_that_damages_frames_delivers_each_event_once(plugged: MakeUnit, port: Path) -> None:
    unit = plugged(rates=FaultRates(drop=0.01, duplicate=0.05, corrupt=0.01))
    async with gateway_at(port) as gateway:
        pour(unit, 500)
        await drained(unit, 60)
        assert [event.sequence for event in gateway.gateway.arrived] == list(range(1, 501))
        line = unit.line
        assert isinstance(line, SerialLine)
        faults = line._faults
        assert min(faults.dropped, faults.duplicated, faults.corrupted) > 0
        assert gateway.bad > 0
