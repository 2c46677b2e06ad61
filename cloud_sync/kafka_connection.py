"""How Kafka is reached, for whoever produces or consumes: options, a first connection, what its errors mean to us.

aiokafka's exceptions are mapped here, once, for the uplink and the downlink.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalOperation,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
)

from cloud_sync.refusal import NOT_ALLOWED, lacking, refusal
from cloud_sync.settings import ConnectionSettings, Security, addresses
from heat.errors import RecordRejected, SinkRefused, SinkUnavailable, SyncError

KNOCKS = 8
"""Addresses of either kind at which is knocked to find out why: a large cluster has more brokers than reasons."""
_REJECTIONS = (MessageSizeTooLargeError, RecordListTooLargeError)


def connection(settings: ConnectionSettings, security: Security) -> dict[str, Any]:
    """What aiokafka's clients are told of brokers and credentials."""
    return {"bootstrap_servers": settings.bootstrap, **_options(settings, security)}


def _options(settings: ConnectionSettings, security: Security) -> dict[str, Any]:
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
async def connecting(settings: ConnectionSettings, security: Security) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, for as long as a connection may take; what goes wrong with it is told as `open` says."""
    what = f"{settings.bootstrap} can't be used"
    admin = AIOKafkaAdminClient(**connection(settings, security))
    try:
        with translated(what):
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


async def _refusal(settings: ConnectionSettings, security: Security, admin: AIOKafkaAdminClient) -> SinkRefused | None:
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


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Kafka's errors as ours, each beginning with `what`."""
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


def be_quiet() -> None:
    """Leave the log to our one line per change of state: aiokafka writes several for each attempt."""
    log = logging.getLogger("aiokafka")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_is_no_trace_of_a_timeout)


def _is_no_trace_of_a_timeout(record: logging.LogRecord) -> bool:
    """aiokafka, cancelled while it asks its first broker, drops the connection; that closes itself, and complains."""
    return not record.getMessage().startswith("Unclosed AIOKafkaConnection")
