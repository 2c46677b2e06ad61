"""The uplink where something is wrong: brokers, records, positions, the outbox itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterable

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from cloud_sync.dead_letter import KEPT_BYTES
from cloud_sync.envelope import MAX_ENVELOPE_BYTES
from cloud_sync.kafka_client import KafkaSink, Packed
from cloud_sync.kafka_connection import translated
from cloud_sync.outbox import Row
from cloud_sync.position import Note
from cloud_sync.record import Record
from cloud_sync.settings import Security
from cloud_sync.topics import DEAD_LETTERS, EVENTS, OUTBOX, outbox_group
from cloud_sync.uplink import Uplink
from heat.errors import SinkUnavailable, StoreFull
from tests.cloud_sync.examples import POURED, pours, refused, stored
from tests.cloud_sync.kafka_reading import (
    ids,
    no_transaction_is_open,
    read,
    read_events,
    set_topic_config,
)
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, connected, progress, running, settings
from tests.servers import KafkaServer, ServerElsewhere, free_port
from tests.waiting import wait_until_async

Kafka = KafkaServer | ServerElsewhere
pytestmark = pytest.mark.usefixtures("no_task_stays")
ENDS_S = 5.0
"""Seconds to the end: half of one on a machine at rest; whoever waits for Kafka takes ten or more."""


async def topics_exist(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    """Let an uplink that has nothing to send create them."""
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await connected(uplink)


async def letters(kafka: Kafka, gateway: str) -> list[tuple[bytes, dict[str, bytes]]]:
    """Values and headers of a gateway's dead letters."""
    found = [(record.value, dict(record.headers)) for record in await read(kafka.bootstrap, DEAD_LETTERS.name)]
    return [(value, headers) for value, headers in found if headers["picante.origin"] == gateway.encode()]


# -- brokers -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[str]:
    """The address of a server that takes connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.close()


async def test_an_unreachable_kafka_is_told_once(
    outbox: SqliteOutbox, gateway: str, caplog: pytest.LogCaptureFixture
) -> None:
    uplink = Uplink(outbox, settings(f"127.0.0.1:{free_port()}", gateway))
    with caplog.at_level(logging.INFO):
        async with running(uplink):
            await wait_until_async(lambda: uplink.status.failures >= 3, PATIENCE_S, "three failures")
    assert uplink.status.state == "unreachable"
    assert "can't be used" in str(uplink.status.last_error)
    assert [record.name for record in caplog.records] == ["cloud_sync.uplink"]


async def test_a_mute_kafka_does_not_hold_it_up(outbox: SqliteOutbox, gateway: str) -> None:
    async with mute() as bootstrap:
        uplink = Uplink(outbox, settings(bootstrap, gateway, connect_timeout_s=0.5))
        with pytest.raises(SinkUnavailable, match="no answer in time"):
            await uplink.run()
        assert uplink.status.state == "unreachable"
        task = asyncio.create_task(uplink.run())
        await asyncio.sleep(0.1)
        task.cancel()
        assert await asyncio.wait({task}, timeout=ENDS_S) == ({task}, set())
        assert task.cancelled()


@pytest.mark.parametrize("way", ["failing", "cancelled"])
async def test_a_frozen_kafka_leaves_nothing_behind(
    killable_kafka: KafkaServer, outbox: SqliteOutbox, gateway: str, way: str
) -> None:
    await topics_exist(killable_kafka, outbox, gateway)  # a new broker's first transaction takes its time
    outbox.append(pours(20_000, origin=gateway))
    timeout_ms = 3_000 if way == "failing" else 60_000
    uplink = Uplink(outbox, settings(killable_kafka.bootstrap, gateway, transaction_timeout_ms=timeout_ms))
    task = asyncio.create_task(uplink.run())
    try:
        await wait_until_async(lambda: uplink.status.transactions and uplink.status.in_flight, PATIENCE_S, "at work")
        os.kill(killable_kafka.pid, signal.SIGSTOP)
        if way == "cancelled":
            await asyncio.sleep(0.2)
            task.cancel()
        done, _ = await asyncio.wait({task}, timeout=timeout_ms / 1000 * (way == "failing") + ENDS_S)
        assert done == {task}
        assert task.cancelled() or isinstance(task.exception(), SinkUnavailable)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        os.kill(killable_kafka.pid, signal.SIGCONT)


async def test_while_kafka_owes_an_answer_one_more_batch_is_made_ready_and_waits(
    killable_kafka: KafkaServer, outbox: SqliteOutbox, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_after, packed, begun = [], [], []
    read, pack, commit = outbox.read, KafkaSink.pack, KafkaSink.commit

    async def spied_read(after: int, limit: int) -> list[Row]:
        read_after.append(after)
        return await read(after, limit)

    async def spied_pack(sink: KafkaSink, records: Iterable[Record]) -> list[Packed]:
        packed.append(done := await pack(sink, records))
        return done

    async def spied_commit(sink: KafkaSink, batches: Iterable[Packed], position: tuple[int, Note]) -> None:
        begun.append(position[0])
        await commit(sink, batches, position)
        assert begun[-1] == position[0], "nothing is begun before Kafka has answered"

    monkeypatch.setattr(outbox, "read", spied_read)
    monkeypatch.setattr(KafkaSink, "pack", spied_pack)
    monkeypatch.setattr(KafkaSink, "commit", spied_commit)
    rows = pours(10_000, origin=gateway)
    outbox.append(rows)
    uplink = Uplink(outbox, settings(killable_kafka.bootstrap, gateway))
    async with running(uplink):
        await wait_until_async(lambda: uplink.status.transactions and uplink.status.in_flight, PATIENCE_S, "at work")
        os.kill(killable_kafka.pid, signal.SIGSTOP)
        try:
            await wait_until_async(lambda: len(packed) > len(begun), PATIENCE_S, "the next batch is ready")
            await asyncio.sleep(0.2)  # for what must not happen
            assert uplink.status.in_flight
            assert begun[-1] == read_after[-1] == uplink.status.position + uplink.status.in_flight
            assert len(packed) == len(begun) + 1
        finally:
            os.kill(killable_kafka.pid, signal.SIGCONT)
        await confirmed(outbox, len(rows))
    assert ids(await read_events(killable_kafka.bootstrap, gateway)) == sorted(str(row.id) for row in rows)


async def test_a_reader_can_tell_an_open_transaction(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    """Without this, the next test could not fail."""
    await topics_exist(kafka, outbox, gateway)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=gateway)
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(EVENTS.name, b"{}", b"x", partition=0)
    assert not await no_transaction_is_open(kafka.bootstrap, EVENTS.name)
    await producer.abort_transaction()
    await producer.stop()
    assert await no_transaction_is_open(kafka.bootstrap, EVENTS.name)


@pytest.mark.parametrize("after_ms", [0, 5, 15, 30])
async def test_ended_at_work_it_leaves_no_transaction_open(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str, after_ms: int
) -> None:
    rows = pours(4_000, origin=gateway)
    outbox.append(rows)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway, batch=2_000, transaction_timeout_ms=60_000))
    async with running(uplink):
        await wait_until_async(lambda: uplink.status.in_flight, PATIENCE_S, "rows are in flight")
        await asyncio.sleep(after_ms / 1000)
    assert uplink.status.in_flight == 0
    # what was being committed is committed in a moment; what was left open would be so for a minute
    await wait_until_async(lambda: no_transaction_is_open(kafka.bootstrap, EVENTS.name), 3.0, "none is open")
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, len(rows))
    assert ids(await read_events(kafka.bootstrap, gateway)) == sorted(str(row.id) for row in rows)


# -- records that nobody takes -------------------------------------------------------------------------------------


def huge(position: int, gateway: str, size: int) -> Row:
    """An event with data that no compression makes smaller."""
    later = f',"later":"{secrets.token_hex(size // 2)}"}}'.encode()
    return stored(POURED, position, msgspec.json.encode(POURED)[:-1] + later, origin=gateway)


async def test_what_no_broker_takes_is_a_dead_letter(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str, caplog: pytest.LogCaptureFixture
) -> None:
    event = huge(3, gateway, MAX_ENVELOPE_BYTES)
    outbox.append([*pours(2, origin=gateway), event, *pours(3, first=4, origin=gateway)])
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await confirmed(outbox, 6)
    assert (uplink.status.failures, uplink.status.dead_letters) == (0, 1)
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 5
    ((value, headers),) = await letters(kafka, gateway)
    assert value == getattr(event, "data")[:KEPT_BYTES]  # noqa: B009
    assert headers["picante.reason"] == b"too_large"
    assert headers["picante.event.id"] == str(event.id).encode()
    assert int(headers["picante.full.size"]) > MAX_ENVELOPE_BYTES
    (line,) = [record for record in caplog.records if "too large" in record.message]
    assert vars(line)["event_id"] == str(event.id)


async def test_what_this_broker_does_not_take_is_found_and_becomes_a_dead_letter(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    await topics_exist(kafka, outbox, gateway)
    rows = pours(60, origin=gateway)
    rows[20] = huge(21, gateway, 60_000)
    rows[40] = refused(41, secrets.token_bytes(40_000), origin=gateway)
    outbox.append(rows)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    try:
        for topic in (EVENTS, DEAD_LETTERS):
            await set_topic_config(kafka.bootstrap, topic.name, {**topic.settings, "max.message.bytes": "20000"})
        async with running(uplink):
            await confirmed(outbox, 60)
    finally:
        for topic in (EVENTS, DEAD_LETTERS):
            await set_topic_config(kafka.bootstrap, topic.name, topic.settings)
    assert uplink.status.dead_letters == 2
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 58
    found = {headers["picante.event.id"]: (value, headers) for value, headers in await letters(kafka, gateway)}
    assert found.keys() == {str(rows[20].id).encode(), str(rows[40].id).encode()}
    for value, headers in found.values():
        assert value == b"", "nothing of it fits, so that only the headers speak"
        assert int(headers["picante.full.size"]) >= 40_000


# -- positions -----------------------------------------------------------------------------------------------------


async def test_a_forgotten_position_goes_on_from_the_confirmed_one(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    outbox.append(pours(10, origin=gateway))
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, 10)
    outbox.db.execute("UPDATE confirmed SET position = 8")  # killed between the two commits, then away for long
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    (gone,) = admin.delete_consumer_groups([outbox_group(gateway)]).values()
    await asyncio.to_thread(gone.result, 10)
    outbox.append(pours(2, first=11, origin=gateway))
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await confirmed(outbox, 12)
    events = [event for part in (await read_events(kafka.bootstrap, gateway)).values() for event in part]
    assert sorted(event.id.sequence for event in events if not event.redelivered) == list(range(1, 11))
    assert sorted(event.id.sequence for event in events if event.redelivered) == [9, 10, 11, 12]


async def test_it_goes_on_from_a_position_moved_by_hand_and_says_so(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    outbox.append(pours(10, origin=gateway))
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, 10)
    moved = ConsumerGroupTopicPartitions(outbox_group(gateway), [Place(OUTBOX.name, 0, 7)])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    (done,) = admin.alter_consumer_group_offsets([moved]).values()
    await asyncio.to_thread(done.result, 10)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await wait_until_async(lambda: uplink.status.sent, PATIENCE_S, "it sends again")
    assert (uplink.status.sent, uplink.status.redelivered, progress(outbox)) == (3, 3, 10)


async def test_what_aiokafka_asserts_is_tried_again() -> None:
    with pytest.raises(SinkUnavailable, match="Did we not perform bootstrap"), translated("no way in"):
        raise AssertionError("Did we not perform bootstrap?")


async def test_a_coordinator_that_is_not_ready_is_no_missing_position(kafka: Kafka, gateway: str) -> None:
    class NotReady:
        async def list_consumer_group_offsets(self, group: str, partitions: object) -> dict[TopicPartition, object]:
            return {}  # what aiokafka makes of an error of the whole group

    sink = KafkaSink(settings(kafka.bootstrap, gateway), Security())
    with pytest.raises(SinkUnavailable, match="not ready"):
        await sink._read_position(NotReady())
    await sink.aclose()


# -- the outbox ----------------------------------------------------------------------------------------------------


async def test_a_full_disk_ends_it_and_repeats_nothing(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    class Full:
        """An outbox whose disk is full when the uplink wants to confirm."""

        def __getattr__(self, name: str) -> object:
            return getattr(outbox, name)

        async def confirm(self, position: int) -> None:
            if position:
                raise StoreFull("disk or quota is full")

    outbox.append(pours(10, origin=gateway))
    with pytest.raises(StoreFull):
        await Uplink(Full(), settings(kafka.bootstrap, gateway)).run()  # type: ignore[arg-type]
    assert progress(outbox) == 0
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway))
    async with running(uplink):
        await connected(uplink)
        await confirmed(outbox, 10)
    assert uplink.status.sent == 0
    assert len(ids(await read_events(kafka.bootstrap, gateway))) == 10
