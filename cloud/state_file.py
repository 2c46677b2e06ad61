"""A part's own SQLite file, for what can be had again: one that is damaged, or of another layout, is made anew."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from heat.errors import ConfigError, StoreError, StoreFull

log = logging.getLogger("cloud.state_file")

_NOT_OURS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_HINT = "cloud.data_dir of cloud.toml must be a folder that we may write to"


def open_state(path: Path, schema: str) -> sqlite3.Connection:
    """The file's connection, in autocommit; `schema` are the statements that make its tables.

    It outlives kills; a power cut may take the last transactions from it.

    Raises:
        ConfigError: it can't be there. StoreError: it can't be used now.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path.parent}: {error.strerror}", hint=_HINT) from error
    with _told(path):
        try:
            return _opened(path, schema)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            log.warning("made anew: %s", path, extra={"error": str(error)})
        for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
        return _opened(path, schema)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the statements or none. Raises StoreError for what SQLite raises."""
    with _told("the state"):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def _told(what: object) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _NOT_OURS:
            raise ConfigError(f"{what}: {error}", hint=_HINT) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreFull(f"{what}: the disk is full", hint="Make room; it goes on by itself") from error
        raise StoreError(f"{what}: {error}") from error


def _opened(path: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        has = _tables(connection)
        with contextlib.closing(sqlite3.connect(":memory:")) as made:
            made.executescript(schema)
            if has and has != _tables(made):
                raise sqlite3.DatabaseError("another layout")
        if connection.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
            raise sqlite3.DatabaseError("damaged")
        if not has:
            connection.executescript(f"BEGIN; {schema} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _tables(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
