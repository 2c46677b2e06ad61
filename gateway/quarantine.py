"""Where a damaged database goes: `data_dir/quarantine/TIME/`, with a note of why, until a person takes it away.

    quarantine/20260405T060708Z/gateway.db, gateway.db-wal, gateway.db-shm    moved there, untouched
    quarantine/20260405T060708Z/why.json                                      `Quarantined`

What belongs to the card and not to the database stays where it is: the lock, the ballast, the instances.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from heat.errors import StoreError, StoreFull

log = logging.getLogger("gateway.quarantine")

KEPT = 3
"""Databases; the oldest goes for a fourth. Fewer, but one at least, where the disk is short."""
DIRECTORY = "quarantine"
SUSPECT = "suspect"
"""A file in the data directory: a read or write failed, and the next start must check the whole database."""
_NOTE = "why.json"
_UNCONFIRMED = """
SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'events'), value FROM meta WHERE key = 'confirmed'
"""


class Quarantined(msgspec.Struct, frozen=True):
    """What was set aside, and why."""

    time: float
    """Unix time, s, by the gateway's clock."""
    part: Literal["database", "journal"]
    why: str
    lost: int | None
    """Rows at most that Kafka had not confirmed, or commits of a journal; None where nothing could be read."""
    directory: str = ""


def suspect(data_dir: Path) -> None:
    """Have the next start check the whole database."""
    with contextlib.suppress(OSError):  # then it is checked as at each start
        descriptor = os.open(data_dir / SUSPECT, os.O_WRONLY | os.O_CREAT, 0o600)
        os.fsync(descriptor)
        os.close(descriptor)


def set_aside(database: Path, why: str, room_bytes: int) -> Quarantined:
    """Move a damaged database away, so that a new one can be begun; older ones go where `room_bytes` aren't left.

    Raises:
        StoreFull: there is no space for even a note.
        StoreError: it can't be moved.
    """
    note = Quarantined(time.time(), "database", why, _unconfirmed(database))
    try:
        place = _make(database.parent, note)
        # the database first: without it, what is left of the others means nothing to SQLite
        for suffix in ("", "-wal", "-shm"):
            part = database.with_name(database.name + suffix)
            if part.exists():
                part.rename(place / part.name)
        _sync(database.parent)
        _sync(place)
    except OSError as error:
        raise _explain(f"{database} is damaged, and can't be set aside", error) from error
    log.error("the database is damaged and was set aside in %s: %s", place, why)
    _forget_old(database.parent, room_bytes)
    return note


def copy_journal(database: Path, lost_commits: int) -> None:
    """Keep a copy of a WAL that has commits behind a break; the database goes on without them.

    Raises:
        StoreFull: there is no space for it.
        StoreError: it can't be copied.
    """
    why = f"{lost_commits} commits lie behind a damaged place of its journal"
    place = None
    try:
        place = _make(database.parent, Quarantined(time.time(), "journal", why, lost_commits))
        shutil.copyfile(database.with_name(database.name + "-wal"), place / (database.name + "-wal"))
        _sync(place)
    except OSError as error:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)  # each start would leave another one
        raise _explain(f"{database}-wal is damaged, and can't be copied", error) from error
    log.error("the database's journal is damaged, %d commits are lost; a copy is in %s", lost_commits, place)
    _forget_old(database.parent, 0)


def quarantined(data_dir: Path) -> list[Quarantined]:
    """All that was set aside and is still there, newest first."""
    found = []
    for place in sorted((data_dir / DIRECTORY).glob("*"), reverse=True):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            note = msgspec.json.decode((place / _NOTE).read_bytes(), type=Quarantined)
            found.append(msgspec.structs.replace(note, directory=str(place)))
    return found


def _make(data_dir: Path, note: Quarantined) -> Path:
    name = datetime.fromtimestamp(note.time, UTC).strftime("%Y%m%dT%H%M%SZ")
    root = data_dir / DIRECTORY
    root.mkdir(exist_ok=True, mode=0o700)
    place = next(place for n in range(1000) if not (place := root / (f"{name}-{n:03}" if n else name)).exists())
    place.mkdir(mode=0o700)
    try:
        (place / _NOTE).write_bytes(msgspec.json.encode(note))
        _sync(place)
        _sync(root)
    except OSError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place


def _explain(what: str, error: OSError) -> StoreError:
    kind = StoreFull if error.errno == errno.ENOSPC else StoreError
    hint = "Free some space on its disk, or move gateway.db with its -wal and -shm to a larger one"
    return kind(f"{what}: {error.strerror}", hint=hint)


def _forget_old(data_dir: Path, room_bytes: int) -> None:
    for nth, old in enumerate(sorted((data_dir / DIRECTORY).glob("*"), reverse=True)):
        short = shutil.disk_usage(data_dir).free < room_bytes
        if nth >= KEPT or (nth and short):
            shutil.rmtree(old, ignore_errors=True)
            log.warning("an older database in quarantine was deleted: %s", old)


def _unconfirmed(database: Path) -> int | None:
    """Rows that Kafka had not confirmed, as far as the damaged file can be read."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            stored, confirmed = connection.execute(_UNCONFIRMED).fetchone()
            return max(int(stored) - int(confirmed), 0)
    except (sqlite3.Error, ValueError, TypeError):
        return None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
