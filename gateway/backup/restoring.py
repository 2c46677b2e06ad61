"""Putting a backup back: checked while the gateway runs, swapped in at its next start, in one step for all who look.

    data_dir/restore/incoming     the file as it came
    data_dir/restore/staged/      its files, checked; with plan.json
    data_dir/restore/go           the order: the next start does it
    data_dir/restore/before/      what was replaced, until somebody says that all is well
    data_dir/restore/done.json    what was put back, as long as `before` is kept

A kill or a power cut before `go` is on disk leaves the old, one after it the new: `finish`, which runs at each start
before anything is opened, goes on where it was cut off. Each step is a rename, and is done only where it was not.

It is the database that is put back. Who may sign in and what was set up come from the backup only where there is none
of it, on a new Pi: somebody who was let go, or a token that was withdrawn, would be in again. Of the dispensers' keys
those that are known here count: one that was changed since would lock its dispenser out (`keyring.merge`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec
from sqlite_utils import Database

from cloud_sync.durable import sync_directory
from gateway import database, keyring
from gateway.backup import archive
from gateway.backup.archive import Header
from gateway.backup.making import SPARE_BYTES, named_files
from gateway.config import Config
from gateway.setup_file import CODE
from heat.errors import BackupUnusable, ConfigError, StoreError

log = logging.getLogger("gateway.backup")

DIRECTORY = "restore"
INCOMING = "incoming"
_STAGED, _GO, _BEFORE, _DONE, _PLAN = "staged", "go", "before", "done.json", "plan.json"
_SUFFIXES = ("", "-shm", "-wal")
"""Of a database: without the file itself the others mean nothing, so it goes first. What is staged has none of them."""

Why = Literal["backup", "take back"]


class Plan(msgspec.Struct, frozen=True):
    """What is about to be put back, or was."""

    why: Why
    header: Header
    by: str = ""
    """Who said so."""
    at_ms: int = 0
    """When it was put back, Unix time, ms, by this gateway's clock."""


def incoming(data_dir: Path) -> Path:
    """Where a backup's file is put before it is checked; its directory is there."""
    place = data_dir / DIRECTORY
    place.mkdir(mode=0o700, exist_ok=True)
    return place / INCOMING


def arrived(data_dir: Path) -> Header | None:
    """What the file that came says of itself; None where none came. Raises BackupUnusable."""
    try:
        with (data_dir / DIRECTORY / INCOMING).open("rb") as file:
            return archive.read_header(file)[0]
    except FileNotFoundError:
        return None


def staged(data_dir: Path) -> Plan | None:
    """What was checked and waits for the order; None where nothing does."""
    return _read(data_dir / DIRECTORY / _STAGED / _PLAN)


def done(data_dir: Path) -> Plan | None:
    """What was put back, while what was before is kept."""
    return _read(data_dir / DIRECTORY / _DONE)


def ordered(data_dir: Path) -> bool:
    """Whether the next start puts it back."""
    return (data_dir / DIRECTORY / _GO).exists()


def _read(path: Path) -> Plan | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError):
        return None


# -- checked while the gateway runs ---------------------------------------------------------------------------------


def check(config: Config, passphrase: str | None) -> Plan:
    """Unpack the file that came and check all of it. Blocks for seconds; nothing in use is touched.

    Raises:
        BackupUnusable: it is damaged, of another gateway or a newer Picante, or there is no room.
    """
    data_dir = config.path(config.gateway.data_dir)
    place = data_dir / DIRECTORY
    unpacked = place / f"{_STAGED}.new"
    _remove(unpacked)
    _remove(place / _STAGED)
    try:
        with (place / INCOMING).open("rb") as file:
            header, raw = archive.read_header(file)
            _see_that_it_fits(header, config, place)
            unpacked.mkdir(mode=0o700)
            archive.extract(file, header, raw, passphrase, unpacked)
        _check_database(unpacked / archive.DATABASE)
        if (unpacked / archive.KEYRING).exists():
            keyring.load(unpacked, {})
        if (unpacked / archive.ACCESS).exists():
            _end_sessions(unpacked / archive.ACCESS)
        plan = Plan("backup", header)
        _write(unpacked / _PLAN, plan)
        unpacked.rename(place / _STAGED)
        sync_directory(place)
    except FileNotFoundError:
        raise BackupUnusable("no backup was sent", hint="Send its file first") from None
    except OSError as error:
        _remove(unpacked)
        raise BackupUnusable(f"{place}: {error.strerror}", hint="See that this disk works and has space") from error
    except ConfigError as error:
        _remove(unpacked)
        raise BackupUnusable("the backup's keyring is damaged", hint="Take another backup") from error
    except BackupUnusable:
        _remove(unpacked)
        raise
    return plan


def _see_that_it_fits(header: Header, config: Config, place: Path) -> None:
    if header.gateway != config.gateway.id:
        hint = f'Where this one is to take its place, set id = "{header.gateway}" in [gateway] first'
        raise BackupUnusable(f"it is a backup of {header.gateway}, and this is {config.gateway.id}", hint=hint)
    known = {migration.name for migration in database.migrations.pending(Database(memory=True))}
    if set(header.migrations) - known:
        hint = f"Install Picante {header.software}, or a later one"
        raise BackupUnusable("a newer Picante made this backup", hint=hint)
    if shutil.disk_usage(place).free < header.bytes_ + SPARE_BYTES:
        hint = "Free some space: what is there now is kept beside it"
        raise BackupUnusable(f"there is no room for its {header.bytes_ // 2**20} MiB", hint=hint)


def _check_database(path: Path) -> None:
    try:
        database.connect(path, thorough=True).connection.close()
        _fold(path)
    except (StoreError, sqlite3.Error) as error:
        raise BackupUnusable(f"its database can't be used: {error.args[0]}", hint="Take another backup") from error


def _end_sessions(path: Path) -> None:
    """Whoever was signed in at the old machine signs in again. Raises BackupUnusable."""
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM sessions")
        _fold(path)
    except sqlite3.Error as error:
        raise BackupUnusable(f"its people can't be read: {error}", hint="Take another backup") from error


def _fold(path: Path) -> None:
    """Leave nothing of a database in its WAL. Raises sqlite3.Error."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def order(data_dir: Path, by: str) -> Plan:
    """Have the next start put back what was checked. From here on it will happen. Raises BackupUnusable."""
    place = data_dir / DIRECTORY
    if (plan := staged(data_dir)) is None:
        raise BackupUnusable("nothing was checked yet", hint="Send a backup, and have it checked, first")
    try:
        _write(place / _STAGED / _PLAN, msgspec.structs.replace(plan, by=by))
        (place / _DONE).unlink(missing_ok=True)
        _remove(place / _BEFORE)
        (place / _BEFORE).mkdir(mode=0o700)
        _write(place / _GO, plan)
        sync_directory(place)
    except OSError as error:
        raise BackupUnusable(f"{place}: {error.strerror}", hint="See that this disk works and has space") from error
    return plan


def take_back(data_dir: Path, by: str) -> Plan:
    """Have the next start put back what was there before the last restore. Raises BackupUnusable."""
    place = data_dir / DIRECTORY
    plan = done(data_dir)
    if plan is None or not (place / _BEFORE / archive.DATABASE).exists():
        raise BackupUnusable("nothing was put back that could be taken back", hint="Put another backup back")
    try:
        _remove(place / _STAGED)
        _fold(place / _BEFORE / archive.DATABASE)
        _write(place / _BEFORE / _PLAN, Plan("take back", plan.header))
        (place / _BEFORE).rename(place / _STAGED)
        sync_directory(place)
    except OSError as error:
        raise BackupUnusable(f"{place}: {error.strerror}", hint="See that this disk works and has space") from error
    except sqlite3.Error as error:
        hint = "What was there before is damaged, too: put a backup back"
        raise BackupUnusable(f"{place / _BEFORE}: {error}", hint=hint) from error
    return order(data_dir, by)


def settle(data_dir: Path) -> None:
    """All is well: what was there before is not needed any more. Raises OSError."""
    place = data_dir / DIRECTORY
    (place / _DONE).unlink(missing_ok=True)
    _remove(place / _BEFORE)
    sync_directory(place)


def drop(data_dir: Path) -> None:
    """Forget what came and was checked, unless it was ordered already."""
    if not ordered(data_dir):
        (data_dir / DIRECTORY / INCOMING).unlink(missing_ok=True)
        _remove(data_dir / DIRECTORY / _STAGED)


# -- at a start -----------------------------------------------------------------------------------------------------


def finish(config: Config, now_ms: int | None = None) -> Plan | None:
    """Put back what was ordered, or go on with it. The directory must be locked, and nothing of it open.

    Returns what was put back; None where nothing was ordered.

    Raises:
        StoreError: the disk does not do it. The next start goes on with it.
    """
    data_dir = config.path(config.gateway.data_dir)
    place = data_dir / DIRECTORY
    if not (place / _GO).exists():
        return None
    plan = staged(data_dir)
    try:
        _keep_ours(data_dir, place / _STAGED)
        for name in archive.STATE:
            _swap(data_dir, place, name)
        _put_missing(config, place / _STAGED / archive.NAMED.rstrip("/"))
        if plan is not None:
            at_ms = int(time.time() * 1000) if now_ms is None else now_ms
            plan = msgspec.structs.replace(plan, at_ms=at_ms)
            _write(place / _DONE, plan)
        (place / _STAGED / _PLAN).unlink(missing_ok=True)
        (place / _GO).unlink()
        sync_directory(place)
        _remove(place / _STAGED)
        (place / INCOMING).unlink(missing_ok=True)
    except OSError as error:
        hint = "See that this disk works and has space; the next start goes on with it"
        raise StoreError(f"{place}: the backup can't be put back: {error.strerror}", hint=hint) from error
    if plan is not None:
        what = "what was there before the restore" if plan.why == "take back" else "a backup"
        log.warning("%s was put back, as %s said: rows up to %d", what, plan.by or "somebody", plan.header.stored)
    return plan


def _keep_ours(data_dir: Path, unpacked: Path) -> None:
    """See this module's docstring."""
    for name in (archive.ACCESS, archive.SETUP, archive.MARK):
        if (data_dir / name).exists():
            (unpacked / name).unlink(missing_ok=True)
    if (unpacked / archive.ACCESS).exists():
        (data_dir / CODE).unlink(missing_ok=True)  # whoever comes by the backup has set it up
    if (unpacked / archive.KEYRING).exists():
        try:
            keyring.merge(data_dir / archive.KEYRING, unpacked / archive.KEYRING)
        except ConfigError:
            log.warning("the keyring is damaged: the backup's takes its place")


def _swap(data_dir: Path, place: Path, name: str) -> None:
    """Put one file of the state in the place of another, which is kept."""
    new = place / _STAGED / name
    if not new.exists():
        return  # it has none, or this was done
    for suffix in _SUFFIXES:
        old = data_dir / f"{name}{suffix}"
        if old.exists():
            old.rename(place / _BEFORE / old.name)
    sync_directory(place / _BEFORE)
    new.rename(data_dir / name)
    sync_directory(data_dir)


def _put_missing(config: Config, unpacked: Path) -> None:
    """Files that gateway.toml names and that aren't there: on a new Pi. What is there is never written over."""
    for name, path in named_files(config):
        source = unpacked / name
        if source.exists() and not path.exists():
            with contextlib.suppress(OSError):  # /etc may be root's: the start says which file is missing
                _write_bytes(path, source.read_bytes())


def _write(path: Path, plan: Plan) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    _write_bytes(new, msgspec.json.encode(plan))
    new.rename(path)
    sync_directory(path.parent)


def _write_bytes(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
