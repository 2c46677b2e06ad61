"""Reads a Kafka topic from its beginning to its present end and prints a JSON line a record. A process of its own.

python -m tests.flow.read_topic BOOTSTRAP TOPIC read_committed|read_uncommitted
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys

from aiokafka import AIOKafkaConsumer, TopicPartition


async def read(bootstrap: str, topic: str, isolation: str) -> None:
    """Print all records."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer._client.add_topic(topic)
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while True:
            for records in (await consumer.getmany(timeout_ms=500, max_records=5000)).values():
                for record in records:
                    sys.stdout.write(json.dumps(_line(record)) + "\n")
            # positions move past aborted records and transaction markers as well
            if all([await consumer.position(partition) >= ends[partition] for partition in partitions]):
                return
    finally:
        await consumer.stop()


def _line(record: object) -> dict[str, object]:
    value = record.value  # type: ignore[attr-defined]
    try:
        decoded = json.loads(value)
    except ValueError:
        decoded = None
    return {
        "partition": record.partition,  # type: ignore[attr-defined]
        "offset": record.offset,  # type: ignore[attr-defined]
        "key": record.key.decode() if record.key else None,  # type: ignore[attr-defined]
        "headers": {name: content.decode(errors="replace") for name, content in record.headers},  # type: ignore[attr-defined]
        "value": decoded if isinstance(decoded, dict) else None,
        "bytes": base64.b64encode(value).decode(),
    }


if __name__ == "__main__":
    asyncio.run(read(*sys.argv[1:4]))
