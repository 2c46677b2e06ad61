"""The one module that writes to Kafka: a sink that takes batches of records, each as one transaction with a position.

It can be closed in bounded time whatever the broker does, which aiokafka's own `stop()` can't: that waits for Kafka to
take what is unsent.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterable
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    ProducerClosed,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from cloud_sync.kafka_connection import be_quiet, connecting, connection, translated
from cloud_sync.position import KafkaPosition, Note, decode_note, encode_note
from cloud_sync.record import Record
from cloud_sync.refusal import NOT_ALLOWED
from cloud_sync.settings import Security, UplinkSettings
from cloud_sync.topics import OUTBOX, outbox_group
from heat.errors import ConfigError, SinkRefused, SinkUnavailable

COMPRESSION = "zstd"
BATCH_BYTES = 128 * 1024
"""bytes of records in one batch, before compression: the event loop stands still while one is compressed."""
BREATH = 16
"""Records after which the event loop gets its turn: a customer's pick may be waiting."""
_POSITION = TopicPartition(OUTBOX.name, 0)

Packed = tuple[str, int, Any]
"""Topic, partition, and an aiokafka batch for them."""


class KafkaSink:
    """A transactional producer under the gateway's name. After any exception it is of no use but to be closed."""

    def __init__(self, settings: UplinkSettings, security: Security) -> None:
        """Call it in a running event loop."""
        self._settings = settings
        self._group = outbox_group(settings.gateway)
        self._producer = AIOKafkaProducer(
            **connection(settings, security),
            transactional_id=settings.gateway,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            acks="all",
            enable_idempotence=True,
            compression_type=COMPRESSION,
            max_batch_size=BATCH_BYTES,
        )
        partition = DefaultPartitioner()
        self._partition = functools.lru_cache(4096)(lambda key, count: partition(key, range(count), ()))

    @classmethod
    async def open(cls, settings: UplinkSettings) -> tuple[Self, KafkaPosition | None]:
        """A sink, and the position that Kafka keeps for it: whoever used its name before is fenced by now.

        Raises:
            SinkUnavailable: Kafka can't be reached, or lacks a topic that we can't create.
            SinkRefused: it does not let us in, or we don't trust it.
        """
        be_quiet()
        try:
            security = await asyncio.to_thread(settings.security)
        except ConfigError as error:
            raise SinkRefused(error.args[0], hint=error.hint) from error
        sink = cls(settings, security)
        try:
            async with connecting(settings, security) as admin:
                await admin.start()
                await _ensure_topics(admin, settings)
                await sink._producer.start()
                return sink, await sink._read_position(admin)
        except BaseException:
            await sink.aclose()
            raise

    async def _read_position(self, admin: AIOKafkaAdminClient) -> KafkaPosition | None:
        if self._settings.position == "sqlite":
            return None
        offsets = await admin.list_consumer_group_offsets(self._group, partitions=[_POSITION])
        if _POSITION not in offsets:
            # aiokafka drops an error of the whole group: taking it for "no position" would send everything twice
            raise SinkUnavailable(f"the coordinator of {self._group} is not ready", hint="It will be asked again")
        found = offsets[_POSITION]
        return None if found.offset < 0 else KafkaPosition(found.offset, decode_note(found.metadata))

    async def pack(self, records: Iterable[Record]) -> list[Packed]:
        """Batches for one `commit`. Another one may be under way: nothing is sent here.

        Raises:
            SinkUnavailable: the brokers don't say which partitions there are.
        """
        packed: list[Packed] = []
        filling: dict[tuple[str, int], Any] = {}
        partitions: dict[str, int] = {}
        with translated("the transaction can't be made ready"):
            for number, record in enumerate(records, 1):
                if record.topic not in partitions:
                    partitions[record.topic] = len(await self._producer.partitions_for(record.topic))
                place = record.topic, self._partition(record.key, partitions[record.topic])
                batch = filling.get(place)
                if batch is None or not _append(batch, record):
                    batch = filling[place] = self._producer.create_batch()
                    packed.append((*place, batch))
                    _append(batch, record)
                if number % BREATH == 0:
                    await asyncio.sleep(0)
        return packed

    async def commit(self, packed: Iterable[Packed], position: tuple[int, Note] | None = None) -> None:
        """Send batches and position as one transaction. When this raises, Kafka may hold all of it or none of it.

        Without a position, the one that Kafka has stays.

        Raises:
            SinkUnavailable: it did not work, or it is not known whether it did.
            RecordRejected: Kafka will not take (one of) these records.
        """
        with translated("the transaction failed"):
            async with asyncio.timeout(self._settings.transaction_timeout_ms / 1000):
                await self._producer.begin_transaction()
                sent = [await self._send(*batch) for batch in packed]
                if position is not None and self._settings.position == "kafka":
                    offset, note = position
                    offsets = {_POSITION: OffsetAndMetadata(offset, encode_note(note))}
                    await self._producer.send_offsets_to_transaction(offsets, self._group)
                await asyncio.gather(*sent)  # a batch that failed would be left out of the commit in silence
                await self._producer.commit_transaction()

    async def _send(self, topic: str, partition: int, batch: Any) -> asyncio.Future[object]:
        batch.close()
        sent: asyncio.Future[object] = await self._producer.send_batch(batch, topic, partition=partition)
        sent.add_done_callback(_retrieve)
        return sent

    async def aclose(self) -> None:
        """Abort what is open, if Kafka answers, and let go of everything. Takes twice `close_timeout_s` at most."""
        producer, patience_s = self._producer, self._settings.close_timeout_s
        # aiokafka has no public way of ending at once
        manager, sender, unsent = producer._txn_manager, producer._sender, producer._message_accumulator  # noqa: SLF001
        if manager.is_in_transaction():
            with contextlib.suppress(KafkaError, IllegalOperation, TimeoutError):
                async with asyncio.timeout(patience_s):
                    await producer.abort_transaction()
        # stop() would wait for the requests in flight, so they are ended first; nothing but their coroutines knows them
        running = {task for task in asyncio.all_tasks() if _owner(task) is sender}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=patience_s / 2)
        unsent.fail_all(ProducerClosed())
        waiters = [batch._drain_waiter for queue in unsent._batches.values() for batch in queue]  # noqa: SLF001
        for future in (*waiters, manager.wait_for_transaction_end()):
            if future is not None and future.done():
                _retrieve(future)
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(patience_s / 2):
                await producer.stop()


def _append(batch: Any, record: Record) -> bool:
    return (
        batch.append(timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=list(record.headers))
        is not None
    )


def _retrieve(future: asyncio.Future[object]) -> None:
    """Look at a future's exception, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()


def _owner(task: asyncio.Task[Any]) -> object:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None


async def _ensure_topics(admin: AIOKafkaAdminClient, settings: UplinkSettings) -> None:
    topics = (*settings.topics, *settings.extra_topics)
    if settings.position == "sqlite":
        # the mock cluster creates what it is asked about, and knows no other way
        await admin.describe_topics([topic.name for topic in topics])
        return
    present = set(await admin.list_topics())
    missing = [topic for topic in topics if topic.name not in present]
    if not missing:
        return
    brokers = (await admin.describe_cluster())["brokers"]
    replication = min(settings.replication, len(brokers))
    made = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.settings) for topic in missing]
    )
    needed = [topic.name for topic in missing if topic in settings.topics]
    for name, code, *_ in made.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError and name in needed:
            hint = f"Have {', '.join(needed)} created, or let {settings.gateway} create topics"
            kind = SinkRefused if error in NOT_ALLOWED else SinkUnavailable
            raise kind(f"topic {name} is missing and can't be created: {error.__name__}", hint=hint)
