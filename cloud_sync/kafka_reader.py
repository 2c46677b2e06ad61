"""The one module that reads from Kafka at the edge: whole partitions, from an offset on, without a consumer group.

Positions are the reader's own, kept beside what it makes of the records.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

from cloud_sync.kafka_connection import be_quiet, connecting, connection, translated
from cloud_sync.resume import Log, Place
from cloud_sync.settings import ConnectionSettings
from heat.errors import ConfigError, SinkRefused

FETCH_BYTES = 1024 * 1024
"""bytes of one answer of a broker: the event loop unpacks it in some milliseconds."""
PARTITION_BYTES = 256 * 1024
"""bytes of one partition in it; a single record may be larger."""
READ_RECORDS = 500
"""Records that are handed up at a time."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record. A value of None is a tombstone."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Records of one partition, in their order, and where the next one is to be read."""

    place: Place
    records: Sequence[Arrived]
    next: int


class KafkaReader:
    """A consumer of given partitions. After any exception it is of no use but to be closed."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: ConnectionSettings, cluster: str) -> None:
        self._consumer = consumer
        self._settings = settings
        self._cluster = cluster

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, settings: ConnectionSettings, topics: Iterable[str]
    ) -> AsyncIterator[tuple[KafkaReader, Mapping[Place, Log]]]:
        """A reader and all partitions of those of the topics that are there; none of them is created.

        Raises:
            SinkUnavailable: Kafka can't be reached.
            SinkRefused: it does not let us in, or we don't trust it.
        """
        be_quiet()
        try:
            security = await asyncio.to_thread(settings.security)
        except ConfigError as error:
            raise SinkRefused(error.args[0], hint=error.hint) from error
        consumer = AIOKafkaConsumer(
            **connection(settings, security),
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_BYTES,
            max_poll_records=READ_RECORDS,
            check_crcs=settings.position == "kafka",  # the mock cluster's are wrong
        )
        try:
            async with connecting(settings, security) as admin:
                await admin.start()
                await consumer.start()
                cluster, places = await _look(admin, settings, topics)
                reader = cls(consumer, settings, cluster)
                consumer.assign([TopicPartition(*place) for place in places])
                logs = await reader._logs(places)
            yield reader, logs
        finally:
            client = consumer._client  # noqa: SLF001 -- no public way
            writers = [one._writer for one in client._conns.values() if one._writer is not None]  # noqa: SLF001 -- as above
            # a fetch under way cancels aiokafka's stop() before it comes to its connections
            await _end(consumer.stop(), settings.close_timeout_s)
            await _end(_closed(client, writers), settings.close_timeout_s)

    def seek(self, place: Place, offset: int) -> None:
        """Read on from here."""
        self._consumer.seek(TopicPartition(*place), offset)

    async def read(self, wait_s: float) -> list[Stretch]:
        """What there is, or comes within this time. Raises SinkUnavailable, SinkRefused."""
        with translated("reading failed"):
            found = await self._consumer.getmany(timeout_ms=int(wait_s * 1000))
            return [
                Stretch(
                    Place(*place),
                    [Arrived(r.offset, r.timestamp, r.key, r.value) for r in records],
                    await self._consumer.position(place),
                )
                for place, records in found.items()
            ]

    async def next_offset(self, place: Place) -> int:
        """Where the next record of a partition is to be read: further than the last one, where others were removed."""
        with translated("reading failed"):
            async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                return int(await self._consumer.position(TopicPartition(*place)))

    async def look(self, places: Iterable[Place]) -> Mapping[Place, Log]:
        """The partitions as they are now: a broker that does not answer is noticed here alone."""
        with translated("Kafka does not answer"):
            async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                return await self._logs(places)

    async def _logs(self, places: Iterable[Place]) -> dict[Place, Log]:
        asked = [TopicPartition(*place) for place in places]
        if not asked:
            return {}
        starts, ends = await self._consumer.beginning_offsets(asked), await self._consumer.end_offsets(asked)
        return {Place(*place): Log(self._cluster, starts[place], ends[place]) for place in asked}


async def _look(
    admin: AIOKafkaAdminClient, settings: ConnectionSettings, topics: Iterable[str]
) -> tuple[str, list[Place]]:
    """The cluster's id, and the partitions of those of the topics that are there."""
    wanted = list(topics)
    if settings.position == "kafka":
        # a broker may create what it is asked about, with settings of its own; the mock cluster is to do just that
        there = set(await admin.list_topics())
        wanted = [topic for topic in wanted if topic in there]
    cluster = (await admin.describe_cluster())["cluster_id"]
    described = await admin.describe_topics(wanted) if wanted else []
    places = [Place(topic["topic"], p["partition"]) for topic in described for p in topic["partitions"]]
    return str(cluster), sorted(places)


async def _closed(client: AIOKafkaClient, writers: Sequence[asyncio.StreamWriter]) -> None:
    """Close all connections, and see them closed: TLS says goodbye, and aiokafka does not wait for what it let go."""
    try:
        await client.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
    finally:
        for writer in writers:
            writer.transport.abort()


async def _end(closing: Coroutine[Any, Any, None], within_s: float) -> None:
    """Close something, whatever comes of it."""
    task = asyncio.create_task(closing)
    _, late = await asyncio.wait({task}, timeout=within_s)
    if late:
        task.cancel()
        await asyncio.wait({task}, timeout=within_s)
    if task.done() and not task.cancelled():
        task.exception()
