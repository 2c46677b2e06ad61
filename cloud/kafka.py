"""The cloud's way to Kafka and back: raw records in batches, transactions, and librdkafka's errors as ours.

Nothing but this and `librdkafka` imports confluent_kafka. All of it blocks: call it in a thread, one for each object.

    with Consumer(cluster) as consumer:
        consumer.assign({Place("picante.events.v1", 0): 4200})
        records = consumer.poll(2000)

Readers are `read_committed`: what an uplink took back is never seen. Whoever needs all that there is, and no more, asks
`read_range` or `read_to_end`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import methodcaller
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import confluent_kafka
from aiokafka.partitioner import murmur2
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from cloud.librdkafka import LOOK, REQUEST_S, Cluster, Trouble, connection
from cloud_sync.record import Consumed, Headers, Record
from cloud_sync.topics import BATCH_BYTES, HEADERS_LOST
from heat.errors import SinkUnavailable

BATCH = 2_000
"""Records that one `poll` gives at most; the uplinks' transactions are as large."""
QUEUED_KIB = 16_384
"""KiB of records that wait in memory, and with them what one `poll` gives: 2,000 records could be 1.8 GB otherwise."""
FETCHED_BYTES = 262_144
"""bytes of a partition in one answer, or a larger batch: they are compressed, and take ten times as much once read."""
TRANSACTION_MS = 10_000
"""ms; an open transaction hides later records from readers for so long."""
POLLED_MS = 1_800_000
"""ms that a member may take between two `poll`s: what it rebuilds when it is given a partition is done within one."""
COMPRESSION = "zstd"

_DROPPED = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001 -- their names
"""What librdkafka says of records that go down with another one's transaction."""

_read_headers = methodcaller("headers")
"""confluent-kafka returns a broken list where a name is not UTF-8, with the exception set: CPython looks for that only
where C makes the call, and raises SystemError. All of the headers are lost: the list must not be touched."""

BEGINNING = confluent_kafka.OFFSET_BEGINNING
END = confluent_kafka.OFFSET_END


RawRecord = Consumed
"""A record as it lies in the log. Its time is the broker's where the topic has it so."""


class Place(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


class Assignments(Protocol):
    """What a member of a consumer group is told, within `poll`."""

    def assigned(self, places: Collection[Place]) -> Mapping[Place, int]:
        """These are ours from now on; returns where to begin to read each."""

    def revoked(self, places: Collection[Place]) -> None:
        """These were ours. Another member may have them already."""


class Consumer:
    """Reads partitions that it is given, or that its group gives it."""

    def __init__(self, cluster: Cluster, group: str | None = None) -> None:
        """Nothing is asked of Kafka yet. `group` is needed to subscribe and to commit; without it, none is touched."""
        self.ended: dict[Place, int] = {}
        """Partitions of which all was read, and where they ended; one that goes on is taken out."""
        self._group = group
        self._turns = 0
        """How often partitions came or went."""
        self._trouble = Trouble(cluster)
        self._consumer = confluent_kafka.Consumer(
            {
                **connection(cluster, self._trouble),
                "group.id": group or "picante-no-group",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": QUEUED_KIB,
                "fetch.message.max.bytes": FETCHED_BYTES,
                "fetch.wait.max.ms": 100,
                "session.timeout.ms": cluster.session_ms,
                "heartbeat.interval.ms": cluster.session_ms // 4,
                "partition.assignment.strategy": "range",
                "max.poll.interval.ms": POLLED_MS,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def assign(self, positions: Mapping[Place, int]) -> None:
        """Read these partitions, from these offsets (or `BEGINNING`, `END`), instead of what was read before."""
        self.ended.clear()
        with self._trouble.told("partitions can't be assigned"):
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in positions.items()])

    def subscribe(self, topics: str | Sequence[str], listener: Assignments) -> None:
        """Share the partitions of a topic, or of several, with the other members of the group."""
        names = [topics] if isinstance(topics, str) else list(topics)

        def assigned(consumer: confluent_kafka.Consumer, parts: list[TopicPartition]) -> None:
            self._turns += 1
            positions = listener.assigned([Place(part.topic, part.partition) for part in parts])
            self.ended.clear()
            consumer.assign([TopicPartition(*place, offset) for place, offset in positions.items()])

        def revoked(consumer: confluent_kafka.Consumer, parts: list[TopicPartition]) -> None:
            self._turns += 1
            self.ended.clear()
            try:
                listener.revoked([Place(part.topic, part.partition) for part in parts])
            finally:
                consumer.unassign()

        with self._trouble.told(f"{', '.join(names)} can't be subscribed to"):
            self._consumer.subscribe(names, on_assign=assigned, on_revoke=revoked, on_lost=revoked)

    def poll(self, limit: int = BATCH, timeout_s: float = 0.2) -> list[RawRecord]:
        """What is there, at most `limit` records; in the order of the log within a partition. Empty after `timeout_s`.

        Raises:
            SinkUnavailable: Kafka is not there, or can't answer. SinkRefused: it does not let us in.
            PositionLost: the log begins later than we wanted to read, or ends earlier.
        """
        self._trouble.check(self._consumer)
        with self._trouble.told("records can't be read"):
            first = self._consumer.poll(timeout_s)
            if first is None:
                return []
            turns = self._turns
            more = self._consumer.consume(limit - 1, 0) if limit > 1 else []
            # partitions that were given anew meanwhile begin where their listener said, not with what was read before
            return list(self._records([first, *more] if turns == self._turns else more))

    def _records(self, messages: Iterable[Message]) -> Iterator[RawRecord]:
        for message in messages:
            topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
            if (error := message.error()) is None:
                if self.ended:
                    self.ended.pop(Place(topic, partition), None)
                yield RawRecord(
                    topic, partition, offset, message.timestamp()[1], message.key(), message.value(), _headers(message)
                )
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- its name
                self.ended[Place(topic, partition)] = offset
            elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED and not self._group:
                pass  # librdkafka looks for the coordinator of a group that we don't use, and a part has no right to
            elif not error.retriable() or error.fatal():
                raise KafkaException(error)

    def partitions(self, topic: str, timeout_s: float = REQUEST_S) -> int:
        """How many partitions a topic has. Raises SinkUnavailable where there is no such topic."""
        with self._trouble.told(f"{topic} can't be looked at"):
            found = self._consumer.list_topics(topic, timeout=timeout_s).topics[topic]
            if found.error is not None:
                raise KafkaException(found.error)
            return len(found.partitions)

    def watermarks(self, place: Place, *, cached: bool = False) -> tuple[int, int]:
        """The first offset that the log holds, and the one after the last that readers may see.

        `cached`: as they were when something of the partition was read last; nothing is asked of Kafka.
        """
        with self._trouble.told(f"the ends of {place.topic} {place.partition} are not known"):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=REQUEST_S, cached=cached)
            return low, high

    def offsets_at(self, places: Collection[Place], time_ms: int) -> dict[Place, int]:
        """Where the records begin that are of `time_ms` (Unix) or later; `END` where there is none."""
        with self._trouble.told("the log can't be searched by time"):
            asked = [TopicPartition(*place, max(time_ms, 0)) for place in places]
            found = self._consumer.offsets_for_times(asked, timeout=REQUEST_S)
            for part in found:
                if part.error is not None:
                    raise KafkaException(part.error)
            return {Place(p.topic, p.partition): p.offset if p.offset >= 0 else END for p in found}

    def committed(self, places: Collection[Place]) -> dict[Place, int | None]:
        """The positions that the group keeps; None where it has none. Positions of open transactions are waited for."""
        with self._trouble.told("positions can't be read"):
            found = self._consumer.committed([TopicPartition(*place) for place in places], timeout=REQUEST_S)
            for part in found:
                if part.error is not None:
                    raise KafkaException(part.error)
            return {Place(p.topic, p.partition): p.offset if p.offset >= 0 else None for p in found}

    def noted(self, place: Place) -> tuple[int | None, str]:
        """`committed` of one place, and the note that was committed with it."""
        with self._trouble.told("positions can't be read"):
            [found] = self._consumer.committed([TopicPartition(*place)], timeout=REQUEST_S)
            if found.error is not None:
                raise KafkaException(found.error)
            return (found.offset, found.metadata or "") if found.offset >= 0 else (None, "")

    def commit(self, positions: Mapping[Place, int], note: str = "") -> None:
        """Tell the group, in passing, where we are, with a note beside it; if that gets lost nobody minds."""
        with contextlib.suppress(KafkaException):
            offsets = [TopicPartition(*place, offset, note) for place, offset in positions.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Leave the group and let go of the connections."""
        with contextlib.suppress(KafkaException, RuntimeError):
            self._consumer.close()


class Producer:
    """Sends records. Equal keys go to the partition to which the gateways and Java would send them."""

    def __init__(self, cluster: Cluster, transactional_id: str | None = None) -> None:
        """With a transactional id, `open` comes first, and only `transact` sends."""
        self._trouble = Trouble(cluster)
        self._failed: KafkaError | None = None
        self._group: dict[str, confluent_kafka.Consumer] = {}
        self._cluster = cluster
        options: dict[str, Any] = {
            "partitioner": "murmur2_random",
            "compression.type": COMPRESSION,
            "linger.ms": 2,
            "enable.idempotence": True,
            "acks": "all",
            "message.max.bytes": 2 * BATCH_BYTES,  # the topic knows better
            "delivery.timeout.ms": int(REQUEST_S * 1000),
            "queue.buffering.max.kbytes": 65_536,
        }
        if transactional_id is not None:
            options |= {"transactional.id": transactional_id, "transaction.timeout.ms": TRANSACTION_MS}
        self._producer = confluent_kafka.Producer({**connection(cluster, self._trouble), **options})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def send(self, record: Record) -> None:
        """Have a record sent soon; `flush` says whether it was.

        Raises:
            RecordRejected: it is too large. SinkUnavailable: too much waits to be sent.
        """
        with self._trouble.told(f"a record for {record.topic} can't be sent"):
            try:
                self._put(record)
            except BufferError:
                self.flush()
                self._put(record)

    def _put(self, record: Record) -> None:
        self._producer.produce(
            record.topic,
            record.value,
            record.key,
            -1 if record.partition is None else record.partition,
            on_delivery=self._delivered,
            timestamp=record.timestamp_ms or 0,
            headers=list(record.headers),
        )

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None and self._failed is None and error.code() not in _DROPPED:
            self._failed = error

    def flush(self, timeout_s: float = REQUEST_S) -> None:
        """Return when all that was sent is in the log. Raises SinkUnavailable, SinkRefused, RecordRejected."""
        self._trouble.check(self._producer)
        with self._trouble.told("records can't be sent"):
            left = self._producer.flush(timeout_s)
            self._raise_failed()
        if left:
            raise SinkUnavailable(f"{left} records were not confirmed within {timeout_s:g} s", hint=LOOK)

    def open(self) -> None:
        """Fence whoever had this transactional id, and end what it left open. Raises SinkUnavailable, SinkRefused."""
        with self._trouble.told("transactions can't begin"):
            self._producer.init_transactions(REQUEST_S)

    def answers(self, timeout_s: float) -> bool:
        """Whether Kafka does, now: a transaction, once begun, waits for it longer than it is told to."""
        with contextlib.suppress(KafkaException):
            self._producer.list_topics(timeout=timeout_s)
            return True
        return False

    def transact(
        self,
        records: Iterable[Record],
        group: str | None = None,
        positions: Mapping[Place, int] | None = None,
    ) -> None:
        """Records, and a group's positions where there are any, in one transaction.

        Raises:
            SinkUnavailable: Kafka may have all of it or none of it: ask for the positions.
            RecordRejected: it will never take one of these.

        After either, this producer is of no use any more.
        """
        offsets = [TopicPartition(*place, offset) for place, offset in (positions or {}).items()]
        with self._trouble.told("the transaction failed"):
            try:
                self._producer.begin_transaction()
                for record in records:
                    self._put(record)
                if group is not None:
                    self._producer.send_offsets_to_transaction(offsets, self._membership(group), REQUEST_S)
                self._producer.commit_transaction(REQUEST_S)
            except KafkaException:
                with contextlib.suppress(KafkaException):
                    self._producer.abort_transaction(REQUEST_S / 4)
                    self._producer.poll(0)  # it tells which record failed
                self._raise_failed()  # the first record's failure says more than what came of it
                raise

    def _raise_failed(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise KafkaException(failed)

    def _membership(self, group: str) -> Any:
        if group not in self._group:  # a group without members: the transactional id alone fences
            options = {**connection(self._cluster, self._trouble), "group.id": group}
            self._group[group] = confluent_kafka.Consumer(options)
        return self._group[group].consumer_group_metadata()

    def close(self) -> None:
        """Let go of the connections; what was not flushed is dropped."""
        self._producer.purge()
        with contextlib.suppress(KafkaException):
            self._producer.flush(0.2)
        for consumer in self._group.values():
            with contextlib.suppress(KafkaException, RuntimeError):
                consumer.close()
        self._group.clear()


def read_range(cluster: Cluster, place: Place, first: int, end: int) -> Iterator[list[RawRecord]]:
    """The records of a partition from offset `first` on and below `end`, in batches, and then it is over.

    Raises:
        SinkUnavailable, SinkRefused: as `Consumer.poll`. PositionLost: the log does not hold `first` any more.
    """
    if first >= end:
        return
    with Consumer(cluster) as consumer:
        consumer.partitions(
            place.topic
        )  # asked first: a partition that is not known yet is looked for in half a second
        consumer.assign({place: first})
        while place not in consumer.ended:
            if batch := consumer.poll():
                yield [record for record in batch if record.offset < end]
                if batch[-1].offset >= end - 1:
                    return


def read_to_end(cluster: Cluster, topic: str, partitions: Collection[int] | None = None) -> Iterator[list[RawRecord]]:
    """All records of a topic (or some of its partitions), in batches, until each partition's end was seen.

    Of a compacted topic, the last record of a key counts. Raises as `read_range` does.
    """
    with Consumer(cluster) as consumer:
        there = consumer.partitions(topic)  # asked for in any case, as in `read_range`
        wanted = range(there) if partitions is None else partitions
        places = [Place(topic, partition) for partition in wanted]
        consumer.assign(dict.fromkeys(places, BEGINNING))
        reached: set[Place] = set()
        while len(reached) < len(places):
            if batch := consumer.poll():
                yield batch
            reached |= consumer.ended.keys()


def partition_of(key: bytes, partitions: int) -> int:
    """Where a record with this key lies, in a topic with so many partitions; Java, aiokafka and `Producer` agree."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def _headers(message: Message) -> Headers:
    try:
        headers = _read_headers(message) or ()
    except (UnicodeDecodeError, SystemError):
        return ((HEADERS_LOST, b"a header's name is not UTF-8"),)
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in headers)
