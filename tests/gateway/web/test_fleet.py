"""Two hundred dispensers: found by a word or a state, a page at a time, whoever needs somebody first."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.parts.shop import pages
from gateway import support
from gateway.state import GatewayState
from gateway.web import dispenser_views, fleet, shell
from gateway.web.language import language
from gateway.web.pages import dispensers
from gateway.web.who import CONSOLE
from tests.gateway.web.conftest import Inside

MANY = 200
NOZZLES = json.dumps([[number, sauce, 500] for number, sauce in enumerate(("table-red", "reaper-raw"), 1)])


def insert_dispensers(state: GatewayState, count: int, nozzles: str = NOZZLES) -> None:
    """So many came once, and are away."""
    rows = [(f"unit-{n:03}", n, "1.4.2", nozzles, f"/dev/ttyUSB{n}", 1_000, 2_000) for n in range(1, count + 1)]
    insert = (
        "INSERT INTO dispensers (dispenser, generation, firmware, nozzles, link, seen_ms, lost_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    state.store.write(lambda tx: tx.connection.executemany(insert, rows), upkeep=True).result(10)


async def found(inside: Inside, **asked: Any) -> list[str]:
    """Names on a page."""
    answer = (await inside.client.get("/api/v1/dispensers", params=asked)).raise_for_status().json()
    return [each["name"] for each in answer["dispensers"]]


async def test_each_is_on_one_page(inside: Inside) -> None:
    insert_dispensers(inside.state, MANY)
    pages = [await found(inside, limit=24, page=page) for page in range(1, 10)]
    assert [len(page) for page in pages] == [24] * 8 + [8]
    assert len(set(itertools.chain(*pages))) == MANY
    answer = await inside.json("/api/v1/dispensers?limit=24&page=400")
    assert (answer["page"], answer["pages"], answer["total"]) == (9, 9, MANY), "a page beyond the last is the last"
    assert len(await found(inside)) == MANY, "who asks for no page gets all"


async def test_a_word_is_looked_for_in_ids_names_and_sauces(inside: Inside) -> None:
    insert_dispensers(inside.state, 3)
    await inside.state.plans.rename("unit-002", "Bar, left")
    assert await found(inside, search="BAR left") == ["unit-002"]
    assert await found(inside, search="unit-00") == ["unit-001", "unit-002", "unit-003"]
    assert await found(inside, search="reaper 003") == ["unit-003"]
    assert await found(inside, search="garden") == []


async def test_who_needs_somebody_comes_first(inside: Inside) -> None:
    insert_dispensers(inside.state, 2)
    inside.hello((1, "table-red", 500))
    assert await found(inside, order="urgent") == ["unit-001", "unit-002", "hot-bar-1"]
    assert await found(inside, state="well") == ["hot-bar-1"]
    assert await found(inside, state="away") == ["unit-001", "unit-002"]
    inside.hello((1, "table-red", 30))
    assert await found(inside, state="care") == ["hot-bar-1"], "little is left in a bottle"


async def test_one_of_many_is_read_alone(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_dispensers(inside.state, 3)
    monkeypatch.setattr(dispenser_views, "everybody", None)
    assert (await inside.json("/api/v1/dispensers/unit-002"))["firmware"] == "1.4.2"
    assert (await inside.client.get("/api/v1/dispensers/unit-004")).status_code == 404


GROWING = ("events", "bottle_pours")
"""Tables whose rows are not bounded by what a shop is."""


def scans(plans: Iterable[str]) -> set[str]:
    """Those that read through a whole table that grows, in the order in which it lies."""
    return {plan for plan in plans for table in GROWING if plan == f"SCAN {table}"}


async def test_no_page_reads_through_all_events(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is slow with a million of them is seen in the plans of queries with none."""
    insert_dispensers(inside.state, MANY)
    asked: list[str] = []
    made = inside.state.store.reader

    def traced(make: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        def reader(*of: Path) -> sqlite3.Connection:
            connection = make(*of)
            connection.set_trace_callback(asked.append)
            return connection

        return reader

    monkeypatch.setattr(inside.state.store, "reader", traced(made))
    monkeypatch.setattr(support, "_reader", traced(support._reader))
    inside.state.reader.set_trace_callback(asked.append)
    for path in pages():
        assert (await inside.client.get(path)).status_code in {200, 404}, path
    inside.state.reader.set_trace_callback(None)
    found: dict[str, str] = {}
    with closing(made()) as reader:
        # with a limit, the newest or the oldest are read, and no more
        for query in {each for each in asked if each.lstrip().startswith(("SELECT", "WITH")) and "LIMIT" not in each}:
            plans = (str(row[3]) for row in reader.execute(f"EXPLAIN QUERY PLAN {query}"))
            found |= dict.fromkeys(scans(plans), query)
    assert len(asked) > 50
    assert found == {}


@asynccontextmanager
async def turns_counted() -> AsyncIterator[list[None]]:
    """How often somebody else's question had its turn meanwhile."""
    turns: list[None] = []

    async def others() -> None:
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await asyncio.sleep(0)
    yield turns
    task.cancel()


async def test_customers_questions_come_between(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_dispensers(inside.state, 10 * dispenser_views.AT_ONCE)
    for look in (inside.web.board.look, lambda: fleet.look_for(inside.state, inside.web.watch)):
        async with turns_counted() as turns:
            await look()
        assert len(turns) >= 10, "while everything is looked at"
    monkeypatch.setattr(shell, "SLICE_S", 0.0)
    web, page = inside.web, dispensers.PAGE
    values = await page.context(web, CONSOLE, {})
    first = await shell.part("dispensers/found", web, CONSOLE, language("en"), page, values)
    async with turns_counted() as turns:
        assert await shell.part("dispensers/found", web, CONSOLE, language("en"), page, values) == first
    assert len(turns) >= len(values["found"].dispensers), "while a page is drawn"
