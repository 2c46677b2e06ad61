"""The uplink on Apache Kafka: every event once, in order, through restarts."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from cloud_sync.envelope import Received
from cloud_sync.kafka_client import KafkaSink
from cloud_sync.topics import DEAD_LETTERS, EVENTS, OUTBOX, SAMPLES
from cloud_sync.uplink import Uplink, pause_s
from heat.errors import ForeignInstance, SinkUnavailable
from heat.events import Sampled
from tests.cloud_sync.examples import EVERY_TYPE, pours, refused, stored
from tests.cloud_sync.kafka_reading import ids, places_of, read, read_events, read_samples, topic_config
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, connected, running, settings
from tests.servers import KafkaServer, ServerElsewhere

Kafka = KafkaServer | ServerElsewhere


pytestmark = pytest.mark.usefixtures("no_task_stays")


def in_order(events: dict[int, list[Received]]) -> bool:
    """Whether each partition holds each source's events in the order of their sequence."""
    for part in events.values():
        by_source: dict[str, list[int]] = defaultdict(list)
        for event in part:
            by_source[event.id.source].append(event.id.sequence)
        if any(sequences != sorted(sequences) for sequences in by_source.values()):
            return False
    return True


async def test_every_event_arrives_once_and_in_order(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    rows = pours(5_000, origin=gateway)
    outbox.append(rows)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway, batch=2000))
    async with running(uplink):
        await confirmed(outbox, 5_000)
        await connected(uplink)
    events = await read_events(kafka.bootstrap, gateway)
    assert ids(events) == sorted(str(row.id) for row in rows)
    assert in_order(events)
    assert len(events) == 4, "every partition has its share"
    status = uplink.status
    assert (status.sent, status.transactions, status.position, status.in_flight) == (5_000, 3, 5_000, 0)
    assert (status.failures, status.last_error, status.redelivered, status.dead_letters) == (0, None, 0, 0)
    assert len(status.transaction_s) == 3


async def test_a_transactions_time_is_that_of_its_commit(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, slow_s = KafkaSink.commit, 0.2

    async def slow(*arguments: Any) -> None:
        await commit(*arguments)
        await asyncio.sleep(slow_s)

    monkeypatch.setattr(KafkaSink, "commit", slow)
    outbox.append(pours(3, origin=gateway))
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway, batch=1))
    began_s = time.monotonic()
    async with running(uplink):
        await confirmed(outbox, 3)
    took = uplink.status.transaction_s
    assert len(took) == 3
    assert min(took) >= slow_s
    assert sum(took) <= time.monotonic() - began_s


async def test_what_arrives_is_what_was_stored(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    rows = [stored(data, n, origin=gateway) for n, data in enumerate(EVERY_TYPE, 1)]
    outbox.append(rows)
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, len(rows))
    events = [event for part in (await read_events(kafka.bootstrap, gateway)).values() for event in part]
    assert Sampled.type not in {event.data.type for event in events}, "readings have a topic of their own"
    events += await read_samples(kafka.bootstrap, gateway)
    assert sorted((event.id, event.data.type, event.time_ms, event.redelivered) for event in events) == sorted(
        (row.id, row.type, row.time_ms, False) for row in rows
    )
    assert {event.id.sequence: msgspec.json.encode(event.data) for event in events} == {
        row.position: row.data for row in rows
    }


async def test_a_restart_goes_on_where_kafka_is(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    rows = pours(300, origin=gateway)
    outbox.append(rows[:200])
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, 200)
    outbox.db.execute("UPDATE confirmed SET position = 50")  # as after a kill between Kafka's commit and ours
    outbox.append(rows[200:])
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await confirmed(outbox, 300)
    assert uplink.status.sent == 100
    assert ids(await read_events(kafka.bootstrap, gateway)) == sorted(str(row.id) for row in rows)


async def test_refusals_become_dead_letters_byte_for_byte(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    body = bytes(range(256))
    outbox.append([*pours(2, origin=gateway), refused(3, body, origin=gateway), *pours(1, first=4, origin=gateway)])
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await confirmed(outbox, 4)
    assert uplink.status.dead_letters == 1
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 3
    (letter,) = [
        record
        for record in await read(kafka.bootstrap, DEAD_LETTERS.name)
        if dict(record.headers)["picante.origin"] == gateway.encode()
    ]
    assert letter.value == body
    assert letter.key == b"hot-bar-1"
    assert dict(letter.headers) == {
        "content-type": b"application/cbor",
        "__connect.errors.topic": b"picante.events.v1",
        "__connect.errors.connector.name": b"picante-uplink",
        "__connect.errors.exception.class.name": b"heat.quality.Refusal",
        "__connect.errors.exception.message": b"17000000 SHU is outside 0..16000000",
        "picante.reason": b"impossible_heat",
        "picante.event.id": b"hot-bar-1:5e3a09c1:3",
        "picante.origin": gateway.encode(),
        "picante.time": b"2025-11-24T13:13:20.123Z",
        "picante.position": b"1:3",
    }


async def test_a_clone_stops_until_it_is_let_go_on(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    outbox.append(pours(10, origin=gateway))
    first = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(first):
        await confirmed(outbox, 10)
    outbox.db.execute("DELETE FROM instances")  # a card that never saw the first
    outbox.beside.unlink()
    outbox.append(pours(5, first=11, origin=gateway))
    second = Uplink(outbox, settings(kafka.bootstrap, gateway))
    with pytest.raises(ForeignInstance, match=first.instance):
        await second.run()
    assert second.status.state == "foreign"
    assert second.status.foreign_instance == first.instance
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 10
    await second.adopt()
    async with running(second):
        await confirmed(outbox, 15)
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 15


async def test_a_restored_database_sends_again_and_says_so(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    outbox.append(pours(10, origin=gateway))
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, 10)
    # a backup of when 6 rows were there and 4 confirmed; since then, other events took the positions from 7 on
    outbox.db.execute("DELETE FROM rows WHERE position > 6")
    outbox.db.execute("UPDATE sqlite_sequence SET seq = 6")
    outbox.db.execute("UPDATE confirmed SET position = 4")
    outbox.append(pours(5, first=101, origin=gateway))
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await confirmed(outbox, 11)
        outbox.append(pours(1, first=201, origin=gateway))
        await confirmed(outbox, 12)
    assert uplink.status.epoch == 2
    assert uplink.status.redelivered == 7
    events = [event for part in (await read_events(kafka.bootstrap, gateway)).values() for event in part]
    unmarked = sorted(event.id.sequence for event in events if not event.redelivered)
    assert unmarked == [*range(1, 11), 201]
    assert sorted(event.id.sequence for event in events if event.redelivered) == [5, 6, *range(101, 106)]


async def test_the_second_of_one_name_takes_over(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    outbox.append(pours(5, origin=gateway))
    first = Uplink(outbox, settings(kafka.bootstrap, gateway))
    old = asyncio.create_task(first.run())
    await confirmed(outbox, 5)
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))) as new:
        outbox.append(pours(5, first=6, origin=gateway))
        await confirmed(outbox, 10)
        with pytest.raises(SinkUnavailable, match="the transaction failed"):
            await asyncio.wait_for(_poke_until_done(outbox, old, gateway), PATIENCE_S)
        assert not new.done()
        await confirmed(outbox, outbox.db.execute("SELECT max(position) FROM rows").fetchone()[0])
    found = ids(await read_events(kafka.bootstrap, gateway))
    assert found == sorted(row[0] for row in outbox.db.execute("SELECT id FROM rows"))


async def _poke_until_done(outbox: SqliteOutbox, task: asyncio.Task[None], gateway: str) -> None:
    number = 100
    while not task.done():
        outbox.append(pours(1, first=number, origin=gateway))
        number += 1
        await asyncio.wait({task}, timeout=0.05)
    await task


async def test_topics_are_created_as_the_contract_says(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await connected(uplink)
    for topic in (EVENTS, SAMPLES, DEAD_LETTERS, OUTBOX):
        assert len(await places_of(kafka.bootstrap, topic.name)) == topic.partitions
    config = await topic_config(kafka.bootstrap, EVENTS.name)
    assert EVENTS.settings.items() <= config.items()
    assert not await read(kafka.bootstrap, OUTBOX.name), "it carries positions, not records"


@pytest.mark.parametrize(
    ("waiting", "since_last_s", "expected_s"),
    [(1, float("inf"), 0), (1, 2.0, 0), (1, 0.25, 0.75), (1999, 0.25, 0.75), (2000, 0.0, 0), (1, 0.0, 1.0)],
)
def test_the_pause_before_a_transaction(waiting: int, since_last_s: float, expected_s: float) -> None:
    assert pause_s(waiting, 2000, since_last_s, 1.0) == expected_s


async def test_while_few_wait_transactions_are_rare(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway, interval_s=1.0))
    async with running(uplink):
        await connected(uplink)
        began = asyncio.get_running_loop().time()
        for number in range(1, 41):
            outbox.append(pours(1, first=number, origin=gateway))
            await asyncio.sleep(0.025)
        await confirmed(outbox, 40)
        lasted_s = asyncio.get_running_loop().time() - began
    assert uplink.status.sent == 40
    assert 2 <= uplink.status.transactions <= lasted_s + 1


async def test_rows_that_wait_for_the_clock_hold_up_those_behind_them(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    outbox.append(pours(10, origin=gateway))
    outbox.hold_from = 4
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await confirmed(outbox, 3)
        reads = outbox.reads
        for _ in range(20):
            outbox.wake()
            await asyncio.sleep(0.01)
        assert outbox.reads - reads < 30, "it does not spin"
        assert await outbox.confirmed() == 3
        outbox.hold_from = 2**63 - 1
        outbox.wake()
        await confirmed(outbox, 10)
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 10
