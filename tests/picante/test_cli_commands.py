"""Commands and calibrations as they are typed: names, refusals in words, pours that fail. The test answers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway import orders
from gateway.orders import Order
from tests.gateway.web.conftest import Inside, inside_of
from tests.picante.test_cli_dispensers import say
from tests.waiting import wait_until_async

POURED = '{"pulses":2000,"volume_ul":20000,"duration_ms":1000}'


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside_of(tmp_path) as opened:
        opened.hello((1, "table-red", 412), (2, "chipotle-honey", 20))
        await wait_until_async(lambda: _is_listed(opened), 10, "the list has it")
        yield opened


async def _is_listed(inside: Inside) -> bool:
    return bool((await inside.json("/api/v1/dispensers"))["dispensers"])


async def answers(inside: Inside, *ends: tuple[str, str | None]) -> list[Order]:
    """Let the next orders end so, one after the other: (state, what was measured)."""
    return [await _answer(inside, state, measured) for state, measured in ends]


async def _answer(inside: Inside, state: Any, measured: str | None) -> Order:
    def waits() -> list[Order]:
        with inside.state.store.reader() as reader:
            return orders.waiting(reader)

    [order] = await wait_until_async(waits, 10, "an order waits")
    now = inside.state.clock.now()
    ended = replace(order, state=state, measured=measured, detail="", ended_ms=now.wall_ms)
    await asyncio.wrap_future(inside.state.store.write(partial(orders.update, order=ended, now=now), upkeep=True))
    return ended


async def test_a_dispenser_is_called_by_its_name_too(inside: Inside, tmp_path: Path) -> None:
    await say(tmp_path, "rename", "hot-bar-1", "Bar, left")
    for typed in ("hot-bar-1", "Bar, left", "bar, LEFT"):
        said, _ = await asyncio.gather(say(tmp_path, "send", typed, "identify"), answers(inside, ("done", None)))
        assert said == (0, "identify seconds=10: done\n")
    assert "identify" in (await say(tmp_path, "commands", "Bar, left"))[1]
    assert "there is no dispenser ''" in (await say(tmp_path, "commands", ""))[1]
    for words in (("send", "Bar, right", "identify"), ("commands", "Bar, right"), ("calibrate", "Bar, right", "1")):
        status, text = await say(tmp_path, *words)
        assert (status, "there is no dispenser 'Bar, right'. Did you mean Bar, left?" in text) == (1, True), text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("test_pour",), "test_pour: nozzle is missing. test_pour takes nozzle=N [volume_ml=20]"),
        (("test_pour", "nozzle=1", "ml=20"), "test_pour: it takes no ml. test_pour takes nozzle=N"),
        (("prime", "nozzle=1", "seconds=90"), "prime: seconds=90 should be less than or equal to 30. prime takes"),
        (("set_planogram", "1=table-rad"), "set_planogram: table-rad is not in the catalogue. Did you mean table-red?"),
        (("show_picks", "sauces=table-red,reaper-raw"), "show_picks: reaper-raw is on none of its nozzles"),
    ],
)
async def test_what_is_wrong_is_said_in_the_words_that_were_typed(
    inside: Inside, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    status, said = await say(tmp_path, "send", "hot-bar-1", *words)
    assert (status, told in said) == (1, True), said
    assert "body" not in said
    assert "openapi" not in said
    assert inside.state.commands.open == {}


async def test_a_bottle_that_is_not_empty_is_tared_by_whoever_says_so(inside: Inside, tmp_path: Path) -> None:
    tare = ("send", "hot-bar-1", "tare", "--no-wait")
    status, said = await say(tmp_path, *tare, "nozzle=1", typed="n\n")
    assert (status, "about 412 ml are in the bottle of nozzle 1. Take that for empty? [y/N]" in said) == (1, True)
    assert (await say(tmp_path, *tare, "nozzle=1", typed=""))[0] == 1, "a script is not asked, and does nothing"
    assert inside.state.commands.open == {}
    assert (await say(tmp_path, *tare, "nozzle=1", typed="y\n"))[0] == 0
    assert (await say(tmp_path, *tare, "nozzle=1", "sure=true"))[0] == 0
    assert (await say(tmp_path, *tare, "nozzle=2"))[0] == 0, "20 ml are taken for empty"
    assert sum(inside.state.commands.open.values()) == 3


async def test_a_pour_that_failed_is_poured_again_and_the_others_count(inside: Inside, tmp_path: Path) -> None:
    done, calibrated = ("done", POURED), ("done", '{"before":100000,"now":98039}')
    typed = "\n20.4\n\ny\n\n20.4\n\n20.4\n"
    (status, said), _ = await asyncio.gather(
        say(tmp_path, "calibrate", "hot-bar-1", "1", typed=typed),
        answers(inside, done, ("failed", None), done, done, calibrated),
    )
    assert (status, "98.04 pulses per ml" in said) == (0, True), said
    assert said.count("2 of 3: put") == 2
    assert said.count("1 of 3: put") == 1


async def test_no_cylinder_is_placed_in_vain(inside: Inside, tmp_path: Path) -> None:
    status, said = await say(tmp_path, "calibrate", "hot-bar-1", "9")
    assert (status, "has no nozzle 9. It has 1 (table-red), 2 (chipotle-honey)" in said) == (1, True), said
    inside.state.dispensers.known["hot-bar-1"].link = None
    status, said = await say(tmp_path, "calibrate", "hot-bar-1", "1")
    assert (status, "hot-bar-1 is away" in said, "cylinder" in said) == (1, True, False), said
