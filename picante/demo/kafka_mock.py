"""librdkafka's mock cluster as a process: `python -m picante.demo.kafka_mock ADDRESS_FILE`.

It speaks Kafka's protocol, keeps at most 5 MB a partition in memory, does not isolate transactions, and keeps no
positions. It makes the contract's topics, with four partitions each, since a topic is there as soon as somebody who
would make it asks for it; then it writes its bootstrap address into the file, and lives until SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from confluent_kafka import Producer

from cloud_sync.topics import ALL


def main(address_file: str) -> None:
    """Serve until told to stop."""
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    for topic in ALL:
        cluster.list_topics(topic.name, timeout=10)
    metadata = cluster.list_topics(timeout=10)
    addresses = ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    target = Path(address_file)
    partial = target.with_suffix(".partial")
    partial.write_text(addresses)
    partial.rename(target)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(sys.argv[1])
