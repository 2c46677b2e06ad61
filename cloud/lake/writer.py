"""Kafka -> the lake: reads the topics with the group `picante-lake`, and commits what came in batches.

The lake itself says where each partition goes on; the group shares partitions out, and shows how far behind we are.
A batch is made into columns while the one before is being committed, in a thread of its own: delta-rs needs no GIL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from cloud.kafka import BATCH, BEGINNING, Consumer, Place
from cloud.lake.columns import RAW
from cloud.lake.lake import Batch, Lake
from cloud.lake.metrics import COMMIT_S, GONE, NEWEST, ROWS
from cloud.lake.table import Partition, Span
from cloud.librdkafka import Cluster, PositionLost
from cloud_sync.topics import CONTEXT, DEAD_LETTERS, EVENTS, SAMPLES
from heat.errors import ConfigError

log = logging.getLogger("cloud.lake")

GROUP = "picante-lake"
TOPICS = (EVENTS.name, SAMPLES.name, DEAD_LETTERS.name, CONTEXT.name)
"""Those that only grow. What is compacted can be made of them again, or is of no interest tomorrow."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a batch is committed: at the first of these."""

    rows: int = 20_000
    size_bytes: int = 64 * 1024 * 1024
    seconds: float = 60.0
    """Since its first record was read."""


@dataclass(slots=True)
class Counts:
    """What a writer did since it was made."""

    commits: int = 0
    rows: int = 0
    """New in `raw`."""
    gone: int = 0
    """Offsets that Kafka had deleted before the lake had them."""


class LakeWriter:
    """Writes until it is told to stop. `run` again after an error: it goes on where the lake is."""

    def __init__(
        self,
        cluster: Cluster,
        lake: Lake,
        bounds: Bounds = Bounds(),
        topics: Sequence[str] = TOPICS,
        group: str = GROUP,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self.places: frozenset[Place] = frozenset()
        """The partitions that are ours now."""
        self._cluster = cluster
        self._lake = lake
        self._bounds = bounds
        self._topics = topics
        self._group = group
        self._clock_s = clock_s
        self._next: dict[Place, int] = {}
        """The offset that is read next, and at which the next batch begins."""
        self._gaps: dict[Place, int] = {}
        """Where the next batch begins instead, since Kafka has nothing more from there up to `_next`."""
        self._batch = lake.batch()
        self._since_s = 0.0
        self._commit: Future[dict[str, int]] | None = None
        self._spans: Mapping[Partition, Span] = {}
        """Of the batch that is being committed."""

    def run(self, stop: threading.Event) -> None:
        """Read and commit; what was read and not committed when it ends is read again.

        Raises:
            SinkUnavailable: Kafka or the storage can't be used now. ConfigError: they don't belong together.
        """
        self._forget()
        self._lake.open()
        with ThreadPoolExecutor(1, "lake-commits") as thread, Consumer(self._cluster, self._group) as consumer:
            consumer.subscribe(self._topics, self)
            while not stop.is_set():
                self._read(consumer)
                if self._commit is not None and self._commit.done():
                    self._settle(consumer)
                if self._due():
                    self._settle(consumer)
                    batch, self._batch = self._batch, self._lake.batch()
                    self._spans = batch.spans
                    self._commit = thread.submit(self._append, batch, batch.rows())

    def _append(self, batch: Batch, rows: Mapping[str, pa.Table]) -> dict[str, int]:
        with COMMIT_S.time():
            new = self._lake.append(rows, batch.spans)
        NEWEST.set(batch.newest_ms / 1000)
        return new

    def assigned(self, places: Collection[Place]) -> Mapping[Place, int]:
        """See `cloud.kafka.Assignments`. Others may have written since we looked."""
        self._lake.open()
        self._next = {place: self._lake.position(*place) for place in places}
        self._gaps = {}
        self.places = frozenset(places)
        return {place: position or BEGINNING for place, position in self._next.items()}

    def revoked(self, places: Collection[Place]) -> None:  # noqa: ARG002 -- all of them are, each time
        """See `cloud.kafka.Assignments`. Whoever has them next reads again what we did not commit."""
        self._forget()

    def _forget(self) -> None:
        if self._commit is not None and self._commit.exception() is None:  # it ends before anybody looks at the tables
            self._count(self._commit.result())
        self._commit, self.places = None, frozenset()
        self._batch = self._lake.batch()

    def _count(self, new: Mapping[str, int]) -> None:
        self.counts.rows += new[RAW.name]
        self.counts.commits += 1
        for table, rows in new.items():
            ROWS.labels(table).inc(rows)

    def _read(self, consumer: Consumer) -> None:
        try:
            records = consumer.poll(min(BATCH, self._bounds.rows - self._batch.count))
        except PositionLost as lost:
            self._begin_where_the_log_does(consumer, lost)
            return
        if records and not self._batch.count:
            self._since_s = self._clock_s()
        for record in records:
            place = Place(record.topic, record.partition)
            self._batch.add(record, self._gaps.pop(place, self._next[place]))
            self._next[place] = record.offset + 1

    def _due(self) -> bool:
        batch = self._batch
        return bool(batch.count) and (
            batch.count >= self._bounds.rows
            or batch.size_bytes >= self._bounds.size_bytes
            or self._clock_s() - self._since_s >= self._bounds.seconds
        )

    def _settle(self, consumer: Consumer) -> None:
        """Wait for the commit that is under way, if one is. Raises what it raised."""
        if self._commit is None:
            return
        commit, self._commit = self._commit, None
        self._count(commit.result())
        consumer.commit({Place(*at): span.last + 1 for at, span in self._spans.items()})

    def _begin_where_the_log_does(self, consumer: Consumer, lost: PositionLost) -> None:
        moved = False
        for place, position in self._next.items():
            first, end = consumer.watermarks(place)
            if position > end:
                raise ConfigError(
                    f"the lake has {place.topic} {place.partition} up to offset {position}, and it ends at {end}",
                    hint="The topic was made anew, or [kafka] is another cluster's: give [lake] another path",
                ) from lost
            if position < first:
                self.counts.gone += first - position
                GONE.inc(first - position)
                log.error(
                    "offsets were deleted before the lake had them",
                    extra={"topic": place.topic, "partition": place.partition, "first": position, "last": first - 1},
                )
                self._gaps.setdefault(place, position)
                self._next[place], moved = first, True
        if not moved:
            raise lost
        consumer.assign(self._next)
