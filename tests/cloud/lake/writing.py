"""A writer of the lake for tests, in this process or as one that kills itself.

    python -m tests.cloud.lake.writing BOOTSTRAP TOPIC FOLDER before|after N

dies (SIGKILL) right before, or right after, the N-th commit to a table.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cloud.kafka import Producer
from cloud.lake.columns import EVENT_TABLE, RAW
from cloud.lake.lake import Lake
from cloud.lake.table import LakeTable
from cloud.lake.writer import Bounds, LakeWriter
from cloud.librdkafka import Cluster
from cloud_sync.envelope import encode
from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Record
from heat.errors import PicanteError
from tests.cloud_sync.examples import pours
from tests.waiting import wait_until

SMALL = Bounds(rows=50, seconds=0.2)


def lake_of(topic: str, folder: Path) -> Lake:
    """A lake whose events come from this topic."""
    return Lake(str(folder), kinds=(RAW, replace(EVENT_TABLE, topic=topic)))


def writer_of(bootstrap: str, topic: str, folder: Path, bounds: Bounds = SMALL, group: str | None = None) -> LakeWriter:
    """A writer in a group of its own, unless one is given: nobody waits until the group has noticed a kill."""
    group = group or f"picante-test-{secrets.token_hex(6)}"
    return LakeWriter(Cluster(bootstrap), lake_of(topic, folder), bounds, [topic], group)


@contextmanager
def running(writer: LakeWriter) -> Iterator[None]:
    """The writer runs; what it raised is raised at the end."""
    stop, failed = threading.Event(), []

    def run() -> None:
        try:
            writer.run(stop)
        except PicanteError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


def send_pours(bootstrap: str, topic: str, count: int, first: int = 1) -> None:
    """Pours of many customers, and a record that is none after every tenth."""
    with Producer(Cluster(bootstrap)) as producer:
        for row in pours(count, first):
            assert isinstance(row, StoredEvent)
            producer.send(replace(encode(row), topic=topic))
            if row.id.sequence % 10 == 0:
                producer.send(Record(topic, b"poison", b"{", (("a", b"1"), ("a", b"2"))))
        producer.flush()


def ids(folder: Path) -> list[str]:
    """The ids of the events in the lake, sorted: one that is there twice shows twice."""
    table = LakeTable(str(folder), EVENT_TABLE)
    return sorted(table.delta.to_pyarrow_table(columns=["id"])["id"].to_pylist()) if table.read() else []


def places(folder: Path) -> list[tuple[int, int]]:
    """Partition and offset of each raw row, sorted."""
    table = LakeTable(str(folder), RAW)
    if not table.read():
        return []
    rows = table.delta.to_pyarrow_table(columns=["partition", "offset"]).to_pylist()
    return sorted((row["partition"], row["offset"]) for row in rows)


def wait_for_rows(folder: Path, count: int) -> None:
    """Until the lake has so many raw rows, at least, and the writer could have gone on to the events."""
    wait_until(lambda: len(places(folder)) >= count, 20, f"{count} raw rows")


def die_at(when: str, number: int) -> None:
    """Have this process killed at a commit."""
    commit: Callable[..., None] = LakeTable._commit
    commits = 0

    def dying(*arguments: object) -> None:
        nonlocal commits
        commits += 1
        if when == "before" and commits == number:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(*arguments)
        if when == "after" and commits == number:
            os.kill(os.getpid(), signal.SIGKILL)

    LakeTable._commit = dying  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    bootstrap, topic, folder, when, number = sys.argv[1:]
    die_at(when, int(number))
    writer_of(bootstrap, topic, Path(folder)).run(threading.Event())
