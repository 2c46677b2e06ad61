"""How the cloud reaches Kafka, and librdkafka's errors as ours: who refuses whom, and what to do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from cloud.config import CloudConfig
from cloud_sync.credentials import CredentialFiles
from heat.errors import RecordRejected, SinkRefused, SinkUnavailable, SyncError

REQUEST_S = 10.0
"""Seconds for an answer that we wait for, and for a batch to be confirmed."""
LOOK_S = 1.0
"""Seconds in which a broker has to answer when all of them had been lost: who is told to stop waits for us."""
MOCK = "mockCluster"
"""How the ids of librdkafka's mock clusters begin."""
GAVE_UP = "The log says why, a line or two before; it is tried again"
LOOK = "Look whether Kafka runs at kafka.bootstrap of cloud.toml"

_log = logging.getLogger("cloud.librdkafka")
_NOT_ALLOWED = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_REFUSED = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}  # noqa: SLF001 -- their names
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}  # noqa: SLF001
_LOST = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001


class PositionLost(SyncError):
    """The log no longer holds (or never held) the position that was asked for: begin anew."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """How to reach Kafka."""

    bootstrap: str
    """HOST:PORT, comma-separated."""
    options: Callable[[], Mapping[str, Any]] = dict
    """librdkafka's properties of security, asked at each connection: files that were renewed count. It may raise
    ConfigError."""
    client: str = "picante-cloud"
    session_ms: int = 10_000
    """ms after which a group takes a member that is silent for gone."""


def cluster_of(config: CloudConfig) -> Cluster:
    """The cluster that `[kafka]` of cloud.toml names."""
    kafka, files = config.kafka, CredentialFiles(config, "kafka", config.kafka)

    def options() -> dict[str, str]:
        files.tls()  # it says what is wrong with a file, which librdkafka does not
        protocol = ("SASL_" if kafka.username is not None else "") + ("SSL" if kafka.tls else "PLAINTEXT")
        named = {
            "ssl.ca.location": kafka.ca,
            "ssl.certificate.location": kafka.certificate,
            "ssl.key.location": kafka.key,
        }
        found = {name: str(config.path(file)) for name, file in named.items() if file is not None}
        if kafka.tls:
            found.setdefault("ssl.ca.location", "probe")
        if kafka.username is not None and (password := files.password()) is not None:
            found |= {"sasl.mechanism": kafka.sasl_mechanism}
            found |= {"sasl.username": kafka.username, "sasl.password": password}
        return {"security.protocol": protocol, **found}

    return Cluster(kafka.bootstrap, options, f"picante-{config.cloud.name}")


class Trouble:
    """What librdkafka tells of its connections, which no call raises; and what its exceptions mean."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._error: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """librdkafka's `error_cb`."""
        if error.code() in _REFUSED or self._error is None:
            self._error = error

    def check(self, client: Any) -> None:
        """Raise what was noted, unless Kafka answers now all the same: one broker of many, or an idle connection."""
        if (noted := self._error) is None:
            return
        try:
            client.list_topics(timeout=LOOK_S)
        except KafkaException as error:
            noted = self._error if self._error is not None and self._error.code() in _REFUSED else error.args[0]
            self._error = None
            raise self._as_ours("Kafka can't be used", noted) from error
        self._error = None
        if noted.fatal():
            raise self._as_ours("Kafka can't be used", noted)

    @contextlib.contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Raise librdkafka's exceptions as ours."""
        try:
            yield
        except (KafkaException, SystemError) as error:
            # what is fatal is raised while our callback or the log hears of it, which Python takes for a slip of the
            # library; where that was caught on its way, nothing is left of what it was, but its line in the log
            cause, noted = error.__cause__ if isinstance(error, SystemError) else error, self._error
            found = cause.args[0] if isinstance(cause, KafkaException) else noted
            if found is None:
                raise SinkUnavailable(f"{what}: {self._cluster.bootstrap}: the client gave up", hint=GAVE_UP) from error
            if noted is not None and noted.code() in _REFUSED:
                self._error, found = None, noted
            raise self._as_ours(what, found) from error

    def _as_ours(self, what: str, error: KafkaError) -> SyncError:
        code, text = error.code(), f"{what}: {self._cluster.bootstrap}: {error.str().rstrip('.')}"
        if code in _LOST:
            return PositionLost(text, hint="The topic was cut, or made anew")
        if code in _TOO_LARGE:
            return RecordRejected(text, hint="The topic's max.message.bytes is too small for it")
        if code in _NOT_ALLOWED:
            return SinkRefused(text, hint="Give the cloud's login the rights that deploy/kafka/acls lists")
        if code in _REFUSED:
            return SinkRefused(text, hint="Mend [kafka] in cloud.toml: ca, username, and the password's file")
        if code in _FENCED:
            return SinkUnavailable(text, hint="Another process has taken over, or the transaction took too long")
        if code in _NO_TOPIC:
            return SinkUnavailable(text, hint="picante cloud topics plan says which topics are missing")
        return SinkUnavailable(text, hint=LOOK)


def connection(cluster: Cluster, trouble: Trouble) -> dict[str, Any]:
    """The properties that every client has. Raises what `Cluster.options` raises."""
    return {
        "bootstrap.servers": cluster.bootstrap,
        "client.id": cluster.client,
        "error_cb": trouble.note,
        "logger": _log,
        "log_level": 0,  # what matters it tells by errors, too
        "socket.connection.setup.timeout.ms": 5_000,
        "reconnect.backoff.max.ms": 2_000,
        "allow.auto.create.topics": False,
        **cluster.options(),
    }


def topic_id(cluster: Cluster, topic: str) -> str | None:
    """What tells a topic from a later one of its name; None where the cluster has no such ids (the mock cluster).

    Raises:
        SinkUnavailable, SinkRefused: it can't be asked.
    """
    trouble = Trouble(cluster)
    admin = AdminClient(connection(cluster, trouble))
    with trouble.told(f"{topic} can't be looked at"):
        if str(admin.list_topics(topic, timeout=REQUEST_S).cluster_id).startswith(MOCK):
            return None  # it has no controller, and would be waited for
        collection = confluent_kafka.TopicCollection([topic])
        described = admin.describe_topics(collection, request_timeout=REQUEST_S)[topic]
        found = described.result(2 * REQUEST_S)  # it ends by itself, with an error that says more
        return str(found.topic_id) if found.topic_id is not None else None
