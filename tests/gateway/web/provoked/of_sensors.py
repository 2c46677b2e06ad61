"""Sensors and bottles: a simulated cabinet in which something breaks, is found by its readings, and is mended."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import date
from pathlib import Path

from firmware_bridge.bodies import RefilledBody
from gateway.lots import Bottle, Recall
from hw_sim.plant import Plant
from tests.gateway.web.conftest import Inside
from tests.gateway.web.provoked.cabinet import cabinet_of
from tests.gateway.web.provoked.registry import provokes

HOT_C, ICY_C = 45.0, -20.0


def sensor(  # noqa: PLR0913, PLR0917 -- a fault, and how long it takes to be seen
    code: str,
    wrong: Callable[[Plant], None],
    right: Callable[[Plant], None],
    minutes: int,
    after: int,
    room_c: float = 26.0,
    button: str | None = None,
) -> None:
    """Provoke it by what is wrong for so many minutes, and then right for others."""

    @provokes(code, button)
    async def _found(inside: Inside, directory: Path) -> AsyncIterator[None]:
        async with cabinet_of(inside, directory, room_c) as cabinet:
            await cabinet.go_on(15)
            wrong(cabinet.plant)
            await cabinet.go_on(minutes)
            yield
            cabinet.plant.settle(cabinet.now_ms)
            right(cabinet.plant)
            await cabinet.go_on(after)


def leaks(plant: Plant) -> None:
    plant.nozzles[1].leak_ul_s = 1_500


def holds(plant: Plant) -> None:
    plant.nozzles[1].leak_ul_s = 0


def fills_the_tray(plant: Plant) -> None:
    plant.nozzles[1].leak_ul_s = 2_000


def empties_the_tray(plant: Plant) -> None:
    holds(plant)
    plant.tray_ul = 0


def opens(plant: Plant) -> None:
    plant.cabinet.door_open = True


def shuts(plant: Plant) -> None:
    plant.cabinet.door_open = False


def sticks(plant: Plant) -> None:
    plant.gauges[1].stuck = plant.cabinet.thermometer.stuck = True


def works(plant: Plant) -> None:
    plant.gauges[1].stuck = plant.cabinet.thermometer.stuck = False


sensor("bottle_leaks", leaks, holds, 5, 0, button="mended")
sensor("drip_tray_full", fills_the_tray, empties_the_tray, 6, 4)
sensor("door_open", opens, shuts, 8, 3)
sensor("cabinet_too_warm", opens, shuts, 30, 60, HOT_C)
sensor("cabinet_too_cold", opens, shuts, 30, 60, ICY_C)
sensor("level_sensor_stuck", sticks, works, 20, 6)
sensor("thermometer_stuck", sticks, works, 65, 6)


@provokes("meter_drifts")
async def _drifts(inside: Inside, directory: Path) -> AsyncIterator[None]:
    async with cabinet_of(inside, directory) as cabinet:
        await cabinet.go_on(60, pour_ml=20.0)
        assert not cabinet.samples.findings, "the meter is learned"
        cabinet.plant.meters[1].pulses_per_ml *= 0.8
        await cabinet.go_on(60, pour_ml=20.0)
        yield
        cabinet.samples.set_anew("hot-bar-1", 1)  # as a Calibrate that was done


@provokes("bottle_ending")
async def _ending(inside: Inside, directory: Path) -> AsyncIterator[None]:
    async with cabinet_of(inside, directory) as cabinet:
        await cabinet.go_on(3 * 60 + 10, pour_ml=6.0)  # 120 ml an hour
        yield
        cabinet.plant.refill(1, cabinet.now_ms)
        await cabinet.go_on(10)


@provokes("samples_held")
async def _held(inside: Inside, directory: Path) -> AsyncIterator[None]:
    async with cabinet_of(inside, directory) as cabinet:
        await cabinet.go_on(1)
        with closing(sqlite3.connect(directory / "samples-of-a-cabinet.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            await cabinet.go_on(1)
            yield
        await cabinet.go_on(1)


@provokes("samples_begun_anew", "seen")
async def _anew(inside: Inside, directory: Path) -> AsyncIterator[None]:
    async with cabinet_of(inside, directory) as cabinet:
        (directory / "samples-of-a-cabinet.db").write_bytes(b"no database " * 1_000)
        await cabinet.go_on(2)
        yield


# -- bottles --------------------------------------------------------------------------------------------------------


def nozzle(code: str, wrong: tuple[int, str, int]) -> None:
    """Provoke it by what a dispenser says is on a nozzle."""

    @provokes(code)
    async def _has(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        inside.hello(wrong)
        yield
        hello = inside.hello((1, "table-red", 500))
        await inside.deliver(hello, RefilledBody(nozzle=1, sauce="table-red", volume_ul=750_000))


nozzle("unknown_sauce", (1, "ketchup", 500))
nozzle("bottle_low", (1, "table-red", 40))


async def hang(inside: Inside) -> int:
    """A bottle whose lot is known; now, Unix time, ms."""
    inside.hello()
    now_ms = inside.state.clock.now().wall_ms
    bottle = Bottle("hot-bar-1", 1, "table-red", "L-1", date(2099, 1, 1), 750, "Ada", now_ms)
    await inside.state.lots.hang(bottle)
    return now_ms


@provokes("bottle_recalled")
async def _recalled(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    await inside.state.lots.recall(Recall("L-1", await hang(inside), "Ada", "glass"))
    yield
    await inside.state.lots.lift("L-1")


@provokes("bottle_expired")
async def _expired(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    await hang(inside)
    # a bottle past its date can't be hung, and its date is years away: the calendar is what a test can turn
    before, inside.state.lots._today = inside.state.lots._today, lambda: date(2099, 1, 2)
    yield
    inside.state.lots._today = before
