"""What dispensers lost: told after a restart as before it, and of a database that did not sum it up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from sqlite_utils import Database, Migrations

from gateway.assembly import assemble
from gateway.config import load_config
from gateway.migrations import m0001_main_road, m0002_dispenser_boots, m0003_commands, m0004_dispenser_plans
from gateway.state import GatewayState
from gateway.store import DATABASE, Settings, open_store
from gateway.web.metrics import Figures
from gateway.web.reads import Loss, losses
from gateway.web.repairs.board import Board
from gateway.web.status import snapshot
from gateway.web.watch import Watch
from tests.gateway.adopting import hello
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until_async

EARLIER = (m0001_main_road, m0002_dispenser_boots, m0003_commands, m0004_dispenser_plans)


async def told(state: GatewayState) -> tuple[list[str], list[str]]:
    """What the page says of it, and the metrics."""
    watch, registry = Watch(state), CollectorRegistry()
    board = Board(state, watch)
    await board.look()
    repairs = [repair.what for repair in snapshot(state, watch, board).repairs if repair.code == "events_lost"]
    registry.register(Figures(state, watch))
    lines = generate_latest(registry).decode().splitlines()
    return repairs, [line for line in lines if line.startswith("picante_lost_events_total")]


@asynccontextmanager
async def gateway_at(directory: Path) -> AsyncIterator[GatewayState]:
    async with assemble(load_config(write_config(directory, free_port()))) as state:
        yield state


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as state:
        state.ingest.note_hello(hello("hot-bar-1"), "/dev/ttyUSB0", (1, 1_234), lambda: None)
        await wait_until_async(lambda: losses(state.reader) != [], 10, "the gap is stored")
        before = await told(state)
    async with gateway_at(tmp_path) as state:
        assert await told(state) == before
    assert before == (
        ["hot-bar-1 lost 1,234 events: its memory was full before they got here"],
        ['picante_lost_events_total{dispenser="hot-bar-1"} 1234.0'],
    )


async def test_one_that_is_forgotten_is_told_of_no_more(tmp_path: Path) -> None:
    async with gateway_at(tmp_path) as state:
        state.ingest.note_hello(hello("hot-bar-1"), "/dev/ttyUSB0", (1, 5), lambda: None)
        await wait_until_async(lambda: losses(state.reader) != [], 10, "the gap is stored")
        await state.plans.forget("hot-bar-1")
        assert await told(state) == ([], [])


def test_gaps_of_an_earlier_version_are_summed_up_and_damaged_ones_left_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as connection:
        earlier = Migrations("gateway")
        for module in EARLIER:
            earlier(name=module.__name__.rpartition(".m")[2])(module.apply)
        earlier.apply(Database(connection))
        gaps = [
            json.dumps({"store": "s", "dispenser": name, "generation": 1, "first": first, "last": last}).encode()
            for name, first, last in (("bar-1", 1, 10), ("bar-2", 7, 7), ("bar-1", 20, 21))
        ]
        for number, data in enumerate([*gaps, gaps[0][:-9], b"\xff\xfe", b'{"dispenser": 7}']):
            connection.execute(
                "INSERT INTO events (source, generation, sequence, type, time_ms, boot_ms, day, clock, data)"
                " VALUES ('gw-1', 1, ?, 'picante.gap.v1', ?, 0, 20000, 'exact', ?)",
                (number + 1, 1_000 * number, data),
            )
    store = open_store(Settings(tmp_path, "gw-1"))
    try:
        with closing(store.reader()) as reader:
            assert losses(reader) == [Loss("bar-1", 12, 2_000), Loss("bar-2", 1, 1_000)]
    finally:
        store.close()
