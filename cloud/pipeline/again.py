"""Events further back in a partition, read once more: losers of conflicts, whose sums are to be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from cloud.kafka import Consumer, Place
from cloud.librdkafka import Cluster, PositionLost
from cloud.pipeline.verdict import judge
from cloud_sync.envelope import Received

APART = 10_000
"""Offsets that are read over rather than jumped over: a jump costs a request, 10,000 records a tenth of a second."""


class Again:
    """Reads one partition a second time; it connects when it is first asked."""

    def __init__(self, cluster: Cluster, place: Place) -> None:
        self._cluster = cluster
        self._place = place
        self._consumer: Consumer | None = None

    def read(self, offsets: AbstractSet[int]) -> Mapping[int, Received]:
        """The events at these offsets; those that Kafka dropped are missing. Raises SinkUnavailable, SinkRefused."""
        if self._consumer is None:
            self._consumer = Consumer(self._cluster)
        low, _ = self._consumer.watermarks(self._place)
        found: dict[int, Received] = {}
        for run in _runs(sorted(offset for offset in offsets if offset >= low)):
            found |= self._read_run(self._consumer, run)
        return found

    def _read_run(self, consumer: Consumer, run: list[int]) -> dict[int, Received]:
        found: dict[int, Received] = {}
        wanted, at = set(run), -1
        consumer.assign({self._place: run[0]})
        try:
            while at < run[-1] and self._place not in consumer.ended:
                for record in consumer.poll(limit=min(run[-1] - run[0] + 1, APART)):
                    at = record.offset
                    if at in wanted and (event := judge(record).event) is not None:
                        found[at] = event
        except PositionLost:
            pass  # the log was cut meanwhile
        return found

    def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            self._consumer.close()


def _runs(offsets: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for offset in offsets:
        if run and offset - run[-1] > APART:
            yield run
            run = []
        run.append(offset)
    if run:
        yield run
