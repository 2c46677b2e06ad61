"""Wiping: what customers left here, or all of this gateway, for whoever hands it on. Done at a start, as ordered.

    data_dir/wipe     the order; it goes last, so that a power cut in between has the next start go on

Files are written over before they go, and SQLite writes over what it deletes. That is as far as software gets: flash
keeps old blocks aside where nothing reads them but somebody who opens the chip. Who needs more, destroys the card.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from cloud_sync.durable import sync_directory
from gateway.backup import archive
from heat.errors import BackupUnusable, StoreError

log = logging.getLogger("gateway.backup")

ORDER = "wipe"
KEPT = {"lock", "instances", ORDER}
"""The lock is held; the ids of our processes are chance, and tell Kafka that this card is no stranger."""
What = Literal["customers", "everything"]
KEPT_TABLES = {
    "_sqlite_migrations", "applied", "arrivals", "boots", "bottle_pours", "bottles", "calibration_runs", "commands",
    "consents", "dispenser_boots", "dispenser_plans", "dispensers", "downlink", "epochs", "events", "gaps",
    "instances", "ledger", "losses", "meta", "ranked", "recalls", "releases", "sequences", "site_pours",
}  # fmt: skip
"""Tables that are about no customer; all others are emptied, so that one that comes later is not forgotten. `events`
is emptied in a way of its own, and `consents` stays: who said that they don't want to be known must not be learned."""
_PIECE_BYTES = 1024 * 1024


class Order(msgspec.Struct, frozen=True):
    """What is to be wiped."""

    what: What
    by: str
    at_ms: int
    keep_unsent: bool
    """Whether events stay that Kafka has not: they are pruned like others once it has."""


def order(data_dir: Path, what: What, by: str, *, keep_unsent: bool) -> None:
    """Have the next start wipe, which can't be taken back; of `everything` nothing is kept. Raises BackupUnusable."""
    new = data_dir / f"{ORDER}.new"
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(Order(what, by, int(time.time() * 1000), keep_unsent)))
            file.flush()
            os.fsync(file.fileno())
        new.rename(data_dir / ORDER)
        sync_directory(data_dir)
    except OSError as error:
        raise BackupUnusable(f"{new}: {error.strerror}", hint="See that this disk works and has space") from error


def finish(data_dir: Path) -> Order | None:
    """Wipe what was ordered, or go on with it. The directory must be locked, and nothing of it open.

    Raises:
        StoreError: the disk does not do it. The next start goes on with it.
    """
    try:
        told = msgspec.json.decode((data_dir / ORDER).read_bytes(), type=Order)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        hint = f"Give the order again, or remove {data_dir / ORDER}"
        raise StoreError(f"{data_dir / ORDER} can't be read", hint=hint) from error
    try:
        if told.what == "everything":
            _wipe_everything(data_dir)
        else:
            _wipe_customers(data_dir, keep_unsent=told.keep_unsent)
        (data_dir / ORDER).unlink()
        sync_directory(data_dir)
    except (OSError, sqlite3.Error) as error:
        hint = "See that this disk works; the next start goes on with it"
        raise StoreError(f"{data_dir}: it can't be wiped: {error}", hint=hint) from error
    log.warning("%s in %s was wiped, as %s said", told.what, data_dir, told.by)
    return told


def _wipe_everything(data_dir: Path) -> None:
    for path in data_dir.iterdir():
        if path.name not in KEPT:
            _wipe_files(path)
    sync_directory(data_dir)


def _wipe_files(place: Path) -> None:
    """Write over a file, or all files of a directory, and remove it; nothing, if it is not there."""
    for path in (*sorted(place.rglob("*"), reverse=True), place):  # what is in a directory comes before it
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif path.exists() or path.is_symlink():
            if path.is_file() and not path.is_symlink():
                _write_over(path)
            path.unlink()


def _write_over(path: Path) -> None:
    left = path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        while left > 0:
            left -= file.write(bytes(min(left, _PIECE_BYTES)))
        os.fsync(file.fileno())


def _wipe_customers(data_dir: Path, *, keep_unsent: bool) -> None:
    """Empty what is about customers, and copies of it; what dispensers count goes on."""
    for name in ("quarantine", "restore"):
        _wipe_files(data_dir / name)
    path = data_dir / archive.DATABASE
    if not path.exists():
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=ON").fetchall()
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite|_%' ESCAPE '|'"
        emptied = {name for (name,) in connection.execute(tables)} - KEPT_TABLES
        connection.execute("BEGIN IMMEDIATE")
        for table in emptied:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- our own tables
        connection.execute("UPDATE bottle_pours SET subject = NULL WHERE subject IS NOT NULL")
        if not keep_unsent:
            last = "(SELECT seq FROM sqlite_sequence WHERE name = 'events')"
            connection.execute(f"UPDATE meta SET value = ifnull({last}, value) WHERE key = 'confirmed'")  # noqa: S608
        confirmed = "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed')"
        # the last one that Kafka has tells it that this is the database it knows: it stays, as nobody's
        connection.execute(f"DELETE FROM events WHERE position < {confirmed}")  # noqa: S608
        connection.execute(f"UPDATE events SET subject = NULL WHERE position = {confirmed}")  # noqa: S608
        connection.execute("COMMIT")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def at_stake(connection: sqlite3.Connection) -> int:
    """Rows that Kafka has not, and that would be lost."""
    last, confirmed = connection.execute(
        "SELECT ifnull((SELECT max(position) FROM events), 0), CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'"
    ).fetchone()
    return max(int(last) - int(confirmed), 0)
