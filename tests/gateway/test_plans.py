"""Names and planograms: in a database that did not have them, too, and whatever a damaged disk made of them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database, Migrations

from gateway.database import migrations
from gateway.migrations import m0001_main_road, m0002_dispenser_boots, m0003_commands
from gateway.plans import Plan, load_plans
from gateway.store import DATABASE, Settings, Store, open_store
from tests.gateway.adopting import hello

EARLIER = (m0001_main_road, m0002_dispenser_boots, m0003_commands)
ROW = ("bar-1", 7, "1.0.0", "[]", "/dev/ttyUSB0", 5)


def test_a_database_of_an_earlier_version_gets_the_table_and_keeps_its_rows(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as connection:
        earlier = Migrations("gateway")
        for module in EARLIER:
            earlier(name=module.__name__.rpartition(".m")[2])(module.apply)
        earlier.apply(Database(connection))
        connection.execute("INSERT INTO dispensers VALUES (?, ?, ?, ?, ?, ?)", ROW)
    store = open_store(Settings(tmp_path, "gw-1"))
    try:
        with closing(store.reader()) as reader:
            assert reader.execute("SELECT * FROM dispensers").fetchall() == [(*ROW, None)]
            assert reader.execute("SELECT * FROM dispenser_plans").fetchall() == []
            pending = migrations.pending(Database(reader))
            assert pending == []
    finally:
        store.close()


async def test_plans_outlive_the_daemon(store: Store) -> None:
    with closing(store.reader()) as reader:
        plans = load_plans(store, reader)
        await plans.rename("bar-1", "Bar, left")
        await plans.place("bar-1", {2: "mango-fresno"})
        await plans.place("bar-1", {1: "table-red"})
        assert load_plans(store, reader).of("bar-1") == Plan("Bar, left", {1: "table-red", 2: "mango-fresno"})
        await plans.forget("bar-1")
        assert load_plans(store, reader).of("bar-1") == Plan() == plans.of("bar-1")


async def test_a_damaged_row_is_no_plan_and_no_crash(store: Store) -> None:
    rows = [("bar-1", "a", "[[1,"), ("bar-2", "b", '[[1, "table-red"]]')]
    store.write(lambda tx: tx.connection.executemany("INSERT INTO dispenser_plans VALUES (?, ?, ?)", rows)).result(20)
    with closing(store.reader()) as reader:
        plans = load_plans(store, reader)
    assert plans.of("bar-1") == Plan()
    assert plans.of("bar-2").name == "b"


def test_what_differs_is_what_the_dispenser_has_and_tells_otherwise() -> None:
    plan = Plan(None, {1: "table-red", 2: "reaper-raw", 9: "table-red"})
    assert plan.differing(hello("bar-1").nozzles) == {2: "reaper-raw"}


async def test_of_three_who_change_a_plan_at_once_nobody_is_lost(store: Store) -> None:
    with closing(store.reader()) as reader:
        plans = load_plans(store, reader)
        await asyncio.gather(
            plans.place("bar-1", {1: "table-red"}), plans.rename("bar-1", "Bar"), plans.place("bar-1", {2: "miso-piri"})
        )
        assert load_plans(store, reader).of("bar-1") == Plan("Bar", {1: "table-red", 2: "miso-piri"})
