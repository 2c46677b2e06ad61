"""One partition that this process was given: its state, its dead letters, and what it has to publish."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cloud.kafka import Consumer, Place, Producer, partition_of, read_to_end
from cloud.librdkafka import Cluster, topic_id
from cloud.pipeline import metrics
from cloud.pipeline.again import Again
from cloud.pipeline.dead_letters import GROUP, DeadLetters
from cloud.pipeline.publish import Publisher, checkpoint, known, next_day, tellable
from cloud.pipeline.state import CHUNK, Applied, Log, PartitionState
from cloud.pipeline.subjects import Subject
from cloud.pipeline.verdict import judge
from cloud_sync.record import Consumed
from cloud_sync.topics import CLOCK, DEAD_LETTERS, EVENTS, FEATURES, PROFILES, SAMPLES

log = logging.getLogger("cloud.pipeline")

MAX_CHANGED = 20_000
"""Subjects that wait to be published, by name, in memory; of more, all are looked for in the state."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the pipeline is to work."""

    cluster: Cluster
    directory: Path
    """Where the states lie; this process's alone."""
    name: str = "cloud"
    group: str = "picante-pipeline"
    dead_letters_group: str = GROUP
    generation: int = 1
    batch: int = 2000
    events: str = EVENTS.name
    samples: str = SAMPLES.name
    profiles: str = PROFILES.name
    features: str = FEATURES.name
    dead_letters: str = DEAD_LETTERS.name
    clock: str = CLOCK.name
    dead_letters_ids: str = GROUP
    """How the transactional ids begin: another group's differ, lest it fence us, and we it, for ever."""


class Partition:
    """See the module."""

    def __init__(
        self, state: PartitionState, letters: DeadLetters, again: Again, publisher: Publisher, checkpoint: str = ""
    ) -> None:
        self.state = state
        self.checkpoint = checkpoint
        """Beside the group's position: what that is a position of."""
        self.told: int | None = None
        """All that is below is in the profiles that Kafka has; None: that is not known yet."""
        self.caught_up = False
        """Whether all was folded that lay there when the partition became ours: until then nothing is published."""
        self._letters = letters
        self._again = again
        self._publisher = publisher
        self._changed: dict[str, None] = {}
        """Names of those to be published."""
        self._search_from: int | None = 0
        """Row of the state above which others may be, of whom no name is kept; None: there are none."""

    @classmethod
    def open(cls, settings: Settings, place: Place, look: Consumer, tick_day: int) -> Self:
        """Open a partition's state, rebuilt where there is none that could go on. `look` asks Kafka for the log's ends.

        Raises:
            SinkUnavailable, SinkRefused, StoreError: it can't be opened now.
            ConfigError: what is published was folded from another log.
        """
        cluster = settings.cluster
        low, end = look.watermarks(place)
        partitions = look.partitions(place.topic)
        log_ = Log(place.topic, place.partition, partitions, settings.generation, topic_id(cluster, place.topic))
        path = settings.directory / f"{place.topic}-{place.partition}.db"
        note = checkpoint(log_, topic_id(cluster, settings.profiles))
        names = settings.dead_letters_group, settings.dead_letters_ids
        letters = DeadLetters.open(cluster, place, (low, end), settings.dead_letters, names)
        again = Again(cluster, place)
        try:
            state = PartitionState.open(path, log_, again.read)
            if state.seeded and not low <= state.position <= end:
                log.warning("the state does not fit the log", extra=_about(state, low=low, end=end))
                state.close()
                state = PartitionState.open(path, log_, again.read, anew=True)
            state.tick(tick_day)
            if not state.seeded:
                _rebuild(settings, state, look, low, _told(settings, place, note, end))
        except BaseException:
            letters.close()  # a state that was opened is closed when nobody refers to it
            raise
        publisher = Publisher(log_, f"/cloud/{settings.name}", settings.profiles, settings.features)
        log.info("a partition is ours", extra=_about(state, end=end, dead_letters=letters.position))
        return cls(state, letters, again, publisher, note)

    @property
    def start(self) -> int:
        """Where to begin to read: what one of state and dead letters has, it skips."""
        return min(self.state.position, self._letters.position)

    def take(self, records: Sequence[Consumed]) -> Applied:
        """Dead letters and state of some records, each committed. Raises SyncError, StoreError."""
        verdicts = [judge(record) for record in records]
        self._letters.send(verdicts, records[-1].offset + 1)
        applied = self.state.apply_judged(verdicts)
        for (_, _, outcome), n in applied.counts:
            metrics.RECORDS.labels(outcome).inc(n)
        metrics.IRREVERSIBLE.inc(applied.irreversible)
        self._changed |= dict.fromkeys(applied.changed)
        if len(self._changed) > MAX_CHANGED:
            self._changed, self._search_from = {}, 0
        return applied

    def publish(self, producer: Producer) -> int:
        """Have some of what changed in Kafka; how many subjects that was. 0: there is nothing to publish.

        Raises:
            SinkUnavailable, SinkRefused: nothing of it counts as published.
        """
        told, forgotten = [], self.state.forgotten()
        day, now_ms = self.state.day, time.time_ns() // 1_000_000
        for subject in self._next_changed():
            for record in (news := self._publisher.news(subject, day, now_ms)):
                producer.send(record)
            if not news:
                metrics.UNTOLD.inc()
                log.warning("a profile is too large to be told", extra=_about(self.state, version=subject.version))
            told.append(subject.told)
        if not told and not forgotten:
            self.told = self.state.position
            return 0
        for name in forgotten:
            for record in self._publisher.gone(name):
                producer.send(record)
        producer.flush()
        # whoever was heard of today changes tomorrow, most likely: that is found out then
        self.state.confirm([(one, day + 1) for one in told], forgotten)
        metrics.PUBLISHED.labels("profile").inc(len(told))
        metrics.PUBLISHED.labels("tombstone").inc(len(forgotten))
        return len(told) + len(forgotten)

    def _next_changed(self) -> Iterator[Subject]:
        """Some, one after the other; none where there are no more."""
        if self._search_from is not None:
            found = False
            for subject in self.state.unpublished(self._search_from):
                found, self._search_from = True, subject.row
                yield subject
            if found:
                return
            self._search_from = None
        found = False
        while self._changed and not found:
            names = list(itertools.islice(self._changed, CHUNK))
            for name in names:
                del self._changed[name]
            for subject in self.state.subjects(names):
                if subject.version > subject.published:
                    found = True
                    yield subject

    def sweep(self, producer: Producer) -> int:
        """Have the features of some in Kafka that became others by a new day; how many. Raises as `publish`."""
        day, now_ms = self.state.day, time.time_ns() // 1_000_000
        looked, told = [], []
        for subject in self.state.due():
            looked.append((subject.told, None))
            if tellable(subject.tally.rows()[0]):
                producer.send(self._publisher.read_on(subject, day, now_ms))
                told.append((subject.told, next_day(subject, day)))
        if not looked:
            return 0
        producer.flush()
        self.state.look_next(looked)
        self.state.look_next(told)
        metrics.PUBLISHED.labels("features").inc(len(told))
        return len(looked)

    def close(self) -> None:
        """Let go of everything; what is not published is known to the state."""
        self._letters.close()
        self._again.close()
        self.state.close()


def _told(settings: Settings, place: Place, note: str, end: int) -> int:
    """Up to where all is published; 0 where nobody said so of this log."""
    with Consumer(settings.cluster, settings.group) as group:
        position, noted = group.noted(place)
    return position if position is not None and noted == note and position <= end else 0


def _rebuild(settings: Settings, state: PartitionState, look: Consumer, low: int, told: int) -> None:
    """Seed a new state with what Kafka has of the partition's subjects."""
    log_ = state.log
    there = look.partitions(settings.profiles)
    wanted = [log_.partition] if there == log_.partitions else None
    batches = (
        [r for r in batch if r.key is not None and partition_of(r.key, log_.partitions) == log_.partition]
        for batch in read_to_end(settings.cluster, settings.profiles, wanted)
    )
    state.seed(known(log_, batches), low, told)
    subjects = state.count()
    if low or subjects:
        metrics.REBUILDS.inc()
        log.warning("a state is rebuilt", extra=_about(state, subjects=subjects))


def _about(state: PartitionState, **more: int) -> dict[str, object]:
    return {"line": f"{state.log.topic} {state.log.partition}", "position": state.position, **more}
