"""Trends by region and closed hour, on picante.trends.v1: each told once, by whichever process comes first.

The events and the clock's topic go in; the clock's empty records carry the broker's time where nobody pours. How far
all is told stands in Kafka, as the position of our group on the trends' topic: the first hour that is not closed. It is
committed in the transaction that tells the hours before it, by a producer that fences every other one; so of several
processes, and after any kill, each hour is told once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import Counter, Gauge

from cloud.config import CloudConfig
from cloud.kafka import BEGINNING, Consumer, Place, Producer, read_to_end
from cloud.librdkafka import Cluster, PositionLost, cluster_of, topic_id
from cloud.metrics import REGISTRY
from cloud.threads import in_thread
from cloud.trend_hours import TrendHours
from cloud_sync.published import Trend, publish, read_published
from cloud_sync.record import Record
from cloud_sync.topics import CLOCK, EVENTS, HOUR_MS, TRENDS

log = logging.getLogger("cloud.trends")

SETTLE_MS = 60_000
"""ms by which a partition that was read to its end may lag behind another's stamps: brokers' clocks differ, and a
transaction hides what it holds for up to 20 s."""

RECORDS = Counter("picante_cloud_trends_records", "Records read for trends.", ["outcome"], registry=REGISTRY)
HOURS = Counter("picante_cloud_trends_hours", "Hours of regions that were closed.", ["outcome"], registry=REGISTRY)
CLOSED = Gauge("picante_cloud_trends_closed_seconds", "Unix time up to which all hours are closed.", registry=REGISTRY)

POLL_S = 0.5
"""s that it may take until we hear that we are to stop."""


@dataclass(frozen=True, slots=True)
class Roads:
    """Where events come from and trends go to."""

    cluster: Cluster
    name: str
    """Who says so: `/cloud/NAME`."""
    events: str = EVENTS.name
    clock: str = CLOCK.name
    trends: str = TRENDS.name
    writer: str = "picante-trends"
    """Transactional id, and group."""

    @property
    def told(self) -> Place:
        """The partition whose position says how far all is told."""
        return Place(self.trends, 0)


def watermark_ms(stamps: Mapping[int, int], at_end: set[int], newest_ms: int) -> int:
    """How far the broker's stamps have come in all partitions (Unix ms): `stamps` has the last one read of each.

    A partition that was read to its end has nothing older than `newest_ms`, the latest stamp anywhere, but for
    `SETTLE_MS`.
    """
    return min((max(ms, newest_ms - SETTLE_MS) if place in at_end else ms) for place, ms in stamps.items())


class Trends:
    """Reads, and tells what is closed."""

    def __init__(self, roads: Roads, hours: TrendHours) -> None:
        self._roads = roads
        self._hours = hours
        self._newest_ms = max(hours.stamps().values(), default=0)

    def work(self, stop: threading.Event) -> None:
        """Read and tell until told to stop. Raises SinkUnavailable, SinkRefused, StoreError."""
        roads = self._roads
        self._hours.begin(topic_id(roads.cluster, roads.events))
        self._hours.close(max(self._told(), self._told_in_trends()))
        CLOSED.set(self._hours.closed * HOUR_MS / 1000)
        with Consumer(roads.cluster) as consumer:
            places = range(consumer.partitions(roads.events))
            known = self._hours.positions()
            wanted = {Place(roads.events, number): known.get(number, BEGINNING) for number in places}
            consumer.assign({**wanted, Place(roads.clock, 0): BEGINNING})
            try:
                while not stop.is_set():
                    self.step(consumer, places)
            except PositionLost:
                self._hours.forget()
                raise

    def step(self, consumer: Consumer, places: range) -> None:
        """Fold what is there, and tell the hours that it closes."""
        records = consumer.poll(timeout_s=POLL_S)
        if events := [record for record in records if record.topic == self._roads.events]:
            for outcome, n in self._hours.fold(events).items():
                RECORDS.labels(outcome).inc(n)
        self._newest_ms = max([self._newest_ms, *(record.timestamp_ms for record in records)])
        stamps = dict.fromkeys(places, 0) | self._hours.stamps()
        at_end = {place.partition for place in consumer.ended if place.topic == self._roads.events}
        below = self._hours.passed(watermark_ms(stamps, at_end, self._newest_ms))
        if below > self._hours.closed:
            self._tell(below)

    def _tell(self, below: int) -> None:
        roads = self._roads
        with Producer(roads.cluster, roads.writer) as producer:
            producer.open()  # whoever else was about to tell is fenced from here on
            told = self._told()
            trends = [trend for trend in self._hours.trends(below) if trend.hour >= told]
            if told < below:
                producer.transact([self._record(trend) for trend in trends], roads.writer, {roads.told: below})
        for outcome, n in self._hours.close(max(below, told)).items():
            HOURS.labels(outcome).inc(n)
        CLOSED.set(self._hours.closed * HOUR_MS / 1000)
        log.info("hours are closed", extra={"trends": len(trends), **self._hours.counts()})

    def _record(self, trend: Trend) -> Record:
        key = f"{trend.region}/{trend.hour}"
        record = publish(key, trend, f"/cloud/{self._roads.name}", f"trend:{key}", (trend.hour + 1) * HOUR_MS)
        return replace(record, topic=self._roads.trends)

    def _told(self) -> int:
        """The first hour that is not told, as our group knows it; 0 where it knows nothing (any more)."""
        with Consumer(self._roads.cluster, self._roads.writer) as consumer:
            return consumer.committed([self._roads.told])[self._roads.told] or 0

    def _told_in_trends(self) -> int:
        """The same by what the topic holds, for a group that Kafka forgot."""
        batches = read_to_end(self._roads.cluster, self._roads.trends)
        found = (read_published(record.value or b"") for batch in batches for record in batch)
        return max((trend.hour + 1 for trend in found if isinstance(trend, Trend)), default=0)


def work(roads: Roads, path: Path, wait_ms: int, stop: threading.Event) -> None:
    """Tell trends until told to stop; the state lies at `path`. Raises as `Trends.work` does, and ConfigError."""
    with TrendHours(path, wait_ms) as hours:
        Trends(roads, hours).work(stop)


async def run(config: CloudConfig) -> None:
    """The part of `picante cloud run`."""
    roads = Roads(cluster_of(config), config.cloud.name)
    path, wait_ms = config.path(config.cloud.data_dir) / "trends.db", config.trends.wait_minutes * 60_000
    await in_thread("trends", lambda stop: work(roads, path, wait_ms, stop))
