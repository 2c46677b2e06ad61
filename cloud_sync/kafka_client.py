"""The one module that speaks to Kafka: a sink that takes batches of records, each as one transaction with a position.

It maps aiokafka's exceptions once, and it can be closed in bounded time whatever the broker does, which aiokafka's own
`stop()` can't: that waits for Kafka to take what is unsent.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalOperation,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from cloud_sync.position import KafkaPosition, Note, decode_note, encode_note
from cloud_sync.record import Record
from cloud_sync.refusal import NOT_ALLOWED, lacking, refusal
from cloud_sync.settings import Security, UplinkSettings, addresses
from cloud_sync.topics import OUTBOX, outbox_group
from heat.errors import ConfigError, RecordRejected, SinkRefused, SinkUnavailable, SyncError

COMPRESSION = "zstd"
BATCH_BYTES = 128 * 1024
"""bytes of records in one batch, before compression: the event loop stands still while one is compressed."""
BREATH = 16
"""Records after which the event loop gets its turn: a customer's pick may be waiting."""
KNOCKS = 8
"""Addresses of either kind at which is knocked to find out why: a large cluster has more brokers than reasons."""
_REJECTIONS = (MessageSizeTooLargeError, RecordListTooLargeError)
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
            **_connection(settings, security),
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
        _be_quiet()
        try:
            security = await asyncio.to_thread(settings.security)
        except ConfigError as error:
            raise SinkRefused(error.args[0], hint=error.hint) from error
        sink = cls(settings, security)
        try:
            async with _connecting(settings, security) as admin:
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
        with _translated("the transaction can't be made ready"):
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

    async def commit(self, packed: Iterable[Packed], position: int, note: Note) -> None:
        """Send batches and position as one transaction. When this raises, Kafka may hold all of it or none of it.

        Raises:
            SinkUnavailable: it did not work, or it is not known whether it did.
            RecordRejected: Kafka will not take (one of) these records.
        """
        with _translated("the transaction failed"):
            async with asyncio.timeout(self._settings.transaction_timeout_ms / 1000):
                await self._producer.begin_transaction()
                sent = [await self._send(*batch) for batch in packed]
                if self._settings.position == "kafka":
                    offsets = {_POSITION: OffsetAndMetadata(position, encode_note(note))}
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


def _connection(settings: UplinkSettings, security: Security) -> dict[str, Any]:
    return {"bootstrap_servers": settings.bootstrap, **_options(settings, security)}


def _options(settings: UplinkSettings, security: Security) -> dict[str, Any]:
    """What aiokafka's single connections take, too."""
    return {
        "client_id": f"picante-{settings.gateway}",
        "request_timeout_ms": settings.request_timeout_ms,
        **_security(security),
    }


def _security(security: Security) -> dict[str, Any]:
    sasl = security.username is not None
    protocol = ("SASL_" if sasl else "") + ("SSL" if security.tls else "PLAINTEXT")
    options: dict[str, Any] = {"security_protocol": protocol, "ssl_context": security.tls}
    if sasl:
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password,
        }
    return options


@contextlib.asynccontextmanager
async def _connecting(settings: UplinkSettings, security: Security) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, for as long as a connection may take; what goes wrong with it is told as `open` says."""
    what = f"{settings.bootstrap} can't be used"
    admin = AIOKafkaAdminClient(**_connection(settings, security))
    try:
        with _translated(what):
            async with asyncio.timeout(settings.connect_timeout_s):
                yield admin
    except SinkRefused:
        raise
    except Exception as error:
        # aiokafka does not tell why, and there may be something to mend; a stranger's answer breaks it in many ways
        if (refused := await _refusal(settings, security, admin)) is not None:
            raise refused from error
        if isinstance(error, SyncError):
            raise
        raise SinkUnavailable(f"{what}: {error!r}", hint="Look whether it is a Kafka that answers there") from error
    finally:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(settings.close_timeout_s / 2):
                await admin.close()


async def _refusal(settings: UplinkSettings, security: Security, admin: AIOKafkaAdminClient) -> SinkRefused | None:
    """Knock at once at the bootstrap's brokers and those that these told of, for as long as one request may take.

    The first refusal, or None where all that fails is the network.
    """
    if security == Security():
        return None  # in clear and without a login nobody has anything to refuse
    told = [(broker.host, broker.port) for broker in admin._client.cluster.brokers()]  # noqa: SLF001 -- no public way
    places = dict.fromkeys([*addresses(settings.bootstrap)[:KNOCKS], *told[:KNOCKS]])
    refusals: dict[tuple[str, int], SinkRefused] = {}

    async def knock(host: str, port: int) -> None:
        try:
            connection = await create_conn(host, port, **_options(settings, security))
        except Exception as error:  # noqa: BLE001 -- as above, whatever a stranger's answer breaks
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if (refused := refusal(error, place, security)) is not None:
                refusals[host, port] = refused
        else:
            await connection.close()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.request_timeout_ms / 1000), asyncio.TaskGroup() as group:
            for place in places:
                group.create_task(knock(*place))
    return next((refusals[place] for place in places if place in refusals), None)


async def _ensure_topics(admin: AIOKafkaAdminClient, settings: UplinkSettings) -> None:
    if settings.position == "sqlite":
        # the mock cluster creates what it is asked about, and knows no other way
        await admin.describe_topics([topic.name for topic in settings.topics])
        return
    present = set(await admin.list_topics())
    missing = [topic for topic in settings.topics if topic.name not in present]
    if not missing:
        return
    brokers = (await admin.describe_cluster())["brokers"]
    replication = min(settings.replication, len(brokers))
    made = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.settings) for topic in missing]
    )
    for name, code, *_ in made.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            hint = f"Have {', '.join(topic.name for topic in missing)} created, or let {settings.gateway} create topics"
            kind = SinkRefused if error in NOT_ALLOWED else SinkUnavailable
            raise kind(f"topic {name} is missing and can't be created: {error.__name__}", hint=hint)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except _REJECTIONS as error:
        raise RecordRejected(f"{what}: {error!r}", hint="The topic's max.message.bytes is too small for it") from error
    except InvalidTimestampError as error:
        hint = "Set message.timestamp.type=LogAppendTime on the topic, or this machine's clock"
        raise SinkUnavailable(f"{what}: Kafka does not believe this machine's clock", hint=hint) from error
    except ProducerFenced as error:
        hint = "Either the transaction took too long, or a second gateway runs under this name"
        raise SinkUnavailable(f"{what}: another producer took over", hint=hint) from error
    except NOT_ALLOWED as error:
        hint = "Give the gateway's login the rights that docs/operations.md lists"
        raise SinkRefused(f"{what}: the login may not do that ({lacking(error)})", hint=hint) from error
    except TimeoutError as error:
        raise SinkUnavailable(f"{what}: no answer in time", hint="Check the network and Kafka") from error
    except (KafkaError, IllegalOperation, OSError, AssertionError) as error:
        # aiokafka asserts, too: of a broker that was silent at the wrong moment, that it knows a coordinator
        why = error.__cause__ or error  # aiokafka hides some of the broker's answers behind "unexpected error"
        raise SinkUnavailable(f"{what}: {why!r}", hint="Check the network and Kafka") from error


def _be_quiet() -> None:
    """Leave the log to our one line per change of state: aiokafka writes several for each attempt."""
    log = logging.getLogger("aiokafka")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_is_no_trace_of_a_timeout)


def _is_no_trace_of_a_timeout(record: logging.LogRecord) -> bool:
    """aiokafka, cancelled while it asks its first broker, drops the connection; that closes itself, and complains."""
    return not record.getMessage().startswith("Unclosed AIOKafkaConnection")
