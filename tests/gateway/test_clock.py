"""Time: stamps, waiting for the day, settling, giving up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from firmware_bridge.messages import PouredBody
from gateway import housekeeping, sessions
from gateway.clock import Clock, Now, settle
from gateway.outbox import StoreOutbox
from gateway.store import Store
from gateway.transaction import Transaction, read_profile
from heat.events import Event, SessionClaimed, Stamp
from heat.identity import session_subject
from tests.gateway.conftest import DAY, NOON_MS, Counter, HandClock

Query = Callable[[str], list[tuple[Any, ...]]]

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
SESSION = session_subject("hot-bar-1", 7, 1)
CUSTOMER = "p1-" + "a" * 32


def days_of(store: Store, subject: str) -> dict[int, int]:
    profile = store.write(lambda tx: read_profile(tx.connection, subject)).result(5)
    return {key.day: sums.n for key, sums in profile.buckets.items()}


def known(clock: Clock, hand_clock: HandClock) -> Now:
    """The network sets the clock: from now on it is NOON."""
    hand_clock.wall_ms = NOON_MS
    now = clock.now()
    assert now.known
    return now


async def test_without_time_events_count_and_wait(
    counter: Counter, store: Store, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000  # 1970
    counter.send(POUR)
    await counter.settled(1)
    assert counter.acked == [1]
    assert rows("SELECT day, clock FROM events") == [(-boot, "unknown")]
    assert days_of(store, SESSION) == {-boot: 1}
    assert await StoreOutbox(store).read(0, 10) == []


async def test_when_time_becomes_known_sums_move_to_the_right_days(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000
    counter.uptime_ms = 100_000_000
    counter.send(POUR, age_ms=13 * 3_600_000)  # before midnight
    counter.send(POUR, age_ms=60_000)
    await counter.settled(2)
    now = known(clock, hand_clock)
    assert store.write(lambda tx: settle(tx, boot, now)).result(5) == 2
    assert days_of(store, SESSION) == {DAY - 1: 1, DAY: 1}
    times = rows("SELECT time_ms, day, clock FROM events ORDER BY position")
    assert abs(int(str(times[0][0])) - (NOON_MS - 13 * 3_600_000)) < 1000
    assert [row[1:] for row in times] == [(DAY - 1, "estimated"), (DAY, "estimated")]
    assert [row.position for row in await StoreOutbox(store).read(0, 10)] == [1, 2]


async def test_a_claim_made_without_time_is_rewritten(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000
    counter.send(POUR)
    await counter.settled(1)

    def claim(tx: Transaction) -> None:
        session = sessions.enter(tx, "hot-bar-1", 7, 1, 12_345_000)
        sums = sessions.take_sums(tx, session, CUSTOMER)
        buckets, flavours = sums.rows()
        data = SessionClaimed(
            store="plaza",
            region="south",
            channel="gateway",
            consent="profile",
            session=session.name,
            buckets=buckets,
            flavours=flavours,
        )
        tx.append(Event(tx.own_id(), CUSTOMER, Stamp(12_345_000, clock.now().boot_ms, -boot, "unknown"), data))
        tx.fold(CUSTOMER, sums)

    store.write(claim).result(5)
    counter.send(POUR)
    await counter.settled(2)
    assert days_of(store, CUSTOMER) == {-boot: 2}
    now = known(clock, hand_clock)
    store.write(lambda tx: settle(tx, boot, now)).result(5)
    assert days_of(store, CUSTOMER) == {DAY: 2}
    assert days_of(store, SESSION) == {}
    ((text,),) = rows("SELECT data FROM events WHERE type = 'picante.session-claimed.v1'")
    assert [bucket[1] for bucket in msgspec.json.decode(text)["buckets"]] == [DAY]


async def test_an_earlier_boot_that_never_knew_goes_up_marked(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000
    counter.send(POUR)
    await counter.settled(1)
    now = known(clock, hand_clock)
    store.write(lambda tx: settle(tx, boot + 1, now)).result(5)
    assert rows("SELECT day, clock FROM events") == [(DAY, "unknown")]
    assert days_of(store, SESSION) == {DAY: 1}


async def test_an_idle_gateway_has_no_work_and_a_long_wait_is_given_up(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    reader = store.reader()
    assert housekeeping.due(reader, clock.now(), boot, 72) is None
    hand_clock.wall_ms = 12_345_000
    counter.send(POUR)
    await counter.settled(1)
    assert housekeeping.due(reader, clock.now(), boot, 72) is None
    now = clock.now()
    later = Now(now.wall_ms, now.boot_ms + 73 * 3_600_000, known=False)
    work = housekeeping.due(reader, later, boot, 72)
    assert work is not None
    store.write(work).result(5)
    assert rows("SELECT clock, day < 0 FROM events") == [("unknown", 0)]
    reader.close()
