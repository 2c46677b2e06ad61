"""picante.profiles.v1, .features.v1, .picks.v1 -> a hot store, by one loop that blocks.

The store has the positions (see `entries`). A batch is put, and then the store moves its positions, if they are where
we left them: a store that was emptied, restored from yesterday, or handed over has others, and we go on from those.
While nothing comes we look every second. So a lost Redis fills again by itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Counter

from cloud.hot_store.entries import Change, Filled, Forget, Key, Kind, Move, PositionMoved, Put
from cloud.kafka import BEGINNING, Consumer, Place
from cloud.librdkafka import Cluster, PositionLost, topic_id
from cloud.metrics import REGISTRY
from cloud_sync.published import Features, Profile, ServedPicks, read_published
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.errors import DataError
from heat.identity import check_subject, is_session
from heat.quality import Refusal

log = logging.getLogger("cloud.hot_store")

BATCH = 1_000
"""Records that are put at once: 25 ms of Redis' time."""
LOOK_S = 1.0
"""s between two looks at the store's positions while nothing comes."""
REFUSED = Counter("picante_cloud_hot_store_refused", "Records that are none of their topic.", registry=REGISTRY)
Value = Profile | Features | ServedPicks
TYPES: dict[Kind, type[Value]] = {
    "profile": Profile,
    "features": Features,
    "picks": ServedPicks,
}


TOPICS: dict[str, Kind] = {type_.topic.name: kind for kind, type_ in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long entries stay after their record, ms."""

    session_ms: int
    customer_ms: int

    def of(self, subject: str) -> int:
        """A subject's."""
        return self.session_ms if is_session(subject) else self.customer_ms


@dataclass(slots=True)
class Counts:
    """What a filler did since it was made."""

    put: int = 0
    """Entries and tombstones that changed something."""
    older: int = 0
    """Those that the store knew, or knew better."""
    expired: int = 0
    """Records that were too old to be kept."""
    refused: int = 0
    """Records that are none of the topic's."""


class Filler:
    """Fills a store with what the topics say."""

    def __init__(
        self,
        cluster: Cluster,
        store: Filled,
        lifetimes: Lifetimes,
        group: str | None = None,
        topics: Mapping[str, Kind] = TOPICS,
    ) -> None:
        """With a `group`, its members share the partitions; without, all are read."""
        self.counts = Counts()
        self._cluster, self._store, self._lifetimes, self._group = cluster, store, lifetimes, group
        self._kinds = dict(topics)
        self._topic_ids: dict[str, str | None] = {}
        self._at: dict[Place, int] = {}
        """Where the store's positions were left, of the partitions that are ours; below 0 before a first batch."""

    @property
    def places(self) -> Collection[Place]:
        """The partitions that are ours."""
        return self._at.keys()

    def run(self, stop: threading.Event) -> None:
        """Fill until told to stop.

        Raises:
            SinkUnavailable, SinkRefused: Kafka or the store is not there, or does not let us in.
        """
        self._name_topics()
        with Consumer(self._cluster, self._group) as consumer:
            if self._group is not None:
                consumer.subscribe(list(self._kinds), self)
            else:
                consumer.assign(
                    self.assigned([Place(t, number) for t in self._kinds for number in range(consumer.partitions(t))])
                )
            while not stop.is_set():
                try:
                    self._fill(consumer, stop)
                except PositionLost:
                    self._store.forget_positions([self._name(place) for place in self._at])
                    self._name_topics()
                    log.warning("the hot store is filled from the beginning: a topic was cut, or made anew")
                except PositionMoved:
                    log.warning("the hot store is not where it was left: it is filled from where it is")
                else:
                    return
                consumer.assign(self.assigned(list(self._at)))

    def _fill(self, consumer: Consumer, stop: threading.Event) -> None:
        looked_s = time.monotonic()
        while not stop.is_set():
            records = consumer.poll(BATCH)
            # the last offsets may hold no record: of a transaction that was taken back, or that compaction took away
            ended = {place: end for place, end in consumer.ended.items() if end > self._at.get(place, end)}
            if records or ended:
                self._put(records, ended)
            elif time.monotonic() - looked_s < LOOK_S:
                continue
            elif self._positions(self._at) != self._at:
                raise PositionMoved
            looked_s = time.monotonic()

    def assigned(self, places: Collection[Place]) -> Mapping[Place, int]:
        """See `cloud.kafka.Assignments`.

        Where the store has no position, it is told that we begin: else, whoever empties it between our first batch
        and its position would go unseen.
        """
        found = self._positions(places)
        begun = {self._name(place): Move(None, BEGINNING) for place, offset in found.items() if offset is None}
        if begun:
            with contextlib.suppress(PositionMoved):  # meanwhile: it is seen at the next look
                self._store.put([], begun)
        self._at = {place: BEGINNING if offset is None else offset for place, offset in found.items()}
        return self._at.copy()

    def revoked(self, places: Collection[Place]) -> None:
        """See `cloud.kafka.Assignments`."""
        for place in places:
            self._at.pop(place, None)

    def _positions(self, places: Iterable[Place]) -> dict[Place, int | None]:
        names = {place: self._name(place) for place in places}
        found = self._store.positions(names.values())
        return {place: found.get(name) for place, name in names.items()}

    def _name_topics(self) -> None:
        self._topic_ids = {topic: topic_id(self._cluster, topic) for topic in self._kinds}

    def _name(self, place: Place) -> str:
        return position_name(place, self._topic_ids[place.topic])

    def _put(self, records: Iterable[Consumed], ended: Mapping[Place, int]) -> None:
        latest: dict[Key, list[Change]] = {}
        now: dict[Place, int] = {}
        for record in records:
            place = Place(record.topic, record.partition)
            if place not in self._at:
                continue  # another member's by now
            now[place] = record.offset + 1
            if (change := self._read(record)) is not None:
                _keep(latest.setdefault(change.key, []), change)
        now |= ended
        moves = {self._name(place): Move(self._at[place], offset) for place, offset in now.items()}
        changes = [change for of_one in latest.values() for change in of_one]
        changed = self._store.put(changes, moves)
        self._at.update(now)
        self.counts.put += changed
        self.counts.older += len(changes) - changed

    def _read(self, record: Consumed) -> Change | None:
        """What a record changes; None for one that is not the topic's, or is older than its lifetime."""
        kind = self._kinds[record.topic]
        said = _said(record, TYPES[kind])
        if isinstance(said, Refusal):
            REFUSED.inc()
            if not self.counts.refused:  # the metric counts the others
                where = {"partition": record.partition, "offset": record.offset, "reason": said.reason}
                log.warning("a record of %s is none: %s", record.topic, said.detail, extra=where)
            self.counts.refused += 1
            return None
        subject, value = said
        key, topic_id = Key(kind, subject), self._topic_ids.get(record.topic) or ""
        if value is None or record.value is None:
            return Forget(key, record.offset, topic_id)
        expires_ms = _said_ms(record, value) + self._lifetimes.of(subject)
        if expires_ms <= _now_ms():
            self.counts.expired += 1
            return None
        return Put(key, record.offset, value.version, record.value, expires_ms, topic_id)


def position_name(place: Place, topic_id: str | None) -> str:
    """What a store calls a partition's position: a topic that was made anew has other records at the same offsets."""
    return f"{place.topic}/{topic_id or '-'}/{place.partition}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _said(record: Consumed, type_: type[Value]) -> tuple[str, Value | None] | Refusal:
    """Whom a record is about and what it says, None for a tombstone; or why it is no record of the topic."""
    try:
        subject = check_subject((record.key or b"").decode())
    except (UnicodeDecodeError, DataError):
        return Refusal("malformed", "its key is no subject")
    if record.value is None:
        return subject, None
    said = read_published(record.value)
    if isinstance(said, Refusal):
        return said
    if not isinstance(said, type_) or not isinstance(said, Value):
        return Refusal("unknown_type", "it is of another topic")
    return subject, said


def _said_ms(record: Consumed, said: Value) -> int:
    """When a customer was last heard of: of a silent one, too, things are published anew, day after day."""
    written_ms = record.timestamp_ms if record.timestamp_ms > 0 else _now_ms()
    if said.last_day is not None:
        return min(written_ms, (said.last_day + 1) * DAY_MS)
    return written_ms


def _keep(changes: list[Change], change: Change) -> None:
    """Add a change to those of its entry, without those that it makes idle: in a batch, one subject may come often."""
    before = changes[-1] if changes else None
    if isinstance(change, Forget):
        changes[:] = [change]
    elif not isinstance(before, Put):
        changes.append(change)
    elif change.version >= before.version:
        changes[-1] = change
