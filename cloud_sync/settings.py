"""How the uplink reaches Kafka and how it behaves there."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cloud_sync.topics import DEAD_LETTERS, EVENTS, GATEWAYS, OUTBOX, SAMPLES, Topic

Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@dataclass(frozen=True, slots=True)
class Security:
    """How brokers know us, and we them. Left alone: plaintext, for loopback and tests."""

    tls: ssl.SSLContext | None = None
    """Carries the trusted certificates, and the gateway's own where brokers ask for one."""
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str | None = None
    """None: no SASL."""
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How one gateway reaches Kafka, whatever it does there."""

    bootstrap: str
    """HOST:PORT, comma-separated."""
    gateway: str
    """The gateway's name: the transactional id, so two that run under one name fence each other."""
    position: Literal["kafka", "sqlite"] = "kafka"
    """Who says where to go on. `sqlite` is for librdkafka's mock cluster, which keeps no positions: at least once."""
    request_timeout_ms: int = 5_000
    """ms for one request; a broker that is silent for longer is taken for gone."""
    connect_timeout_s: float = 15.0
    """Seconds from the first packet to a position, over a bad line."""
    close_timeout_s: float = 0.3
    """Seconds that aborting may take, and letting go of the connections again: SIGTERM is obeyed within one second."""
    security: Callable[[], Security] = Security
    """Asked in a thread before each connection: files that were mended or renewed count. It may raise ConfigError; then
    that connection fails, and the next one asks again."""


@dataclass(frozen=True, slots=True)
class UplinkSettings(ConnectionSettings):
    """Settings of one gateway's uplink."""

    batch: int = 2000
    """Rows a transaction at most; transactions of 2,000 are as fast as plain sending, of 100 16 times slower."""
    interval_s: float = 1.0
    """Seconds between transactions while fewer rows than a batch wait; a transaction costs 35-52 ms however small."""
    transaction_timeout_ms: int = 10_000
    """ms; an open transaction hides other gateways' records from readers for so long, and at most 10 s more."""
    replication: int = 3
    """Replicas of topics that the uplink has to create; fewer where there are fewer brokers."""
    topics: tuple[Topic, ...] = (EVENTS, SAMPLES, DEAD_LETTERS, OUTBOX)
    """What must exist before anything is sent; to a missing topic, offsets would be sent for ever."""
    extra_topics: tuple[Topic, ...] = (GATEWAYS,)
    """What is created if it may be, and done without if not."""


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """Host and port of each broker: HOST:PORT, separated by commas, an IPv6 address in brackets.

    Raises:
        ValueError: which of them is none, and what it lacks.
    """
    return [_address(place) for place in bootstrap.split(",")]


def _address(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{place!r} does not end in a port from 1 to 65535: write HOST:PORT")
    try:
        if host.startswith("[") and host.endswith("]"):
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        if re.fullmatch(r"[^\s:/@\[\]]+", host) and host.encode("idna"):
            return host, int(port)
    except ValueError:
        pass  # it is said below
    hint = "write a name or an address alone, an IPv6 address in brackets, and no space"
    raise ValueError(f"{host!r} in {place!r} is no host: {hint}")
