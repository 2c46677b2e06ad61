"""Where a damaged database goes: `data_dir/quarantine/NUMBER-TIME/`, with a note of why, until a person takes it away.

    quarantine/000012-20260405T060708Z/gateway.db, gateway.db-wal, gateway.db-shm    moved there, untouched
    quarantine/000012-20260405T060708Z/why.json                                      `Quarantined`

Numbers give the order: the clock may be years behind at a start. What belongs to the card and not to the database stays
where it is: the lock, the ballast, the instances.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from cloud_sync.durable import sync_directory
from heat.errors import StoreError, StoreFull

log = logging.getLogger("gateway.quarantine")

KEPT = 3
"""Databases, and as many journals: the newest, and those that may hold the most. A gateway that breaks again and again
sets aside new databases, in which next to nothing is; the first one is what somebody will want to salvage."""
DIRECTORY = "quarantine"
SUSPECT = "suspect"
"""A file in the data directory: a read or write failed, and the next start must check the whole database."""
_NOTE = "why.json"
_NUMBERED = re.compile(r"([0-9]{6,})-")
_NEW_BYTES = 128 * 1024
"""What a new database and its WAL take: 80 to 125 KiB, measured."""
_ROW_BYTES = 200
"""Of an event at least, with its share of the indices: how many rows there may be where nothing can be read."""
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
    """Move a damaged database away, so that a new one can be begun.

    Where `room_bytes` aren't left, of those before it only the fullest stays.

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
        sync_directory(database.parent)
        sync_directory(place)
    except OSError as error:
        raise _explain(f"{database} is damaged, and can't be set aside", error) from error
    log.error("the database is damaged and was set aside in %s: %s", place, why)
    _forget(place, room_bytes)
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
        sync_directory(place)
    except OSError as error:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)  # each start would leave another one
        raise _explain(f"{database}-wal is damaged, and can't be copied", error) from error
    log.error("the database's journal is damaged, %d commits are lost; a copy is in %s", lost_commits, place)
    _forget(place, 0)


def quarantined(data_dir: Path) -> list[Quarantined]:
    """All that was set aside and is still there, newest first."""
    return [
        msgspec.structs.replace(note, directory=str(place))
        for place in sorted((data_dir / DIRECTORY).glob("*"), key=_number, reverse=True)
        if (note := _note(place)) is not None
    ]


def _make(data_dir: Path, note: Quarantined) -> Path:
    root = data_dir / DIRECTORY
    root.mkdir(exist_ok=True, mode=0o700)
    number = max(map(_number, root.iterdir()), default=0) + 1
    place = root / f"{number:06}-{datetime.fromtimestamp(note.time, UTC):%Y%m%dT%H%M%SZ}"
    place.mkdir(mode=0o700)
    try:
        (place / _NOTE).write_bytes(msgspec.json.encode(note))
        sync_directory(place)
        sync_directory(root)
    except OSError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place


def _number(place: Path) -> int:
    """Of a directory; 0 if we did not make it."""
    found = _NUMBERED.match(place.name)
    return int(found[1]) if found else 0


def _note(place: Path) -> Quarantined | None:
    try:
        return msgspec.json.decode((place / _NOTE).read_bytes(), type=Quarantined)
    except (OSError, msgspec.DecodeError):
        return None


def _explain(what: str, error: OSError) -> StoreError:
    kind = StoreFull if error.errno == errno.ENOSPC else StoreError
    hint = "Free some space on its disk, or move gateway.db with its -wal and -shm to a larger one"
    return kind(f"{what}: {error.strerror}", hint=hint)


def _forget(made: Path, room_bytes: int) -> None:
    """Delete what is too much of the kind of the one just made: the least full first, never that one or the fullest."""
    part = _part(made)
    ranked = sorted(
        (place for place in made.parent.iterdir() if _number(place) and place.is_dir() and _part(place) == part),
        key=lambda place: (_may_hold(place), _number(place)),
        reverse=True,
    )
    spare = [place for place in ranked[1:] if place != made]
    kept = len(ranked)
    while spare and (kept > KEPT or shutil.disk_usage(made).free < room_bytes):
        place = spare.pop()
        shutil.rmtree(place, ignore_errors=True)
        kept -= 1
        log.warning("of what is in quarantine, the least was deleted: %s", place)


def _part(place: Path) -> str:
    note = _note(place)
    return note.part if note is not None else "database"


def _may_hold(place: Path) -> int:
    """Rows that Kafka lacks, or commits: as its note says, else at most as many as its files have room for."""
    try:
        files = [file for file in place.iterdir() if file.name != _NOTE and not file.name.endswith("-shm")]
        size = sum(file.stat().st_size for file in files)
    except OSError:
        return 0
    note = _note(place)
    if size == 0 or note is None or note.lost is None:
        return max(size - _NEW_BYTES, 0) // _ROW_BYTES
    return note.lost


def _unconfirmed(database: Path) -> int | None:
    """Rows that Kafka had not confirmed, as far as the damaged file can be read."""
    try:
        if database.stat().st_size <= 1:
            return None  # SQLite takes it for a new one, and would delete its WAL
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            stored, confirmed = connection.execute(_UNCONFIRMED).fetchone()
            return max(int(stored) - int(confirmed), 0)
    except (OSError, sqlite3.Error, ValueError, TypeError):
        return None
