"""Read what is in Kafka, as a test wants it: all records of some topic, from given offsets to its end."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cloud_sync.envelope import Received, decode
from cloud_sync.topics import DEAD_LETTERS, EVENTS, SAMPLES
from tests.waiting import wait_until_async

Isolation = Literal["read_committed", "read_uncommitted"]
Offsets = dict[TopicPartition, int]


async def read(
    bootstrap: str, topic: str, isolation: Isolation = "read_committed", since: Offsets | None = None
) -> list[Any]:
    """Every record that a reader with this isolation sees now, partition by partition, each in order.

    "Now" ends at the last stable offset for `read_committed`: what follows an open transaction is not there yet.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level=isolation, auto_offset_reset="earliest", max_poll_records=10_000
    )
    records: list[Any] = []
    try:
        await consumer.start()
        places = await places_of(bootstrap, topic)
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, (since or {}).get(place, 0))
        for place in places:
            consumer.pause(*(other for other in places if other != place))
            consumer.resume(place)
            while await consumer.position(place) < ends[place]:
                found = await consumer.getmany(place, timeout_ms=200)
                records += [record for record in found.get(place, []) if record.offset < ends[place]]
    finally:
        await consumer.stop()
    return records


async def end_of(bootstrap: str, topic: str, isolation: Isolation = "read_committed") -> Offsets:
    """Where a topic ends now for readers of this isolation; nowhere if there is none yet."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation)
    try:
        await consumer.start()
        ends: Offsets = await consumer.end_offsets(await places_of(bootstrap, topic))
        return ends
    finally:
        await consumer.stop()


async def places_of(bootstrap: str, topic: str) -> list[TopicPartition]:
    """A topic's partitions; none if there is no such topic."""
    async with _admin(bootstrap) as admin:
        (found,) = await admin.describe_topics([topic])
    return sorted(TopicPartition(topic, partition["partition"]) for partition in found["partitions"])


async def no_transaction_is_open(bootstrap: str, topic: str) -> bool:
    """Whether the last stable offset is the end, in every partition: nothing hides what follows it."""
    stable, written = (
        await end_of(bootstrap, topic, "read_committed"),
        await end_of(bootstrap, topic, "read_uncommitted"),
    )
    return stable == written


async def markers_written(bootstrap: str) -> None:
    """Wait until readers see what was committed: Kafka answers a commit some milliseconds before they do.

    What a killed producer left open hides it, too, until its time is up.
    """
    for topic in (EVENTS.name, DEAD_LETTERS.name):
        await wait_until_async(lambda topic=topic: no_transaction_is_open(bootstrap, topic), 90.0, f"{topic} is whole")  # type: ignore[misc]


async def topic_config(bootstrap: str, topic: str) -> dict[str, str]:
    """A topic's whole configuration."""
    async with _admin(bootstrap) as admin:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((_, _, _, _, entries),) = answer.resources
    return {name: value for name, value, *_ in entries}


async def set_topic_config(bootstrap: str, topic: str, config: dict[str, str]) -> None:
    """Replace what a topic's configuration sets."""
    async with _admin(bootstrap) as admin:
        (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    assert [code for code, *_ in answer.resources] == [0]


@contextlib.asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def read_events(
    bootstrap: str, origin: str, isolation: Isolation = "read_committed", since: Offsets | None = None
) -> dict[int, list[Received]]:
    """The events of one gateway by partition, in the order of their offsets; what was committed is among them."""
    if isolation == "read_committed":
        await markers_written(bootstrap)
    by_partition: dict[int, list[Received]] = defaultdict(list)
    for record in await read(bootstrap, EVENTS.name, isolation, since):
        received = decode(record.value)
        assert isinstance(received, Received), received
        if received.origin == origin:
            by_partition[record.partition].append(received)
    return by_partition


async def read_samples(bootstrap: str, origin: str) -> list[Received]:
    """What one gateway summed up of sensors."""
    await wait_until_async(lambda: no_transaction_is_open(bootstrap, SAMPLES.name), 90.0, "the topic is whole")
    found = [decode(record.value) for record in await read(bootstrap, SAMPLES.name)]
    return [one for one in found if isinstance(one, Received) and one.origin == origin]


def ids(events: dict[int, list[Received]] | Iterable[Received]) -> list[str]:
    """Event ids, sorted."""
    flat = [event for part in events.values() for event in part] if isinstance(events, dict) else events
    return sorted(str(event.id) for event in flat)
