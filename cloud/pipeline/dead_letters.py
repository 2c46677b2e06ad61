"""Refused records -> dead letters, each once: the position up to which they were sent is committed with them.

Each partition, of events and of samples, has a transactional id of its own for each group of pipelines. Who opens it
fences whoever had it before, so that no two processes of a group send the same dead letters, and then asks for the
position.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Self

from cloud.kafka import Consumer, Place, Producer
from cloud.librdkafka import Cluster
from cloud.pipeline.verdict import Verdict
from cloud_sync.dead_letter import from_record
from heat.errors import SyncError

GROUP = "picante-dead-letters"
"""The consumer group, without members, that keeps the positions."""
SETTLED_EVERY = 100_000
"""Records that pass without a dead letter until their position is committed: after a kill, so many are judged again."""

CLOSE_S = 0.5
"""s for Kafka to show that it could take the last position: whoever stops us, or the next try, is waiting."""


class DeadLetters:
    """The dead letters of one partition."""

    def __init__(self, producer: Producer, place: Place, position: int, topic: str, group: str) -> None:
        self.position = position
        """Dead letters of all records below it are sent."""
        self._producer = producer
        self._place = place
        self._topic, self._group = topic, group
        self._settled = position

    @classmethod
    def open(cls, cluster: Cluster, place: Place, ends: tuple[int, int], topic: str, names: tuple[str, str]) -> Self:
        """Whoever sent this partition's dead letters before, under this id, sends none any more.

        `ends`: of the log, as `watermarks`. `names`: the group of the positions, and how the transactional id begins.

        Raises:
            SinkUnavailable, SinkRefused: Kafka can't say how far they are sent.
        """
        group, ids = names
        producer = Producer(cluster, f"{ids}-{place.partition}")
        try:
            producer.open()
            with Consumer(cluster, group) as positions:
                position = positions.committed([place])[place]
        except BaseException:
            producer.close()
            raise
        low, end = ends
        return cls(producer, place, position if position is not None and low <= position <= end else low, topic, group)

    def send(self, verdicts: Iterable[Verdict], position: int) -> None:
        """Dead letters of what is refused among these; all records below `position` have been looked at then.

        Raises:
            SinkUnavailable, SinkRefused: open them again. RecordRejected: the topic does not take so large a record.
        """
        letters = [
            replace(from_record(v.record, v.refusal, v.event), topic=self._topic)
            for v in verdicts
            if v.refusal is not None and v.record.offset >= self.position
        ]
        if position <= self.position:
            return
        if letters or position - self._settled >= SETTLED_EVERY:
            self._producer.transact(letters, self._group, {self._place: position})
            self._settled = position
        self.position = position

    def close(self) -> None:
        """Commit the position, if Kafka answers, and let go of the connections."""
        if self.position > self._settled and self._producer.answers(CLOSE_S):
            with contextlib.suppress(SyncError):
                self._producer.transact((), self._group, {self._place: self.position})
        self._producer.close()
