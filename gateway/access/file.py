"""`access.db`: a small SQLite file beside the events', so that nobody is locked out when those are lost.

One connection writes, behind a lock and in a thread; the event loop reads with one of its own, which no writer holds
up. A damaged file is set aside, and a new one begun: who had access is told by `AccessFile.damaged`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cloud_sync.durable import sync_directory
from heat.errors import StoreError

T = TypeVar("T")

FILE = "access.db"
ASIDE = "access.db.damaged"
VERSION = 1
BUSY_S = 5.0
"""s that a statement waits for whoever reads the file from outside."""
_SCHEMA = """
CREATE TABLE people (
    folded TEXT PRIMARY KEY, name TEXT NOT NULL, password TEXT NOT NULL, role INTEGER NOT NULL, language TEXT,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions (
    hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, person TEXT NOT NULL REFERENCES people(folded) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, address TEXT NOT NULL, browser TEXT NOT NULL
) STRICT;
CREATE TABLE tokens (
    hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, scope TEXT NOT NULL, maker TEXT NOT NULL,
    created_ms INTEGER NOT NULL, expires_ms INTEGER
) STRICT;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, via TEXT NOT NULL,
    method TEXT NOT NULL, route TEXT NOT NULL, parameters TEXT NOT NULL, words TEXT NOT NULL
) STRICT;
CREATE TABLE answers (
    key BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL,
    headers TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX answers_by_age ON answers(at_ms);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE snoozes (
    repair TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, who TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT;
"""


class AccessFile:
    """The open file."""

    def __init__(self, writer: sqlite3.Connection, reader: sqlite3.Connection, *, damaged: bool) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self.reader = reader
        """Reads, in the thread that opened the file."""
        self.damaged = damaged
        """Whether what was here was damaged and is set aside."""

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, done in one transaction, in a thread. Raises sqlite3.Error and what `work` raises."""
        return await asyncio.to_thread(self.write_now, work)

    def write_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like `write`, in this thread."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            return result

    def close(self) -> None:
        """Close both connections; whoever writes is let finish."""
        self.reader.close()
        with self._lock:
            self._writer.close()


def open_file(directory: Path) -> AccessFile:
    """The file of a data directory, made if there is none.

    Raises:
        StoreError: it can't be opened or written, or a newer Picante wrote it.
    """
    path = directory / FILE
    damaged = False
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists() and _is_damaged(path):
            _set_aside(path)
            damaged = True
        path.touch(0o600)
        path.chmod(0o600)
        belong(path)
        return AccessFile(_writer(path), _reader(path), damaged=damaged)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: {error}", hint="Free space, or let the gateway write it") from error


def belong(path: Path) -> None:
    """Give a file that root makes to whom its directory belongs: the daemon has to read it. Raises OSError."""
    if os.geteuid() == 0:
        of = path.parent.stat()
        os.chown(path, of.st_uid, of.st_gid)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{path}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=mode == "ro"
    )


def _is_damaged(path: Path) -> bool:
    try:
        with closing(_connect(path, "rw")) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return True
            connection.execute("SELECT * FROM sqlite_schema").fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return True
    return False


def _set_aside(path: Path) -> None:
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.rename(path.with_name(ASIDE))
    sync_directory(path.parent)


def _writer(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "rwc")
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 1048576")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        connection.close()
        raise StoreError(f"{path} was written by a newer Picante", hint="Install that version, or a later one")
    if version < VERSION:
        # one transaction: a kill leaves the old or the new
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    return connection


def _reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "ro")
    connection.row_factory = sqlite3.Row
    return connection
