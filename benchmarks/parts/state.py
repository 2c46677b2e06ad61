"""The pipeline's states on disk: how large they are, and how far."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from cloud.pipeline.reading import StateReader, state_files
from cloud.pipeline.subjects import Subjects
from cloud_sync.topics import EVENTS
from heat.errors import StoreError

ROWS = 500
"""Customers that are looked at for the size of their sums."""


def unpublished(directory: Path) -> int:
    """How many customers have sums that are not published."""
    return sum(
        _one(database, "SELECT count(*) FROM subjects WHERE version > published") for database in _states(directory)
    )


def folded(directory: Path) -> int:
    """The sum of the positions, once there is a state of each partition of the events; 0 until then."""
    files = state_files(directory, EVENTS.name)
    try:
        return sum(map(_position, files)) if len(files) == EVENTS.partitions else 0
    except StoreError:
        return 0  # it is being made


def _position(path: Path) -> int:
    with StateReader.open(path) as state:
        return state.position()


def size(directory: Path) -> dict[str, float]:
    """Bytes of pages for a customer and an identity, indices included; and what a customer's sums take as JSON."""
    taken, rows = {"identities": 0, "subjects": 0}, {"identities": 0, "subjects": 0}
    json_bytes, looked, days = 0, 0, 0
    for database in _states(directory):
        for table in rows:
            rows[table] += _one(database, f"SELECT count(*) FROM {table}")  # noqa: S608 -- names of ours
        names = [name for (name,) in database.execute("SELECT name FROM subjects LIMIT ?", (ROWS,))]
        for subject in Subjects(database).load(names).values():
            json_bytes += len(msgspec.json.encode(subject.tally.rows()))
            days += len({day for _, day, _ in subject.tally.dump()[0]})
            looked += 1
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            database.backup(copy)
            page = _one(copy, "PRAGMA page_size")
            for table in taken:
                free = _one(copy, "PRAGMA freelist_count")
                copy.execute(f"DROP TABLE {table}")
                taken[table] += page * (_one(copy, "PRAGMA freelist_count") - free)
    return {
        "identity": taken["identities"] / rows["identities"],
        "customer": taken["subjects"] / rows["subjects"],
        "customer_json": json_bytes / looked,
        "customers": rows["subjects"],
        "days": days / looked,
    }


def _states(directory: Path) -> Iterator[sqlite3.Connection]:
    for path in sorted(directory.glob("*.db")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            yield database


def _one(database: sqlite3.Connection, query: str) -> int:
    (value,) = database.execute(query).fetchone()
    return int(value)
