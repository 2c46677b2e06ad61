"""Calibrations over HTTP: which pours count, which calibration is taken back, and what of both outlives what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.codec import body_map
from firmware_bridge.verbs import AnyArguments, Calibrate, Identify, Prime, TestPour
from gateway import orders
from gateway.orders import FORGOTTEN, KEPT_CALIBRATIONS, KEPT_ROWS, LOG_SIZE, UNDO, Order
from gateway.transaction import Transaction
from tests.gateway.web.conftest import Inside, inside_of

NAME = "hot-bar-1"
URL = f"/api/v1/dispensers/{NAME}"


@pytest.fixture
async def bar(tmp_path: Path) -> AsyncIterator[Bar]:
    async with inside_of(tmp_path) as inside:
        inside.hello((1, "table-red", 500), (2, "chipotle-honey", 500))
        yield Bar(inside)


class Bar:
    """A dispenser whose answers are written straight into the database."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.given = 0

    async def knows(self, arguments: AnyArguments, found: object = None, /, **changes: Any) -> str:
        """An order as it ended; its id."""
        self.given += 1
        body = msgspec.msgpack.encode(body_map(arguments))
        order = Order(f"{self.given:032x}", NAME, arguments.verb, body, "test", 0, 60_000, None, 1, 60_000)
        text = None if found is None else msgspec.json.encode(found).decode()
        ended = {"state": "done", "measured": text, "ended_ms": 1, "ended_boot": 1, "ended_boot_ms": 1}
        await self._write(partial(orders.insert, order=replace(order, **(ended | changes))))
        return order.id

    async def poured(self, nozzle: int = 1, **changes: Any) -> str:
        """A test pour of 20 ml that is done."""
        flowed = {"pulses": 2_000, "volume_ul": 20_000, "duration_ms": 1_000}
        return await self.knows(TestPour(nozzle=nozzle, volume_ul=20_000), flowed, **changes)

    async def calibrated(self, before: int, now: int, nozzle: int = 1, **changes: Any) -> str:
        """A calibration that is done."""
        arguments = Calibrate(nozzle=nozzle, pulses_per_litre=now)
        return await self.knows(arguments, {"before": before, "now": now}, **changes)

    async def ended(self, command: str, state: str = "done") -> Order:
        """An order that the API gave ends: a calibration, from any factor to the one it names."""
        with self.inside.state.store.reader() as reader:
            order = orders.find(reader, command)
        assert order is not None
        text = '{"before":1,"now":1}' if state == "done" else None
        now = self.inside.state.clock.now()
        changed: Any = replace(order, state=state, measured=text, ended_ms=now.wall_ms)  # type: ignore[arg-type]
        await self._write(partial(orders.update, order=changed, now=now))
        return order

    async def calibrate(self, *pours: str, ml: float = 20.4, nozzle: int = 1) -> tuple[int, dict[str, Any]]:
        """Ask for a factor from these pours."""
        told = [{"command": pour, "volume_ml": ml} for pour in pours]
        return await self._post("/calibrations", {"nozzle": nozzle, "pours": told})

    async def undo(self, nozzle: int = 1) -> tuple[int, dict[str, Any]]:
        """Ask for the factor before."""
        return await self._post("/calibrations/undo", {"nozzle": nozzle})

    async def _post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        answer = await self.inside.client.post(URL + path, json=body)
        content: dict[str, Any] = answer.json()
        return answer.status_code, content

    async def _write(self, work: Any) -> None:
        await asyncio.wrap_future(self.inside.state.store.write(work, upkeep=True))


async def test_three_pours_give_a_factor(bar: Bar) -> None:
    status, found = await bar.calibrate(*[await bar.poured() for _ in range(3)])
    assert (status, found["pulses_per_ml"], found["spread"]) == (202, 98.039, 0)
    assert found["command"]["arguments"] == {"nozzle": 1, "pulses_per_litre": 98_039}
    assert found["command"]["state"] == "queued"


async def test_one_pour_counts_once(bar: Bar) -> None:
    one, two = await bar.poured(), await bar.poured()
    status, problem = await bar.calibrate(one, two, one)
    assert (status, problem["type"]) == (409, "urn:picante:problem:same-pour")


async def test_only_test_pours_of_this_nozzle_that_are_done_count(bar: Bar) -> None:
    good = [await bar.poured() for _ in range(2)]
    flowed = {"pulses": 2_000, "volume_ul": 20_000, "duration_ms": 1_000}
    for bad in (
        await bar.poured(nozzle=2),
        await bar.poured(state="failed", detail="the bottle ran empty"),
        await bar.poured(measured=None),
        await bar.knows(Prime(nozzle=1, duration_ms=1_000), flowed),
    ):
        status, problem = await bar.calibrate(*good, bad)
        assert (status, problem["type"]) == (409, "urn:picante:problem:no-test-pour"), bad
    assert (await bar.calibrate(*good, "ff" * 16))[0] == 404


async def test_a_reading_that_can_t_be_is_refused(bar: Bar) -> None:
    pours = [await bar.poured() for _ in range(3)]
    status, problem = await bar.calibrate(*pours, ml=100)
    assert (status, problem["detail"][:23]) == (400, "pour 1 can't be 100 ml:")
    for ml in (1e-7, 1_000):
        assert (await bar.calibrate(*pours, ml=ml))[0] == 422


async def test_each_undo_takes_one_calibration_back_and_none_takes_an_undo_back(bar: Bar) -> None:
    await bar.calibrated(100_000, 97_000)
    await bar.calibrated(50_000, 60_000, nozzle=2)
    await bar.calibrated(97_000, 95_000)
    await bar.calibrated(95_000, 90_000, state="interrupted")
    for factor in (97.0, 100.0):
        status, found = await bar.undo()
        assert (status, found["pulses_per_ml"], found["spread"]) == (202, factor, None)
        assert found["command"]["asked_by"] == UNDO
        await bar.ended(found["command"]["id"])
    status, problem = await bar.undo()
    assert (status, problem["type"]) == (404, "urn:picante:problem:no-calibration")
    await bar.calibrated(100_000, 98_000)
    assert (await bar.undo())[1]["pulses_per_ml"] == 100.0, "a new one can be taken back"
    assert (await bar.undo(nozzle=2))[1]["pulses_per_ml"] == 50.0


async def test_an_undo_that_was_refused_took_nothing_back(bar: Bar) -> None:
    await bar.calibrated(100_000, 97_000)
    _, found = await bar.undo()
    await bar.ended(found["command"]["id"], "refused")
    assert (await bar.undo())[1]["pulses_per_ml"] == 100.0


@pytest.mark.parametrize(("state", "ended_ms"), [("running", None), ("unknown", None), ("unknown", 1)])
async def test_while_the_last_one_is_not_known_nothing_is_taken_back(
    bar: Bar, state: str, ended_ms: int | None
) -> None:
    await bar.calibrated(100_000, 97_000)
    await bar.calibrated(97_000, 95_000, state=state, measured=None, ended_ms=ended_ms)
    status, problem = await bar.undo()
    assert (status, problem["type"]) == (409, "urn:picante:problem:calibration-open")
    assert (await bar.undo(nozzle=2))[0] == 404, "another nozzle's is not waited for"


async def test_what_was_measured_ends_with_the_dispenser(bar: Bar) -> None:
    """Who comes by this name after `forget` may be another dispenser, or one that was reset."""
    await bar.calibrated(100_000, 97_000)
    lost = await bar.calibrated(97_000, 95_000, state="unknown", measured=None)
    pours = [await bar.poured() for _ in range(3)]
    assert (await bar.inside.client.delete(URL)).status_code < 300
    for order in [lost, *pours]:
        with bar.inside.state.store.reader() as reader:
            kept = orders.find(reader, order)
        assert kept is not None
        assert (kept.measured, kept.detail) == (None, FORGOTTEN)
    with bar.inside.state.store.reader() as reader:
        assert not orders.calibrations(reader, NAME)


async def test_a_fleet_s_chatter_does_not_take_the_last_calibrations_along(bar: Bar) -> None:
    first = [await bar.calibrated(100_000 + n, 100_001 + n) for n in range(KEPT_CALIBRATIONS + 1)]
    other = await bar.calibrated(50_000, 60_000, nozzle=2)

    def chatter(tx: Transaction) -> None:
        order = orders.find(tx.connection, other)
        assert order is not None
        for number in range(KEPT_ROWS):
            orders.insert(tx, replace(order, id=f"{number:028x}cafe", dispenser="hot-bar-2", verb="prime"))
        orders.update(tx, order, bar.inside.state.clock.now())

    await bar._write(chatter)
    with bar.inside.state.store.reader() as reader:
        left = [order.id for order in orders.calibrations(reader, NAME)]
    assert left == [other, *reversed(first[1:])]
    assert (await bar.undo(nozzle=2))[1]["pulses_per_ml"] == 50.0


async def test_a_command_that_waits_for_the_pace_says_for_how_long(bar: Bar) -> None:
    now, state = bar.inside.state.clock.now(), bar.inside.state
    for _ in range(LOG_SIZE - 1):
        ended = {"ended_boot": state.commands._boot, "ended_boot_ms": now.boot_ms}
        await bar.knows(Identify(seconds=1), device_boot=1, **ended)
    answer = await bar.inside.client.post(f"{URL}/commands", json={"verb": "identify"})
    assert answer.json()["detail"] == "waits its turn, about 70 s: 15 commands in 65 s are the most"
