"""For how many hours there is room, of rows in a real store."""

from __future__ import annotations

import pytest

from gateway.autonomy import HOUR_MS, ROW_BYTES, autonomy
from gateway.store import Store
from gateway.transaction import Transaction
from tests.gateway.conftest import NOON_MS

MIB = 1024 * 1024
QUOTA = 512 * MIB


def fill(store: Store, times_ms: list[int], confirmed: int = 0) -> None:
    """Rows of these times."""

    def work(tx: Transaction) -> None:
        tx.connection.executemany(
            "INSERT INTO events (source, generation, sequence, type, time_ms, boot_ms, day, clock, data)"
            " VALUES ('bar', 1, 1, 'x', ?, 0, 1, 'known', zeroblob(200))",
            [(time_ms,) for time_ms in times_ms],
        )
        tx.connection.execute("UPDATE meta SET value = ? WHERE key = 'confirmed'", (str(confirmed),))

    store.write(work).result(10)


def test_nothing_comes(store: Store) -> None:
    room = autonomy(store.reader(), NOON_MS, QUOTA, QUOTA)
    assert (room.rows_an_hour, room.hours) == (None, None)
    assert room.used_bytes > 0


def test_what_came_in_a_day_foretells_the_hours(store: Store) -> None:
    # 10 an hour two days ago, and 100 an hour since yesterday
    old = [NOON_MS - 48 * HOUR_MS + i * HOUR_MS // 10 for i in range(240)]
    fill(store, old + [NOON_MS - 24 * HOUR_MS + i * HOUR_MS // 100 for i in range(2400)])
    room = autonomy(store.reader(), NOON_MS, QUOTA, 10**12)
    assert room.rows_an_hour == pytest.approx(100, rel=0.01)
    row = room.used_bytes / 2640
    assert room.hours == pytest.approx((QUOTA - room.used_bytes) / row / 100, rel=0.01)


def test_a_young_store_counts_from_its_first_row(store: Store) -> None:
    fill(store, [NOON_MS - HOUR_MS // 2 + i * 18_000 for i in range(100)])
    room = autonomy(store.reader(), NOON_MS, QUOTA, 10**12)
    assert room.rows_an_hour == pytest.approx(200)
    assert room.hours == pytest.approx((QUOTA - room.used_bytes) / ROW_BYTES / 200, rel=0.01)


def test_the_disk_may_end_before_the_quota(store: Store) -> None:
    fill(store, [NOON_MS - HOUR_MS + i * 36_000 for i in range(100)])
    room = autonomy(store.reader(), NOON_MS, QUOTA, MIB)
    assert room.hours is not None
    assert room.hours == pytest.approx(MIB / ROW_BYTES / 100, rel=0.1)


def test_what_kafka_has_makes_way(store: Store) -> None:
    fill(store, [NOON_MS - HOUR_MS + i * 3_600 for i in range(1000)])
    before = autonomy(store.reader(), NOON_MS, 2 * MIB, QUOTA)
    fill(store, [], confirmed=1000)
    after = autonomy(store.reader(), NOON_MS, 2 * MIB, QUOTA)
    assert before.hours is not None
    assert after.hours is not None
    assert after.hours == pytest.approx(before.hours + 1, rel=0.01)


def test_a_quiet_day_uses_nothing(store: Store) -> None:
    fill(store, [NOON_MS - 72 * HOUR_MS])
    room = autonomy(store.reader(), NOON_MS, QUOTA, QUOTA)
    assert (room.rows_an_hour, room.hours) == (0, None)
