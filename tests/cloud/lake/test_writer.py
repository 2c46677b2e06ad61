"""From Apache Kafka into the lake, each record once: kills, several writers, topics that were cut or made anew."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cloud.lake.columns import RAW
from cloud.lake.table import LakeTable, Span
from cloud.lake.writer import Bounds
from cloud.metrics import REGISTRY
from cloud_sync.envelope import encode
from cloud_sync.outbox import StoredEvent
from heat.errors import ConfigError, SinkUnavailable
from tests.cloud.lake.writing import (
    ids,
    lake_of,
    places,
    running,
    send_pours,
    wait_for_rows,
    writer_of,
)
from tests.cloud_sync.examples import pours
from tests.servers import KafkaServer, ServerElsewhere, free_port
from tests.waiting import wait_until

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]
LAZY = Bounds(rows=100_000, seconds=3600)


def never() -> threading.Event:
    return threading.Event()


def delete_before(bootstrap: str, topic: str, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for deleted in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        deleted.result(10)


def event_ids(count: int) -> list[str]:
    return sorted(str(row.id) for row in pours(count))


def values(count: int) -> list[bytes | None]:
    return [encode(row).value for row in pours(count) if isinstance(row, StoredEvent)]


async def test_what_is_in_the_topic_is_in_the_lake(kafka: Kafka, topic: MakeTopic, tmp_path: Path) -> None:
    name = await topic(partitions=3)
    send_pours(kafka.bootstrap, name, 500)
    writer = writer_of(kafka.bootstrap, name, tmp_path)
    with running(writer):
        wait_until(lambda: len(ids(tmp_path)) >= 500, 20, "500 events")
        send_pours(kafka.bootstrap, name, 20, first=501)
        wait_until(lambda: len(ids(tmp_path)) >= 520, 20, "what came later")
    assert ids(tmp_path) == event_ids(520)
    assert (len(places(tmp_path)), len(set(places(tmp_path)))) == (572, 572)
    assert writer.counts.rows == 572
    assert writer.counts.commits >= 10
    raw = LakeTable(str(tmp_path), RAW)
    assert raw.read()
    rows = raw.delta.to_pyarrow_table().to_pylist()
    assert {bytes(row["value"]) for row in rows} == {*values(520), b"{"}
    assert [{"key": "a", "value": b"1"}, {"key": "a", "value": b"2"}] in [row["headers"] for row in rows]


async def test_a_batch_waits_for_its_bounds(kafka: Kafka, topic: MakeTopic, tmp_path: Path) -> None:
    name = await topic()
    send_pours(kafka.bootstrap, name, 40)
    writer = writer_of(kafka.bootstrap, name, tmp_path, Bounds(rows=100_000, size_bytes=10_000, seconds=3600))
    with running(writer):
        wait_until(lambda: writer.counts.commits, 20, "a commit by size")
    with running(writer_of(kafka.bootstrap, name, tmp_path, LAZY)):
        pass  # it is told to stop, and commits nothing
    first = len(places(tmp_path))
    assert first == 44  # they came in one poll
    with running(writer_of(kafka.bootstrap, name, tmp_path, Bounds(rows=10, seconds=3600))):
        send_pours(kafka.bootstrap, name, 15, first=41)
        wait_for_rows(tmp_path, 54)
    assert len(places(tmp_path)) == 54


async def test_a_writer_that_is_killed_at_any_commit_leaves_each_row_once(
    kafka: Kafka, topic: MakeTopic, tmp_path: Path
) -> None:
    name = await topic(partitions=2)
    send_pours(kafka.bootstrap, name, 600)
    for when, number in (("after", 1), ("before", 2), ("after", 5)):  # raw and events commit in turn
        command = [sys.executable, "-m", "tests.cloud.lake.writing", kafka.bootstrap, name, str(tmp_path), when]
        killed = await asyncio.create_subprocess_exec(*command, str(number))
        assert await killed.wait() == -signal.SIGKILL
    assert 0 < len(ids(tmp_path)) < len(places(tmp_path)) < 660  # one table is behind the other
    with running(writer_of(kafka.bootstrap, name, tmp_path)):
        wait_until(lambda: len(ids(tmp_path)) >= 600, 20, "600 events")
    assert ids(tmp_path) == event_ids(600)
    assert (len(places(tmp_path)), len(set(places(tmp_path)))) == (660, 660)


async def test_writers_share_the_partitions_and_take_over_from_one_another(
    kafka: Kafka, topic: MakeTopic, tmp_path: Path
) -> None:
    name = await topic(partitions=4)
    group = name
    first, second = (writer_of(kafka.bootstrap, name, tmp_path, group=group) for _ in range(2))
    with running(first):
        send_pours(kafka.bootstrap, name, 200)
        with running(second):
            wait_until(lambda: len(first.places) == len(second.places) == 2, 20, "each has two partitions")
            send_pours(kafka.bootstrap, name, 200, first=201)
            wait_until(lambda: len(ids(tmp_path)) >= 400, 20, "400 events")
        wait_until(lambda: len(first.places) == 4, 20, "the one that stays has all")
        send_pours(kafka.bootstrap, name, 50, first=401)
        wait_until(lambda: len(ids(tmp_path)) >= 450, 20, "450 events")
    assert ids(tmp_path) == event_ids(450)
    assert first.counts.rows + second.counts.rows == 495 == len(set(places(tmp_path)))


async def test_offsets_that_kafka_deleted_are_counted_and_the_rest_comes(
    kafka: Kafka, topic: MakeTopic, tmp_path: Path
) -> None:
    name = await topic()
    send_pours(kafka.bootstrap, name, 20)
    lake = lake_of(name, tmp_path)
    lake.open()
    for table in lake.tables.values():
        table.append(table.kind.columns.empty_table(), {(name, 0): Span(0, 4)})
    delete_before(kafka.bootstrap, name, 10)
    before = REGISTRY.get_sample_value("picante_cloud_lake_gone_total") or 0
    writer = writer_of(kafka.bootstrap, name, tmp_path)
    with running(writer):
        wait_for_rows(tmp_path, 12)
    assert (places(tmp_path)[0], writer.counts.gone) == ((0, 10), 5)
    assert REGISTRY.get_sample_value("picante_cloud_lake_gone_total") == before + 5


async def test_a_topic_that_was_made_anew_stops_the_writer(kafka: Kafka, topic: MakeTopic, tmp_path: Path) -> None:
    name = await topic()
    send_pours(kafka.bootstrap, name, 5)
    lake = lake_of(name, tmp_path)
    lake.open()
    for table in lake.tables.values():
        table.append(table.kind.columns.empty_table(), {(name, 0): Span(0, 4000)})
    with pytest.raises(ConfigError, match=f"the lake has {name} 0 up to offset 4001, and it ends at 5"):
        writer_of(kafka.bootstrap, name, tmp_path).run(never())


async def test_a_storage_that_fails_is_told_and_nothing_is_lost(kafka: Kafka, topic: MakeTopic, tmp_path: Path) -> None:
    name = await topic()
    send_pours(kafka.bootstrap, name, 30)
    writer = writer_of(kafka.bootstrap, name, tmp_path)
    with running(writer):
        wait_until(lambda: len(ids(tmp_path)) >= 30, 20, "30 events")
    log = tmp_path / "events" / "_delta_log"
    log.rename(tmp_path / "away")
    log.write_text("no folder")
    send_pours(kafka.bootstrap, name, 30, first=31)
    with pytest.raises(SinkUnavailable, match="events"):
        writer.run(never())
    log.unlink()
    (tmp_path / "away").rename(log)
    with running(writer):
        wait_until(lambda: len(ids(tmp_path)) >= 60, 20, "60 events")
    assert ids(tmp_path) == event_ids(60)


def test_kafka_that_is_away_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="Kafka can't be used"):
        writer_of(f"127.0.0.1:{free_port()}", "none", tmp_path).run(never())
