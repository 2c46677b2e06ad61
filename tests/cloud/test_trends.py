"""Trends through Kafka: each hour told once, whoever tells, and whatever is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cloud.app import parts
from cloud.config import load_cloud_config
from cloud.kafka import Place, Producer, read_to_end
from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud.topic_plan import differences
from cloud.trend_hours import TrendHours
from cloud.trends import SETTLE_MS, Roads, Trends, watermark_ms, work
from cloud_sync.published import Trend, read_published
from cloud_sync.record import Record
from cloud_sync.topics import CLOCK, EVENTS, HOUR_MS, TRENDS
from heat.errors import PicanteError
from tests.cloud.test_trend_hours import HOUR, WAIT_MS, Log, customer, over
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until, wait_until_async


@pytest.fixture
async def roads(kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]]) -> Roads:
    events, clock, trends = await topic(partitions=3), await topic(), await topic()
    return Roads(Cluster(kafka.bootstrap), "cloud", events, clock, trends, writer=f"writer-{trends}")


def send(roads: Roads, *records: Record) -> None:
    with Producer(roads.cluster) as producer:
        for record in records:
            producer.send(record)
        producer.flush()


def pours(roads: Roads, log: Log, customers: int, hour: int) -> list[Record]:
    """One pour of each customer, as a broker would have stamped it."""
    consumed = [log.pour(customer(number), hour) for number in range(customers)]
    return [Record(roads.events, one.key, one.value, (), one.timestamp_ms) for one in consumed]


def asked_at(roads: Roads, ms: int) -> Record:
    """The clock's empty record."""
    return Record(roads.clock, b"now", None, (), ms)


def told(roads: Roads) -> list[tuple[bytes | None, int]]:
    found = [(one.key, read_published(one.value or b"")) for b in read_to_end(roads.cluster, roads.trends) for one in b]
    return [(key, trend.customers) for key, trend in found if isinstance(trend, Trend)]


@contextmanager
def telling(roads: Roads, path: Path) -> Iterator[None]:
    stop = threading.Event()
    failed: list[PicanteError] = []

    def tell() -> None:
        try:
            work(roads, path, WAIT_MS, stop)
        except PicanteError as error:
            failed.append(error)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(15)
    assert not thread.is_alive()
    assert failed == []


async def test_each_hour_is_told_once_whatever_is_lost(roads: Roads, tmp_path: Path) -> None:
    log = Log()
    send(roads, *pours(roads, log, 12, HOUR), *pours(roads, log, 9, HOUR + 1))
    with telling(roads, tmp_path / "a.db"):
        # nobody pours any more: the clock says that it is late
        send(roads, asked_at(roads, over(HOUR) + SETTLE_MS))
        wait_until(lambda: told(roads), 15, "the first hour")
    assert told(roads) == [(f"eu/{HOUR}".encode(), 12)]
    send(
        roads,
        *pours(roads, log, 5, HOUR),
        *pours(roads, log, 11, HOUR + 2),
        asked_at(roads, over(HOUR + 2) + SETTLE_MS),
    )
    with telling(roads, tmp_path / "lost.db"):
        wait_until(lambda: len(told(roads)) > 1, 15, "the third hour")
    expected = [(f"eu/{HOUR}".encode(), 12), (f"eu/{HOUR + 2}".encode(), 11)]
    assert told(roads) == expected, "of a lost state, what was told is told by Kafka"
    forgetful = replace(roads, writer=f"{roads.writer}-of-a-group-that-kafka-forgot")
    with TrendHours(tmp_path / "forgotten.db", WAIT_MS) as hours:
        trends = Trends(forgetful, hours)
        stop = threading.Event()
        stop.set()
        trends.work(stop)
        assert hours.closed == HOUR + 3
    assert told(roads) == expected


async def test_two_that_tell_the_same_hour_tell_it_once(roads: Roads, tmp_path: Path) -> None:
    log = Log()
    hour, third = ([log.pour(customer(number), HOUR + later) for number in range(10)] for later in (0, 3))
    with TrendHours(tmp_path / "a.db", WAIT_MS) as one, TrendHours(tmp_path / "b.db", WAIT_MS) as other:
        one.fold(hour)
        Trends(roads, one)._tell(HOUR + 1)
        other.fold([*hour, *third])
        Trends(roads, other)._tell(HOUR + 4)
        one.fold([log.pour(customer(number), HOUR + 1) for number in range(10)])
        Trends(roads, one)._tell(HOUR + 2)
        assert one.closed == other.closed == Trends(roads, one)._told() == HOUR + 4, "who is late sets nothing back"
    assert told(roads) == [(f"eu/{HOUR}".encode(), 10), (f"eu/{HOUR + 3}".encode(), 10)]


def test_the_watermark_is_the_least_of_what_was_read() -> None:
    hour_ms = HOUR * HOUR_MS
    assert watermark_ms({0: hour_ms, 1: hour_ms - 5}, set(), hour_ms) == hour_ms - 5
    assert watermark_ms({0: hour_ms, 1: 0}, set(), hour_ms) == 0, "a partition of which nothing was read holds all up"
    assert watermark_ms({0: hour_ms, 1: 0}, {1}, hour_ms) == hour_ms - SETTLE_MS
    assert watermark_ms({0: hour_ms - 5, 1: 7}, {0, 1}, hour_ms) == hour_ms - SETTLE_MS
    assert Roads(Cluster("k:1"), "a").told == Place("picante.trends.v1", 0)


async def test_the_parts_of_the_cloud_tick_and_tell(kafka: KafkaServer | ServerElsewhere, tmp_path: Path) -> None:
    cluster = Cluster(kafka.bootstrap)
    wanted, admin = [EVENTS, CLOCK, TRENDS], Admin(cluster)
    admin.mend(differences(wanted, admin.topics([one.name for one in wanted]), 1, admin.brokers()), 1)
    (tmp_path / "cloud.toml").write_text(f'[cloud]\ndata_dir = "data"\n[kafka]\nbootstrap = "{kafka.bootstrap}"\n')
    config = load_cloud_config(tmp_path / "cloud.toml")
    send(Roads(cluster, "cloud"), *pours(Roads(cluster, "cloud"), Log(), 1, HOUR))
    with TrendHours(tmp_path / "data" / "trends.db", WAIT_MS):
        pass

    def read() -> bool:
        with closing(sqlite3.connect(f"file:{tmp_path}/data/trends.db?mode=ro", uri=True)) as state:
            return bool(state.execute("SELECT 1 FROM places").fetchall()) and any(
                record.value is not None for batch in read_to_end(cluster, CLOCK.name) for record in batch
            )

    chosen = parts(config)
    running = [asyncio.ensure_future(chosen[name]()) for name in ("clock", "trends")]
    await wait_until_async(lambda: asyncio.to_thread(read), 20, "a tick, and a position")
    for task in running:
        task.cancel()
    began = time.monotonic()
    assert [type(error) for error in await asyncio.gather(*running, return_exceptions=True)] == [CancelledError] * 2
    assert time.monotonic() - began < 10
