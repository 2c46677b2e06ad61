"""What every outbox does: one suite for the gateway's store and for the file that stands in for it in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_sync.outbox import Outbox, Row, StoredEvent, StoredRefusal
from gateway.outbox import StoreOutbox
from gateway.store import Settings, Store, open_store
from gateway.transaction import Transaction
from heat.events import Event, Stamp
from heat.identity import EventId
from heat.quality import Refusal
from tests.cloud_sync.examples import DAY, GATEWAY, POURED, TIME_MS, pours, refused
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.waiting import wait_until_async

LAST = 10**9
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Subject:
    """An outbox under test, and a way to store rows in it."""

    outbox: Outbox
    append: Callable[[list[Row]], Awaitable[None]]


def of_file(directory: Path) -> Iterator[Subject]:
    with closing(SqliteOutbox(directory / "outbox.db")) as outbox:

        async def append(rows: list[Row]) -> None:
            outbox.append(rows)

        yield Subject(outbox, append)


def of_gateway(directory: Path) -> Iterator[Subject]:
    with closing(open_store(Settings(directory, GATEWAY, ballast_bytes=0))) as store:
        outbox = StoreOutbox(store)

        async def append(rows: list[Row]) -> None:
            await _append_to_store(store, rows)
            outbox.wake()

        yield Subject(outbox, append)


async def _append_to_store(store: Store, rows: list[Row]) -> None:
    def work(tx: Transaction) -> None:
        for row in rows:
            when = Stamp(time_ms=row.time_ms, boot_ms=0, day=DAY, clock="known")
            if isinstance(row, StoredEvent):
                tx.append(Event(row.id, row.subject, when, POURED))
            else:
                tx.append_refusal(row.id, Refusal(row.reason, row.detail), row.body, when)

    await asyncio.wrap_future(store.write(work))


@pytest.fixture(params=[of_file, of_gateway])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    yield from request.param(tmp_path)


async def ids(outbox: Outbox, after: int = 0) -> list[str]:
    return [str(row.id) for row in await outbox.read(after, LAST)]


async def test_a_new_outbox_is_empty(subject: Subject) -> None:
    outbox = subject.outbox
    assert await outbox.read(0, 10) == []
    assert await outbox.confirmed() == 0
    assert await outbox.id_at(0) is None
    assert await outbox.id_at(1) is None
    assert await outbox.epoch() >= 0


async def test_rows_come_in_the_order_in_which_they_were_stored(subject: Subject) -> None:
    outbox = subject.outbox
    rows = pours(30)
    await subject.append(rows[:20])
    await subject.append(rows[20:])
    assert await ids(outbox) == [str(row.id) for row in rows]
    positions = [row.position for row in await outbox.read(0, LAST)]
    assert positions == sorted(set(positions))
    assert positions[0] > 0


async def test_reading_goes_on_above_a_position_up_to_a_limit(subject: Subject) -> None:
    outbox = subject.outbox
    await subject.append(pours(10))
    gathered: list[Row] = []
    while page := await outbox.read(gathered[-1].position if gathered else 0, 3):
        assert len(page) <= 3
        gathered += page
    assert gathered == await outbox.read(0, LAST)
    assert len(gathered) == 10


async def test_a_row_holds_what_was_stored(subject: Subject) -> None:
    event, refusal = pours(1)[0], refused(2)
    await subject.append([event, refusal])
    first, second = await subject.outbox.read(0, 2)
    assert isinstance(first, StoredEvent)
    assert isinstance(event, StoredEvent)
    assert isinstance(second, StoredRefusal)
    assert (first.id, first.type, first.subject, first.time_ms, first.day, first.clock, first.origin, first.data) == (
        *(event.id, event.type, event.subject, event.time_ms),
        *(DAY, "known", GATEWAY, event.data),
    )
    assert (second.id, second.time_ms, second.origin, second.reason, second.detail, second.body) == (
        *(refusal.id, TIME_MS, GATEWAY),
        *(refusal.reason, refusal.detail, refusal.body),
    )
    assert not first.redelivered
    assert not second.redelivered


async def test_a_position_names_its_event(subject: Subject) -> None:
    await subject.append([*pours(3), refused(4)])
    for row in await subject.outbox.read(0, LAST):
        assert await subject.outbox.id_at(row.position) == str(row.id)
    assert await subject.outbox.id_at(LAST) is None


async def test_a_row_that_kafka_can_not_have_has_no_id_yet(tmp_path: Path) -> None:
    """A database put back, and the same event at the same place again, with others before it than Kafka has."""
    for before in of_gateway(tmp_path):
        await before.append(pours(2))
    for after in of_gateway(tmp_path):
        await after.append(pours(2, first=3))
        assert [await after.outbox.id_at(position) is not None for position in (1, 2, 3, 4)] == [
            True,
            True,
            False,
            False,
        ]
        await after.outbox.read(2, 1)
        assert [await after.outbox.id_at(position) is not None for position in (2, 3, 4)] == [True, True, False]


async def test_the_confirmed_position_never_goes_back_by_confirming(subject: Subject) -> None:
    outbox = subject.outbox
    await subject.append(pours(5))
    await outbox.confirm(3)
    await outbox.confirm(3)
    await outbox.confirm(2)
    assert await outbox.confirmed() == 3


async def test_rows_above_the_confirmed_position_stay(subject: Subject) -> None:
    await subject.append(pours(5))
    await subject.outbox.confirm(3)
    assert await ids(subject.outbox, after=3) == [str(row.id) for row in pours(5)[3:]]


async def test_a_new_epoch_marks_what_is_there_and_not_what_comes(subject: Subject) -> None:
    outbox = subject.outbox
    await subject.append(pours(5))
    await outbox.confirm(4)
    before = await outbox.epoch()
    begun = await outbox.begin_epoch(2, before)
    assert begun == await outbox.epoch() > before
    assert await outbox.confirmed() == 2
    await subject.append(pours(2, first=6))
    marks = {row.position: row.redelivered for row in await outbox.read(0, LAST)}
    assert marks == {1: False, 2: False, 3: True, 4: True, 5: True, 6: False, 7: False}


async def test_beginning_an_epoch_again_changes_no_mark(subject: Subject) -> None:
    outbox = subject.outbox
    await subject.append(pours(5))
    await outbox.begin_epoch(2, 0)
    rows = await outbox.read(0, LAST)
    await outbox.begin_epoch(2, 0)
    assert await outbox.read(0, LAST) == rows
    assert await outbox.confirmed() == 2


async def test_marks_outlive_their_confirmation_and_the_next_epoch(subject: Subject) -> None:
    outbox = subject.outbox
    await subject.append(pours(3))
    await outbox.begin_epoch(0, 0)
    await outbox.confirm(3)
    await subject.append(pours(1, first=4))
    await outbox.begin_epoch(3, 0)
    assert [row.redelivered for row in await outbox.read(0, LAST)] == [True, True, True, True]


async def test_an_epoch_is_later_than_any_that_is_named(subject: Subject) -> None:
    begun = await subject.outbox.begin_epoch(0, 41)
    assert begun == await subject.outbox.epoch() == 42
    assert await subject.outbox.begin_epoch(0, 42) == 43


async def test_an_epoch_in_which_nothing_was_confirmed_goes_on(subject: Subject) -> None:
    """Kafka lets us in and takes nothing, for as long as you like: the outbox must not grow by that."""
    outbox = subject.outbox
    await subject.append(pours(5))
    begun = await outbox.begin_epoch(2, 1)
    for number in range(6, 106):
        await subject.append(pours(1, first=number))
        assert await outbox.begin_epoch(2, 1) == begun == await outbox.epoch()
    assert [row.redelivered for row in await outbox.read(2, LAST)] == [True] * 103, "another process may have sent it"
    await outbox.confirm(3)
    assert await outbox.begin_epoch(2, 1) == begun + 1, "what Kafka has is sent again"
    assert await outbox.confirmed() == 2


async def test_the_first_epoch_is_none_that_was_begun(subject: Subject) -> None:
    await subject.append(pours(1))
    assert await subject.outbox.begin_epoch(0, 0) == 2
    assert await subject.outbox.begin_epoch(0, 0) == 2


async def test_a_registered_instance_is_known_here_and_an_adopted_one_beside(subject: Subject) -> None:
    outbox = subject.outbox
    assert not await outbox.has_sent()
    assert await outbox.author("a") == "nowhere"
    await outbox.register_instance("a")
    await outbox.register_instance("a")
    await outbox.adopt_instance("b")
    assert [await outbox.author(instance) for instance in ("a", "b", "c")] == ["here", "beside", "nowhere"]
    assert await outbox.has_sent()


def lose_the_database(directory: Path) -> None:
    for path in [*directory.glob("*.db"), *directory.glob("*.db-*")]:
        path.unlink()


@pytest.mark.parametrize("kind", [of_file, of_gateway])
async def test_instances_outlive_the_database(kind: Callable[[Path], Iterator[Subject]], tmp_path: Path) -> None:
    for before in kind(tmp_path):
        await before.outbox.register_instance("a")
    lose_the_database(tmp_path)
    for after in kind(tmp_path):
        assert await after.outbox.author("a") == "beside"
        assert await after.outbox.has_sent()
        await after.outbox.register_instance("b")
        assert await after.outbox.author("b") == "here"


@pytest.mark.parametrize("kind", [of_file, of_gateway])
async def test_instances_outlive_the_file_beside(kind: Callable[[Path], Iterator[Subject]], tmp_path: Path) -> None:
    """A new card, with the database alone: what it sends first may fail, and the position is still that of before."""
    for before in kind(tmp_path):
        await before.outbox.register_instance("a")
    (tmp_path / "instances").unlink()
    for after in kind(tmp_path):
        await after.outbox.register_instance("b")
        assert [await after.outbox.author(instance) for instance in ("a", "b")] == ["here", "here"]


async def test_waiting_ends_at_once_where_a_row_is_there(subject: Subject) -> None:
    await subject.append(pours(2))
    async with asyncio.timeout(PATIENCE_S):
        await subject.outbox.wait(0)
        await subject.outbox.wait(1)


async def test_waiting_ends_when_a_row_comes(subject: Subject) -> None:
    await subject.append(pours(2))
    assert await subject.outbox.read(2, LAST) == []
    waiting = asyncio.create_task(subject.outbox.wait(2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    await subject.append(pours(1, first=3))
    await asyncio.wait_for(waiting, PATIENCE_S)
    assert len(await subject.outbox.read(2, LAST)) == 1


async def test_no_row_is_missed_between_reading_and_waiting(subject: Subject) -> None:
    seen = 0

    async def follow() -> None:
        nonlocal seen
        while seen < 40:
            await subject.outbox.wait(seen)
            if rows := await subject.outbox.read(seen, 7):
                seen = rows[-1].position

    following = asyncio.create_task(follow())
    for number in range(1, 41):
        await subject.append(pours(1, first=number))
        await asyncio.sleep(0)
    await wait_until_async(lambda: seen == 40, PATIENCE_S, "the follower saw every row")
    await following


async def test_waiting_and_reading_can_be_cancelled(subject: Subject) -> None:
    waiting = asyncio.create_task(subject.outbox.wait(0))
    reading = asyncio.create_task(subject.outbox.read(0, 5))
    await asyncio.sleep(0)
    waiting.cancel()
    reading.cancel()
    await asyncio.wait({waiting, reading}, timeout=PATIENCE_S)
    assert waiting.cancelled()
    await subject.append(pours(1))
    assert len(await subject.outbox.read(0, 5)) == 1


async def test_an_id_is_written_as_the_envelope_writes_it(subject: Subject) -> None:
    await subject.append(pours(1))
    await subject.outbox.read(0, LAST)
    assert await subject.outbox.id_at(1) == str(EventId("hot-bar-1", 0x5E3A09C1, 1))
