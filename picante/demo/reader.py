"""Counts along what is in the topic, in a thread: which events, and which of them twice.

It reads from the beginning with librdkafka (aiokafka's consumer can't read the mock cluster), `read_committed`, and
keeps identities as sets of sequences, so that a demo that runs all day stays small. Records that are no event are
somebody else's: a Kafka of one's own may hold anything.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from cloud.kafka import Producer
from cloud.librdkafka import Cluster
from cloud_sync.envelope import Received, decode
from cloud_sync.record import Record
from cloud_sync.topics import GATEWAYS
from heat.errors import SyncError
from heat.identity import EventId, SequenceSet

FORGET_S = 2.0


class TopicReader:
    """Reads one topic to the end, for ever, and counts what one gateway (`origin`) sent."""

    def __init__(self, bootstrap: str, topic: str, origin: str) -> None:
        self.duplicates = 0
        self.reached = False
        """Whether Kafka has answered."""
        self._seen: dict[tuple[str, int], SequenceSet] = defaultdict(SequenceSet)
        self._lock = threading.Lock()
        self._bootstrap = bootstrap
        self._topic = topic
        self._origin = origin
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="topic-reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(3)

    def count(self, source: str, generation: int) -> int:
        """How many different events of a source are in the topic."""
        with self._lock:
            return self._seen[source, generation].count()

    def holds(self, event_id: EventId) -> bool:
        """Whether an event is in the topic."""
        with self._lock:
            return event_id.sequence in self._seen[event_id.source, event_id.generation]

    def _read(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "picante-demo-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 0,
                "fetch.wait.max.ms": 50,
            }
        )
        partitions = self._partitions(consumer)
        consumer.assign([TopicPartition(self._topic, partition, OFFSET_BEGINNING) for partition in partitions])
        while not self._stop.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            event = decode(message.value() or b"")
            if isinstance(event, Received) and event.origin == self._origin:
                self._note(event.id)
        consumer.close()

    def _partitions(self, consumer: Consumer) -> list[int]:
        while not self._stop.is_set():
            try:
                found = consumer.list_topics(self._topic, timeout=2).topics[self._topic].partitions
            except KafkaException:
                continue
            self.reached = True
            if found:
                return list(found)
            self._stop.wait(0.2)
        return []

    def _note(self, event_id: EventId) -> None:
        with self._lock:
            known = self._seen[event_id.source, event_id.generation]
            if event_id.sequence in known:
                self.duplicates += 1
            known.add(event_id.sequence)


def forget(bootstrap: str, gateway: str, topic: str = GATEWAYS.name) -> None:
    """Take a gateway's heartbeat back, so that nobody takes it for silent; nothing if Kafka does not answer now."""
    with suppress(SyncError), Producer(Cluster(bootstrap)) as producer:
        producer.send(Record(topic, gateway.encode(), None, ()))
        producer.flush(FORGET_S)
