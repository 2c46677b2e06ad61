"""The parts of `picante cloud run`, each a process of its own, that can be stopped, looked at and killed.

Where a process stands is looked at while it is stopped (SIGSTOP), from outside: what it holds locked, what lies on the
disk, what is committed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import psutil
from confluent_kafka.admin import AdminClient

from cloud.lake.columns import EVENT_TABLE, RAW
from cloud.lake.table import LakeTable
from cloud.pipeline.reading import state_files
from cloud_sync.topics import DEAD_LETTERS, EVENTS
from tests.cluster import KafkaCluster
from tests.flow.world import Process
from tests.waiting import wait_until

Positions = dict[int, int]
"""By partition of the events: the offset that comes next."""

FOLDING = "between fold and commit"
CONFIRMING = "between publication and its mark"
REFUSING = "within a transaction of dead letters"
COMMITTING = "within a commit of the lake"
BESIDE = "beside"

_LEAVE_GROUP = 13
"""Kafka's number for this request."""
_ANSWER_S = 5.0


class Part:
    """One part, as often as it is started."""

    name = ""
    group = ""

    def __init__(self, directory: Path, cluster: KafkaCluster, toml: str) -> None:
        self.directory = directory / self.name
        self.directory.mkdir()
        self._cluster = cluster
        (self.directory / "cloud.toml").write_text(
            f'[cloud]\nparts = ["{self.name}"]\ndata_dir = "state"\n[kafka]\nbootstrap = "{cluster.bootstrap}"\n{toml}'
        )
        self._process: Process | None = None

    def start(self) -> None:
        """`picante cloud run`."""
        self._process = Process(self.directory, self.name, "cloud", "run", "--config", "cloud.toml")

    def stop(self) -> None:
        """SIGTERM. Raises AssertionError if it has ended before, or ends otherwise than it should."""
        status = self.running.stop(30)
        assert status == 0, f"{self.name} ended with {status}: {self.running.said()}"

    @property
    def running(self) -> Process:
        """The process, which has to run."""
        assert self._process is not None
        assert self._process.process.poll() is None, f"{self.name} ended by itself: {self._process.said()}"
        return self._process

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """It stands still within; then it goes on, if it lives."""
        pid = self.running.process.pid
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, 5, f"{self.name} stands still")
        try:
            yield
        finally:
            if self._process is not None and self._process.process.poll() is None:
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, at the end of a run too."""
        if self._process is not None and self._process.process.poll() is None:
            self._process.kill()

    def leave(self) -> None:
        """Tell the group that who was killed is gone: it would wait for them for ten seconds, each time."""
        admin = AdminClient({"bootstrap.servers": self._cluster.bootstrap})
        described = admin.describe_consumer_groups([self.group], request_timeout=10)[self.group].result(20)
        for member in described.members:
            for node in self._cluster.nodes:
                with contextlib.suppress(OSError):
                    _leave(node.host, node.port, self.group, member.member_id)

    def where(self) -> str:
        """What it is about; while it is stopped."""
        raise NotImplementedError

    def positions(self) -> Positions:
        """What of the events it has committed."""
        raise NotImplementedError


class PipelinePart(Part):
    """`pipeline`: where it stands is told by the locks on its states."""

    name = "pipeline"
    group = "picante-pipeline"
    letters = "picante-dead-letters"
    """How the transactional ids of the dead letters begin."""

    @property
    def files(self) -> Sequence[Path]:
        """Its states."""
        return state_files(self.directory / "state" / "pipeline", EVENTS.name)

    def where(self) -> str:
        """A state that is being written, and of which all that was folded before is published, is being folded into."""
        for path in self.files:
            if (found := _written(path)) is not None:
                return found
        return REFUSING if any(map(self._refuses, range(EVENTS.partitions))) else BESIDE

    def _refuses(self, partition: int) -> bool:
        transaction = self._cluster.transaction(f"{self.letters}-{partition}")
        return transaction is not None and transaction.open

    def positions(self) -> Positions:
        found: Positions = {}
        for path in self.files:
            with contextlib.suppress(sqlite3.Error), closing(_readers(path)) as state:
                found |= state.execute("SELECT partition, position FROM log").fetchall()
        return found

    def has_published(self) -> bool:
        """Whether nothing that was folded waits to be published."""
        waiting = 0
        for path in self.files:
            with closing(_readers(path)) as state:
                waiting += _unpublished(state)
        return not waiting


def _unpublished(state: sqlite3.Connection) -> int:
    (count,) = state.execute("SELECT count(*) FROM subjects WHERE version > published").fetchone()
    return int(count)


def _readers(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)


def _written(path: Path) -> str | None:
    """Which transaction is open on a state; None: none."""
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=0, isolation_level=None)) as state:
        try:
            state.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return None  # it has no tables yet
        else:
            state.execute("ROLLBACK")
            return None
    try:
        with closing(_readers(path)) as state:
            waiting = _unpublished(state)
    except sqlite3.Error:
        return None
    return CONFIRMING if waiting else FOLDING


class LakePart(Part):
    """`lake`: where it stands is told by its files."""

    name = "lake"
    group = "picante-lake"
    _left: Mapping[int, tuple[int, int]] = MappingProxyType({})
    """By partition: the tables' positions when it was killed last."""

    @property
    def folder(self) -> Path:
        """Of its tables."""
        return self.directory / "lake"

    def where(self) -> str:
        """One table has what the other lacks, or files lie there that no commit names."""
        raw, events = self._table(RAW.name), self._table(EVENT_TABLE.name)
        if raw is None or events is None:
            return BESIDE
        # two that a kill left apart stay so until something of that partition is committed
        apart = any(raw != events for raw, events in dict(self._both().items() - self._left.items()).values())
        return COMMITTING if apart or _unnamed(raw) or _unnamed(events) else BESIDE

    def kill(self) -> None:
        self._left = self._both()
        super().kill()

    def positions(self) -> Positions:
        return {number: min(both) for number, both in self._both().items()}

    def _both(self) -> dict[int, tuple[int, int]]:
        tables = self._table(RAW.name), self._table(EVENT_TABLE.name)
        raw, events = (
            {n: 0 if table is None else table.position(EVENTS.name, n) for n in range(EVENTS.partitions)}
            for table in tables
        )
        return {n: (raw[n], events[n]) for n in raw}

    def letters(self) -> int:
        """How far it has the dead letters."""
        raw = self._table(RAW.name)
        return 0 if raw is None else raw.position(DEAD_LETTERS.name, 0)

    def _table(self, name: str) -> LakeTable | None:
        table = LakeTable(str(self.folder), RAW if name == RAW.name else EVENT_TABLE)
        return table if (self.folder / name / "_delta_log").exists() and table.read() else None


def _unnamed(table: LakeTable) -> bool:
    """Whether files lie there, besides those that were left by others, that no commit names."""
    named = {Path(uri).name for uri in table.delta.file_uris()}
    newest = max((path.stat().st_mtime_ns for path in Path(table.folder).glob("_delta_log/*.json")), default=0)
    files = [path for path in Path(table.folder).glob("*/*/*.parquet") if path.stat().st_mtime_ns > newest]
    return any(path.name not in named for path in files)


class HotStorePart(Part):
    """`hot_store`, on Redis. It is not killed: Redis is."""

    name = "hot_store"


def _leave(host: str, port: int, group: str, member: str) -> None:
    """LeaveGroup, version 0: https://kafka.apache.org/protocol#The_Messages_LeaveGroup."""
    body = struct.pack("!hhih", _LEAVE_GROUP, 0, 0, -1)
    body += b"".join(struct.pack("!h", len(text)) + text for text in (group.encode(), member.encode()))
    with socket.create_connection((host, port), _ANSWER_S) as link:
        link.settimeout(_ANSWER_S)
        link.sendall(struct.pack("!i", len(body)) + body)
        link.recv(64)
