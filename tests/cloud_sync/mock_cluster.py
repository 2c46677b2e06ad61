"""The demo's mock cluster as a process that can be frozen, and what it holds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from cloud_sync.envelope import Received, decode
from cloud_sync.topics import EVENTS
from tests.waiting import wait_until

PATIENCE_S = 20.0


@dataclass(frozen=True)
class MockCluster:
    """A running mock cluster."""

    bootstrap: str
    pid: int


@contextlib.contextmanager
def mock_cluster(directory: Path) -> Iterator[MockCluster]:
    """A mock cluster of one broker, killed at the end; a topic exists from the first time that somebody asks for it."""
    address = directory / "kafka.address"
    command = [sys.executable, "-m", "picante.demo.kafka_mock", str(address)]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        wait_until(address.exists, PATIENCE_S, "the mock cluster has an address")
        yield MockCluster(address.read_text(), child.pid)
    finally:
        child.kill()
        child.wait()


def read_events(bootstrap: str) -> dict[int, list[Received]]:
    """All events in the cluster, by partition, each up to its end.

    aiokafka's consumer fails the CRC of the mock cluster's batches; this one does not.
    """
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True})
    found: dict[int, list[Received]] = {
        number: [] for number in consumer.list_topics(EVENTS.name, PATIENCE_S).topics[EVENTS.name].partitions
    }
    consumer.assign([TopicPartition(EVENTS.name, number, OFFSET_BEGINNING) for number in found])
    open_partitions = set(found)
    while open_partitions:
        message = consumer.poll(PATIENCE_S)
        assert message is not None, f"no end of {open_partitions}"
        number, value = message.partition(), message.value()
        assert number is not None
        if message.error():
            open_partitions.discard(number)
            continue
        received = decode(value or b"")
        assert isinstance(received, Received)
        found[number].append(received)
    consumer.close()
    return found
