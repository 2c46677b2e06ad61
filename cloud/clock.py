"""The clock: one tick a UTC day on picante.clock.v1, so that the windows of a silent customer empty without an event.

Whose day it is the broker says, not this machine: an empty record is written, the broker stamps it, and the stamp is
read back. So no machine whose clock is wrong lets a day begin early, and between two ticks the empty records tell
readers (`cloud.trends`) how late it is; who judges by the age of a stamp (`cloud.fleet_watch`) asks likewise, by
`BrokerTime`. What is written is a function of the day alone, under the day as its key: any number of processes may
tick, and one that starts writes nothing that is there. A day that has begun can't be taken back: so none begins of
which this machine does not at least see the eve.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from prometheus_client import Gauge

from cloud.config import CloudConfig
from cloud.kafka import Producer, read_to_end
from cloud.librdkafka import Cluster, cluster_of
from cloud.metrics import REGISTRY
from cloud.threads import in_thread
from cloud_sync.published import ClockTick, publish, read_published
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import CLOCK, DAY_MS
from heat.errors import SinkRefused

TIME = Gauge("picante_cloud_clock_seconds", "Unix time that the broker said at the last look.", registry=REGISTRY)

log = logging.getLogger("cloud.clock")

ASKED_KEY = b"now"
"""Of the empty records."""
LONGEST_PAUSE_S = 600.0
"""s from one look at the broker's time to the next: a machine that slept is late by no more than that."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the topic says."""

    now_ms: int
    """When its last record was stamped, Unix time in ms."""
    day: int | None
    """The latest day that has begun; None where there was no tick."""


def read_clock(records: Iterable[Consumed]) -> Told:
    """What the topic's records say, in their order. No day began that is ahead of its own stamp, or of the last one."""
    now_ms, days = 0, set[int]()
    for record in records:
        now_ms = record.timestamp_ms
        tick = None if record.value is None else read_published(record.value)
        if isinstance(tick, ClockTick) and tick.day <= now_ms // DAY_MS:
            days.add(tick.day)
    return Told(now_ms, max((day for day in days if day <= now_ms // DAY_MS), default=None))


def begun(told: Told, here_ms: int) -> int | None:
    """The day whose tick is to be written. `here_ms`: this machine's time; None, too, where it is a day behind."""
    today = told.now_ms // DAY_MS
    return today if (told.day is None or told.day < today) and today <= here_ms // DAY_MS + 1 else None


def pause_s(now_ms: int) -> float:
    """Seconds until the next look: just after midnight, UTC, if that is near."""
    return min(LONGEST_PAUSE_S, (DAY_MS - now_ms % DAY_MS) / 1000 + 0.1)


def ask(cluster: Cluster, producer: Producer, topic: str) -> Told:
    """What the topic says now: an empty record is written, and read back. Raises SinkUnavailable, SinkRefused."""
    producer.send(Record(topic, ASKED_KEY, None, ()))
    producer.flush()
    return read_clock(record for batch in read_to_end(cluster, topic) for record in batch)


class BrokerTime:
    """The broker's time, asked for every ten minutes, and counted on in between."""

    def __init__(self, cluster: Cluster, topic: str = CLOCK.name) -> None:
        self._cluster = cluster
        self._topic = topic
        self._asked_s = float("-inf")
        self._asked_ms = 0

    def now_ms(self) -> int:
        """Unix time, ms; this machine's where we may not ask. Raises SinkUnavailable."""
        if time.monotonic() - self._asked_s > LONGEST_PAUSE_S:
            try:
                with Producer(self._cluster) as producer:
                    self._asked_ms = ask(self._cluster, producer, self._topic).now_ms
            except SinkRefused as error:
                log.warning("this machine's clock is used, not the broker's", extra={"error": str(error)})
                self._asked_ms = int(time.time() * 1000)
            self._asked_s = time.monotonic()
        return self._asked_ms + int((time.monotonic() - self._asked_s) * 1000)


class Ticker:
    """Writes a tick when a day has begun."""

    def __init__(self, cluster: Cluster, name: str, topic: str = CLOCK.name) -> None:
        self._cluster = cluster
        self._source = f"/cloud/{name}"
        self._topic = topic
        self._doubted = False

    def work(self, stop: threading.Event) -> None:
        """Tick until told to stop. Raises SinkUnavailable, SinkRefused."""
        with Producer(self._cluster) as producer:
            while not stop.wait(pause_s(self.tick(producer))):
                pass

    def tick(self, producer: Producer) -> int:
        """Write the tick of the broker's day, unless it is there. Returns the broker's time, Unix ms."""
        told = ask(self._cluster, producer, self._topic)
        here_ms = time.time_ns() // 1_000_000
        self._doubt(told.now_ms // DAY_MS - here_ms // DAY_MS)
        if (today := begun(told, here_ms)) is not None:
            tick = publish(str(today), ClockTick(day=today), self._source, f"clock:{today}", today * DAY_MS)
            producer.send(replace(tick, topic=self._topic))
            producer.flush()
        if not self._doubted:  # else the clock stands, and the alert says so
            TIME.set(told.now_ms / 1000)
        return told.now_ms

    def _doubt(self, ahead: int) -> None:
        """Say it, once, when the broker's clock and this machine's are days apart; nobody here knows which is right."""
        doubted, self._doubted = self._doubted, abs(ahead) > 1
        if self._doubted and not doubted:
            log.error("the broker's clock and this machine's are days apart", extra={"days_ahead": ahead})


async def run(config: CloudConfig) -> None:
    """The part of `picante cloud run`."""
    await in_thread("clock", Ticker(cluster_of(config), config.cloud.name).work)
