"""The database as a file: opened by the rules of storage, checked, migrated; SQLite's errors as ours.

What SQLite can see of a damaged file is seen at the start, before anything rests on it: broken pages, and tables that
aren't ours. A damaged WAL is another matter. SQLite takes its frames up to the first that is broken, and drops what
follows, in silence. A power cut breaks the last transaction only, which nobody was promised; where whole commits lie
behind the break, they had been on disk, and were lost (`lost_commits`).
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database, Migrations

from cloud_sync.durable import sync_directory
from gateway.migrations import (
    m0001_main_road,
    m0002_dispenser_boots,
    m0003_commands,
    m0004_dispenser_plans,
    m0005_losses,
    m0006_dispensers_lost,
    m0007_downlink,
    m0008_doses_and_consents,
    m0009_past_pours,
    m0010_ranked,
    m0011_site_pours,
    m0012_voids,
    m0013_ledger,
    m0014_bottles,
    m0015_calibration_runs,
)
from heat.errors import StoreCorrupt, StoreError, StoreFull

JOURNAL_LIMIT_BYTES = 16 * 1024 * 1024
BUSY_TIMEOUT_MS = 5_000

migrations = Migrations("gateway")
migrations(name="0001_main_road")(m0001_main_road.apply)
migrations(name="0002_dispenser_boots")(m0002_dispenser_boots.apply)
migrations(name="0003_commands")(m0003_commands.apply)
migrations(name="0004_dispenser_plans")(m0004_dispenser_plans.apply)
migrations(name="0005_losses")(m0005_losses.apply)
migrations(name="0006_dispensers_lost")(m0006_dispensers_lost.apply)
migrations(name="0007_downlink")(m0007_downlink.apply)
migrations(name="0008_doses_and_consents")(m0008_doses_and_consents.apply)
migrations(name="0009_past_pours")(m0009_past_pours.apply)
migrations(name="0010_ranked")(m0010_ranked.apply)
migrations(name="0011_site_pours")(m0011_site_pours.apply)
migrations(name="0012_voids")(m0012_voids.apply)
migrations(name="0013_ledger")(m0013_ledger.apply)
migrations(name="0014_bottles")(m0014_bottles.apply)
migrations(name="0015_calibration_runs")(m0015_calibration_runs.apply)

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_OURS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_SMALLEST_BYTES = 512
"""SQLite's smallest page; no database has less."""
_SALVAGE = "Move the file away to start anew; keep it for salvage"
_WAL_HEADER = struct.Struct(">IIIIIIII")
"""Magic number, version, page size, checkpoint, two salts, two checksums."""
_WAL_FRAME = struct.Struct(">IIII")
"""Page, size of the database after a commit or 0, two salts; two checksums follow."""
_WAL_FRAME_BYTES = 24
_WAL_MAGIC = 0x377F0682
"""Its last bit says whether checksums are of big-endian words."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The writer's connection, and what the look at the WAL found."""

    connection: sqlite3.Connection
    lost_commits: int
    """Commits in the WAL that SQLite can't reach; 0 after a crash or a power cut."""


def connect(path: Path, *, thorough: bool) -> Opened:
    """Open the database, or create it; nothing is written to one that is there. `thorough` checks all of it.

    Raises:
        StoreCorrupt: it is damaged, or no database of ours.
        StoreFull: there is no space for what even reading takes.
        StoreError: it can't be opened.
    """
    old_umask = os.umask(0o077)
    try:
        _see_that_there_is_one(path)
        journal = _commits(path.with_name(path.name + "-wal"))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    except sqlite3.Error as error:
        raise _explain(path, error) from error
    finally:
        os.umask(old_umask)
    connection.text_factory = mended_text
    try:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            f"journal_size_limit={JOURNAL_LIMIT_BYTES}",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        _check(path, connection, thorough=thorough)
        # whole, it has the next write begin the WAL anew: what a crash left there is not taken for lost commits later
        reached = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise _explain(path, error) from error
        raise
    beyond = sum(frame > reached for frame in journal)
    return Opened(connection, beyond if beyond > 1 else 0)


def _see_that_there_is_one(path: Path) -> None:
    """Create the database where there is none: whole or not at all, so that a file cut to nothing is seen as damage.

    SQLite would take that for a new database, and delete its WAL.
    """
    try:
        if (size := path.stat().st_size) < _SMALLEST_BYTES:
            raise StoreCorrupt(f"{path}: {size} bytes are left of it", hint=_SALVAGE)
    except FileNotFoundError:
        new = path.with_name(path.name + ".new")
        try:
            for stale in (*path.parent.glob(f"{new.name}*"), *path.parent.glob(f"{path.name}-*")):
                stale.unlink()  # a WAL without its database would be taken for one of the new one
            with closing(sqlite3.connect(new)) as connection:
                connection.execute("PRAGMA journal_mode=WAL").fetchall()
            new.rename(path)
            sync_directory(path.parent)
        except OSError as error:
            kind = StoreFull if error.errno == errno.ENOSPC else StoreError
            hint = "See that this disk works, has space, and lets the gateway write"
            raise kind(f"{path}: {error.strerror}", hint=hint) from error


def begin(path: Path, connection: sqlite3.Connection) -> None:
    """Migrate, and give the gateway's own events a new generation: a backup put back spends none twice.

    Raises:
        StoreFull: there is no space for it.
        StoreError: it can't be written.
    """
    try:
        migrations.apply(Database(connection))
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('generation', ?)", (str(secrets.randbits(32)),))
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('next_sequence', '1')")
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('confirmed', '0')")
            connection.execute("INSERT OR IGNORE INTO epochs VALUES (1, 0, 0)")
    except sqlite3.Error as error:
        raise _explain(path, error) from error


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no space to write. The WAL's index, which is growing then, has a code of its own."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def mended_text(raw: bytes) -> str:
    """Text as it is read: what a damaged disk made of it must not keep anybody from reading the rest of the row."""
    return str(raw, "utf-8", "replace")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, or no database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _explain(path: Path, error: sqlite3.Error) -> StoreError:
    if is_full(error):
        return StoreFull(f"{path}: {error}", hint="Free some space on this disk")
    if is_damage(error):
        return StoreCorrupt(f"{path}: {error}", hint=_SALVAGE)
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OURS:
        # {path}* has the WAL and its index
        hint = f"If another user owns it (a backup?): chown --reference={path.parent} {path}*; see that the disk works"
        return StoreError(f"{path}: {error}", hint=hint)
    return StoreError(f"{path}: {error}", hint="See that the disk works, and that nothing else uses the file")


# -- checks ---------------------------------------------------------------------------------------------------------


def _check(path: Path, connection: sqlite3.Connection, *, thorough: bool) -> None:
    check = "integrity_check" if thorough else "quick_check"
    if (verdict := connection.execute(f"PRAGMA {check}(1)").fetchone()[0]) != "ok":
        raise StoreCorrupt(f"{path}: {' '.join(verdict.split())}", hint=_SALVAGE)
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        return  # new, or cut off before its first migration
    applied = {migration.name for migration in migrations.applied(Database(connection))}
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    if newer := applied - known:
        hint = "Install the version of Picante that wrote it, or a later one"
        raise StoreError(f"{path}: has unknown migrations ({', '.join(sorted(newer))})", hint=hint)
    if applied == known and (what := _unlike_ours(connection)) is not None:
        raise StoreCorrupt(f"{path}: {what}", hint=_SALVAGE)


def _unlike_ours(connection: sqlite3.Connection) -> str | None:
    """What is wrong with tables or with the values that everything rests on: a flipped bit there is a sound page."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        migrations.apply(Database(ours))
        if differing := sorted(_columns(ours).symmetric_difference(_columns(connection))):
            return f"table {differing[0][0]} is not as it was made"
    for key, value in connection.execute("SELECT key, value FROM meta"):
        if key in {"confirmed", "generation", "next_sequence"} and not (value.isascii() and value.isdecimal()):
            return f"meta.{key} is no number"
    if connection.execute("SELECT 1 FROM sequences WHERE typeof(first + last) <> 'integer' OR first > last").fetchone():
        return "table sequences has an interval that is none"
    return None


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {
        (name, column, kind)
        for (name,) in tables.fetchall()
        for column, kind in connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
    }


def _commits(wal: Path) -> list[int]:
    """The numbers of the frames that end a transaction in the WAL's present round, whether or not a break is before."""
    try:
        file = wal.open("rb")
    except OSError:
        return []
    with file:
        header = file.read(_WAL_HEADER.size)
        frames = (file.seek(0, os.SEEK_END) - _WAL_HEADER.size) // _frame_step(header)
        salts = header[16:24] if _is_whole(header) else None
        found = []
        for number in range(1, frames + 1):
            file.seek(_WAL_HEADER.size + (number - 1) * _frame_step(header))
            frame = file.read(_WAL_FRAME.size)
            salts = salts or frame[8:16]
            if frame[8:16] == salts and frame[4:8] != bytes(4):
                found.append(number)
        return found


def _frame_step(header: bytes) -> int:
    page = int.from_bytes(header[8:12], "big")
    return _WAL_FRAME_BYTES + (page if page in {2**n for n in range(9, 17)} else 4096)


def _is_whole(header: bytes) -> bool:
    """Whether the checksum of a WAL's header is right; its words are of the byte order that the magic number says."""
    if len(header) < _WAL_HEADER.size:
        return False
    magic, *_, sum_1, sum_2 = _WAL_HEADER.unpack(header)
    if magic & ~1 != _WAL_MAGIC:
        return False
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    s0 = s1 = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + first + s1) & 0xFFFFFFFF
        s1 = (s1 + second + s0) & 0xFFFFFFFF
    return (s0, s1) == (sum_1, sum_2)
