"""Three Kafka brokers that lose one another and lose nothing: each replica thrice, two of three needed for an answer.

    with KafkaCluster(directory) as cluster:
        cluster.nodes[0].kill()
        cluster.nodes[0].start()
        cluster.wait_until_in_sync()
        cluster.transaction("gw-1")  # what its coordinator knows of a producer's transaction

Each node is broker and controller in one small JVM, 250 MB of memory. All calls block.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.proxy import with_listener
from tests.servers import KAFKA_READY_S, KafkaServer, free_port, kafka_id
from tests.waiting import wait_until

T = TypeVar("T")

NODES = 3
LOOK_S = 5.0
"""Seconds for one look at the cluster or one question to a node, which may be dying."""

_DESCRIBE_TRANSACTIONS = 65
"""Kafka's number for this request; aiokafka has no class for it."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """What every node is told of all of them."""

    cluster: str
    ports: tuple[int, ...]
    """Of the controllers; node 1 has the first."""
    directories: tuple[str, ...]

    @property
    def controllers(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]


class KafkaNode(KafkaServer):
    """One of a cluster's brokers. start() returns when it listens, which takes a majority of controllers.

    Each can be reached through a line of its own (`tests.proxy`).
    """

    java: tuple[str, ...] = ("-Xmx320m", "-XX:TieredStopAtLevel=1")

    def __init__(self, directory: Path, node: int, quorum: Quorum) -> None:
        super().__init__(directory)
        self.front, self.back = free_port(), free_port()
        self.node = node
        self._quorum = quorum

    def _properties(self) -> str:
        return with_listener(super()._properties(), self.front, self.back)

    def _placeholders(self) -> dict[str, object]:
        return {
            "node": self.node,
            "controller_port": self._quorum.ports[self.node - 1],
            "controllers": ",".join(self._quorum.controllers),
            "replicas": NODES,
            "in_sync": NODES - 1,
        }

    def _format_options(self) -> list[str]:
        members = zip(self._quorum.controllers, self._quorum.directories, strict=True)
        voters = ",".join(f"{node}@{address}:{directory}" for node, (address, directory) in enumerate(members, 1))
        return [f"--initial-controllers={voters}", f"--cluster-id={self._quorum.cluster}"]

    def _serves(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), 1.0).close()
            return True
        return False


@dataclass(frozen=True, slots=True)
class TransactionState:
    """What a coordinator knows of a transactional id."""

    state: str
    """Kafka's word: Empty, Ongoing, PrepareCommit, CompleteCommit, PrepareAbort, CompleteAbort, ..."""
    epoch: int
    """Of the producer; each that starts under the id has a higher one."""
    partitions: int
    """That take part in the transaction, the one of the positions included."""

    @property
    def open(self) -> bool:
        """Whether records or positions wait for a commit."""
        return self.state == "Ongoing"


class KafkaCluster:
    """Three nodes on loopback; `bootstrap` names them all."""

    def __init__(self, directory: Path) -> None:
        ports = tuple(free_port() for _ in range(NODES))
        quorum = Quorum(kafka_id(), ports, tuple(kafka_id() for _ in range(NODES)))
        self.nodes = [KafkaNode(directory / f"node-{node}", node, quorum) for node in range(1, NODES + 1)]

    @property
    def bootstrap(self) -> str:
        """What a client's `bootstrap_servers` wants."""
        return ",".join(node.bootstrap for node in self.nodes)

    def start(self) -> None:
        """Start all nodes, and return when groups and transactions have their coordinators."""
        with ThreadPoolExecutor(NODES) as threads:
            list(threads.map(lambda node: node.start(), self.nodes))
        ready = self.nodes[0].coordinates
        wait_until(lambda: _in_thread(ready()), KAFKA_READY_S, "the cluster has its coordinators")
        self.wait_until_in_sync()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL to every node."""
        for node in self.nodes:
            node.kill()

    def wait_until_in_sync(self, deadline_s: float = KAFKA_READY_S) -> None:
        """Return when every replica of every partition is in sync: then any one node may be lost."""
        wait_until(lambda: not _in_thread(self._lagging()), deadline_s, "every replica is in sync")

    async def _lagging(self) -> list[str]:
        """Partitions that lack a replica, or the leader's answer."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            async with asyncio.timeout(LOOK_S):
                await admin.start()
                topics = await admin.describe_topics()
        except (KafkaError, TimeoutError, OSError) as error:
            return [repr(error)]
        finally:
            await admin.close()
        parts = [(topic["topic"], part) for topic in topics for part in topic["partitions"]]
        return [f"{name} {part['partition']}" for name, part in parts if len(part["isr"]) < NODES or part["error_code"]]

    def transaction(self, transactional_id: str) -> TransactionState | None:
        """What the coordinator of a transactional id says; None while no node is it, or the id is unknown."""
        for node in self.nodes:
            if (found := describe_transaction(node.host, node.port, transactional_id)) is not None:
                return found
        return None


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine though an event loop may run in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


# -- DescribeTransactions, version 0: https://kafka.apache.org/protocol#The_Messages_DescribeTransactions --------------


def describe_transaction(host: str, port: int, transactional_id: str) -> TransactionState | None:
    """Ask one node; None if it is dead, or not the coordinator."""
    name, client = transactional_id.encode(), b"picante-test"
    header = struct.pack("!hhih", _DESCRIBE_TRANSACTIONS, 0, 0, len(client)) + client + b"\x00"
    body = header + b"\x02" + bytes([len(name) + 1]) + name + b"\x00"  # one name; lengths are one more than they say
    with contextlib.suppress(OSError), socket.create_connection((host, port), LOOK_S) as link:
        link.settimeout(LOOK_S)
        link.sendall(struct.pack("!i", len(body)) + body)
        with link.makefile("rb") as answer:
            size = answer.read(4)
            if len(size) == 4:
                return _decode_transaction(answer.read(*struct.unpack("!i", size)))
    return None


def _decode_transaction(answer: bytes) -> TransactionState | None:
    at = 4 + 1 + 4 + 1  # correlation id, header's tags, throttle time, how many answers
    (error,) = struct.unpack_from("!h", answer, at)
    if error:
        return None
    at += 2
    at += answer[at]  # the transactional id again
    state = answer[at + 1 : at + answer[at]].decode()
    at += answer[at]
    _timeout, _started, _producer, epoch = struct.unpack_from("!iqqh", answer, at)
    at += 22
    topics, partitions = answer[at] - 1, 0
    at += 1
    for _ in range(topics):
        at += answer[at]
        partitions += answer[at] - 1
        at += 1 + 4 * (answer[at] - 1) + 1
    return TransactionState(state, epoch, partitions)
