"""What SQLite can't see: events whose bytes the disk gives back changed. They must not hold up those after them."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cloud_sync.outbox import Row
from cloud_sync.topics import DEAD_LETTERS
from cloud_sync.uplink import Uplink
from gateway.clock import Now
from gateway.dating import settle
from gateway.outbox import StoreOutbox
from gateway.store import Settings, Store, open_store
from gateway.transaction import Transaction
from heat.events import Event, Stamp
from heat.quality import Refusal
from tests.cloud_sync.examples import CUSTOMER, DAY, POURED, TIME_MS, pours, refused
from tests.cloud_sync.kafka_reading import markers_written, read, read_events
from tests.cloud_sync.uplinks import PATIENCE_S, running, settings
from tests.flow.world import Kafka
from tests.gateway.web.conftest import inside_of
from tests.waiting import wait_until_async

WHEN = Stamp(time_ms=TIME_MS, boot_ms=0, day=DAY, clock="known")
NOT_TEXT = "CAST(x'ff41' AS TEXT)"
DAMAGE = {
    2: "data = x'7b22ff'",
    3: "data = CAST(replace(CAST(data AS TEXT), 'smoky-chipotle', 'smoky') AS BLOB)",  # a good event all the same
    4: f"source = {NOT_TEXT}",
    5: f"subject = {NOT_TEXT}",
    6: f"type = {NOT_TEXT}",
    7: f"clock = {NOT_TEXT}",
    8: "time_ms = 'yesterday'",
    9: "generation = 1.5",
    10: "type = NULL",
    11: "data = 'text'",
    12: "reason = 'too_large'",
    13: "sequence = -1",
    14: f"reason = {NOT_TEXT}",
    15: "data = 17",
}
"""What happens to the row at a position, from 14 on to refusals."""
STILL_EVENTS = {1, 3, 16}


@contextmanager
def filled(directory: Path) -> Iterator[Store]:
    """A store with 13 events, two refusals, and one more event."""
    with closing(open_store(Settings(directory, f"gw-{secrets.token_hex(6)}", ballast_bytes=0))) as store:
        rows: list[Row] = [*pours(13), refused(14), refused(15), *pours(1, first=16)]
        store.write(lambda tx: append(tx, rows)).result()
        yield store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Such a store, open."""
    with filled(tmp_path) as store:
        yield store


def append(tx: Transaction, rows: list[Row]) -> None:
    for row in rows:
        if row.position in (14, 15):
            tx.append_refusal(row.id, Refusal("unknown_sauce", "no such sauce"), b"\xa0", WHEN)
        else:
            tx.append(Event(row.id, CUSTOMER, WHEN, POURED))


def damage(database: Path) -> None:
    """Change rows behind the store's back."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for position, change in DAMAGE.items():
            connection.execute(f"UPDATE events SET {change} WHERE position = ?", (position,))  # noqa: S608


async def test_damaged_events_become_dead_letters_and_the_rest_goes_up(kafka: Kafka, store: Store) -> None:
    damage(store.path)
    gateway = store.settings.gateway_id
    outbox = StoreOutbox(store)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await wait_until_async(lambda: uplink.status.position == 16, PATIENCE_S, "all rows are in Kafka")
    assert uplink.status.transactions == 1, "nothing had to be tried again"
    await markers_written(kafka.bootstrap)
    events = [event for part in (await read_events(kafka.bootstrap, gateway)).values() for event in part]
    assert sorted(event.id.sequence for event in events) == sorted(STILL_EVENTS)
    letters = [(record.value, dict(record.headers)) for record in await read(kafka.bootstrap, DEAD_LETTERS.name)]
    ours = [(value, headers) for value, headers in letters if headers["picante.origin"] == gateway.encode()]
    assert len(ours) == 16 - len(STILL_EVENTS)
    assert ours[0][0] == b'{"\xff', "its bytes as they are"
    reasons = {headers["picante.event.id"]: headers["picante.reason"] for _, headers in ours}
    assert reasons[b"hot-bar-2:5e3a09c1:2"] == b"damaged"
    assert set(reasons.values()) <= {b"damaged", b"unknown_type", b"too_large", "\ufffdA".encode()}
    assert await outbox.confirmed() == 16


async def test_a_flipped_bit_in_the_file_is_found_on_the_way_up(kafka: Kafka, tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        pass
    flip(store.path, b'"sauce":"smoky')
    with closing(open_store(store.settings)) as again:  # its check finds nothing
        uplink = Uplink(StoreOutbox(again), settings(kafka.bootstrap, store.settings.gateway_id))
        async with running(uplink):
            await wait_until_async(lambda: uplink.status.position == 16, PATIENCE_S, "all rows are in Kafka")
    assert (uplink.status.dead_letters, uplink.status.transactions) == (3, 1), "two refusals, and it"


def flip(path: Path, before: bytes) -> None:
    """Make a brace of the quote before one event's first such member: JSON no more, and as long as ever."""
    content = bytearray(path.read_bytes())
    content[content.index(before)] ^= 1 << 6
    path.write_bytes(content)


def test_what_waits_for_its_day_gets_it_all_the_same(store: Store) -> None:
    damage(store.path)

    def work(tx: Transaction) -> None:
        tx.connection.execute("UPDATE events SET day = -1 WHERE position < 14")
        settle(tx, 1, Now(TIME_MS, 0, known=True))

    store.write(work).result()
    with closing(store.reader()) as reader:
        assert reader.execute("SELECT count(*) FROM events WHERE day < 0").fetchone() == (0,)


async def test_the_page_tells_the_rest(tmp_path: Path) -> None:
    async with inside_of(tmp_path) as inside:
        store = inside.state.store
        await asyncio.wrap_future(store.write(lambda tx: append(tx, [*pours(13), refused(14), refused(15)])))
        await asyncio.to_thread(damage, store.path)
        events = (await inside.json("/api/v1/events"))["events"]
        assert len(events) == 15
        assert {event["position"] for event in events if "data" in event} == {1, 3, 4, 5, 7, 8, 9, 13}
        for path in ("/", "/api/v1/status", "/metrics"):
            assert (await inside.client.get(path)).is_success, path
        assert not inside.serving.done()
