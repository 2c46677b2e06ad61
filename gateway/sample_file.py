"""The samples' own SQLite file, so that they can never take what events need. All of it runs in one thread.

    samples    a row a SAMPLE, kept for an hour: MessagePack of `[[channel, nozzle, [value, ...]], ...]`
    minutes    a row a dispenser and minute (`gateway.aggregates`), kept for a month
    meters     pulses a millilitre of each nozzle, as learned (`gateway.judge`)
    boots      kernel boots, each with what makes wall time of its uptime

Rows are dated by the kernel's uptime in a boot. When the clock is set, the boot's `offset_ms` changes, and with it the
time of all its rows. Nothing here is worth a visit: a file that is damaged is deleted and begun anew, one for which the
disk is too small is deleted, and what a power cut took from its end is not missed (`synchronous=NORMAL`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gateway import aggregates, sample_room
from gateway.aggregates import HOUR_MS, Sums
from gateway.sample_room import PAGE_BYTES, ROW_BYTES, SENSOR_BYTES, Moment

log = logging.getLogger("gateway.samples")

FILE = "samples.db"
VERSION = 1
"""Of the tables; a file with another one is begun anew."""
DISK_ROOM_BYTES = 64 * 1024 * 1024
"""Bytes that the disk must have left; with less, the samples' file is deleted, since events need the room more."""
MAX_WAITING = 5_000
"""SAMPLEs, and minutes, that wait while another program locks the file: five seconds of a fleet that pours."""
LOCK_S = 1.0
"""s for which a lock is waited for; what is to be written then waits, and the thread goes on."""
WAL_SHARE = 1 / 8
"""Share of the budget that the WAL may take, up to `WAL_BYTES`; the rest is for the file."""
WAL_BYTES = 4 * 1024 * 1024

_SCHEMA = """
CREATE TABLE boots (boot INTEGER PRIMARY KEY AUTOINCREMENT, boot_id TEXT NOT NULL UNIQUE, offset_ms INTEGER);
CREATE TABLE samples (id INTEGER PRIMARY KEY, dispenser TEXT NOT NULL, boot INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    period_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX samples_of ON samples(dispenser, boot, at_ms);
CREATE TABLE minutes (id INTEGER PRIMARY KEY, dispenser TEXT NOT NULL, boot INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    covered_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX minutes_of ON minutes(dispenser, boot, at_ms);
CREATE INDEX minutes_at ON minutes(boot, at_ms);
"""
_METERS = """
CREATE TABLE IF NOT EXISTS meters (dispenser TEXT, nozzle INTEGER, pulses_per_ml REAL NOT NULL,
    PRIMARY KEY (dispenser, nozzle)) WITHOUT ROWID
"""
"""Not of the first files; one without it is not begun anew for that."""
_DATED = """
SELECT {table}.dispenser, {table}.at_ms + boots.offset_ms AS time_ms, {middle}, body
FROM {table} JOIN boots USING (boot) WHERE boot = ? AND {table}.at_ms >= ? AND {table}.at_ms < ?
"""


class RawRow(NamedTuple):
    """A SAMPLE. `at_ms` is the time of its last values."""

    dispenser: str
    at_ms: int
    """The gateway's uptime; Unix time where it is read."""
    period_ms: int
    body: bytes


class MinuteRow(NamedTuple):
    """A minute of one dispenser."""

    dispenser: str
    at_ms: int
    """When it began: the gateway's uptime; Unix time where it is read."""
    covered_ms: int
    """How much of it the values account for."""
    sums: Sums


Held = Literal["disk", "gone", "locked", "broken"]
"""No room on the disk; no directory; another program's lock; what SQLite can't do, such as write to a bad disk."""


class SampleFile:
    """The file. It is made when there is something to write, and may be gone at any moment."""

    def __init__(self, path: Path, budget_bytes: int, boot_id: str) -> None:
        self.held: Held | None = None
        """Why nothing is kept at the moment."""
        self.begun_anew = 0
        """Times that a damaged file was deleted, since the start."""
        self.dropped = 0
        """SAMPLEs and minutes that could not be kept."""
        self._path = path
        self._wal_bytes = min(int(budget_bytes * WAL_SHARE), WAL_BYTES)
        self._budget_pages = (budget_bytes - self._wal_bytes) // PAGE_BYTES
        self._boot_id = boot_id
        self._boot = 0
        self._connection: sqlite3.Connection | None = None
        self._waiting_raws: list[RawRow] = []
        self._waiting_minutes: list[MinuteRow] = []

    def write(self, raws: Sequence[RawRow], minutes: Sequence[MinuteRow], now: Moment) -> None:
        """Keep these, and drop what is too old or too much. What can't be kept is counted.

        While another program locks the file, they wait for the next time.
        """
        raws, minutes = [*self._waiting_raws, *raws], [*self._waiting_minutes, *minutes]
        self._waiting_raws, self._waiting_minutes = [], []
        room_bytes = self._room_bytes()
        if room_bytes is None or room_bytes < DISK_ROOM_BYTES:
            self._give_way("gone" if room_bytes is None else "disk")
        elif self._connection is not None or raws or minutes:
            if self._try(raws, minutes, now):
                return
            if self.held == "locked":
                self._waiting_raws, self._waiting_minutes = raws[-MAX_WAITING:], minutes[-MAX_WAITING:]
        self.dropped += len(raws) + len(minutes) - len(self._waiting_raws) - len(self._waiting_minutes)

    def raws(self, dispenser: str, since_ms: int, until_ms: int, limit: int) -> list[RawRow]:
        """A dispenser's SAMPLEs whose last value was at `since_ms` or later, Unix time, in order."""
        return [RawRow(*row) for row in self._read("samples", "period_ms", dispenser, since_ms, until_ms, limit)]

    def minutes(self, dispenser: str, since_ms: int, until_ms: int, limit: int) -> list[MinuteRow]:
        """A dispenser's minutes that began at `since_ms` or later, Unix time, in order."""
        found: list[MinuteRow] = []
        with self._mending():
            found += list(_decoded(self._read("minutes", "covered_ms", dispenser, since_ms, until_ms, limit)))
        return found

    def hour(self, hour: int) -> dict[str, Sums]:
        """What all dispensers' sensors said in an hour (hours since 1970), by dispenser."""
        found: dict[str, Sums] = {}
        with self._mending():
            rows = self._read("minutes", "covered_ms", None, hour * HOUR_MS, (hour + 1) * HOUR_MS, -1)
            sums: dict[str, Sums] = {}
            for row in _decoded(rows):
                aggregates.merge(sums.setdefault(row.dispenser, {}), row.sums)
            found.update(sums)
        return found

    def first_hour(self) -> int | None:
        """The hour of the oldest minute whose time is known."""
        with self._mending():
            if (connection := self._existing()) is not None:
                query = "SELECT min(at_ms + offset_ms) FROM minutes JOIN boots USING (boot)"
                (first,) = connection.execute(query).fetchone()
                return None if first is None else int(first) // HOUR_MS
        return None

    def recent(self, limit: int) -> Iterator[MinuteRow]:
        """The newest minutes of all dispensers whose time is known, the oldest of them first, one by one."""
        with self._mending():
            if (connection := self._existing()) is not None:
                rows = connection.execute(
                    "SELECT dispenser, at_ms + offset_ms, covered_ms, body FROM minutes JOIN boots USING (boot)"
                    " WHERE offset_ms IS NOT NULL AND id > (SELECT max(id) FROM minutes) - ? ORDER BY id",
                    (limit,),
                )
                yield from _decoded(rows)

    def meters(self) -> dict[tuple[str, int], float]:
        """What was kept last: pulses a millilitre, by dispenser and nozzle."""
        found: dict[tuple[str, int], float] = {}
        with self._mending():
            if (connection := self._existing()) is not None:
                rows = connection.execute("SELECT dispenser, nozzle, pulses_per_ml FROM meters")
                found.update({(dispenser, nozzle): each for dispenser, nozzle, each in rows})
        return found

    def keep_meters(self, meters: Mapping[tuple[str, int], float]) -> bool:
        """Keep these instead of those kept before; whether it could be done. Without a file there is nothing to do."""
        done = False
        with self._mending():
            if (connection := self._existing()) is not None:
                with _transaction(connection):
                    connection.execute("DELETE FROM meters")
                    rows = [(*nozzle, each) for nozzle, each in meters.items()]
                    connection.executemany("INSERT INTO meters VALUES (?, ?, ?)", rows)
                done = True
        return done

    def size_bytes(self) -> int:
        """What the file takes, its WAL included."""
        return sum(part.stat().st_size for part in self._parts() if part.exists())

    def close(self) -> None:
        """Close it; it is opened again if need be."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- the file -----------------------------------------------------------------------------------------------------

    def _existing(self) -> sqlite3.Connection | None:
        return self._open() if self._connection is not None or self._path.exists() else None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            old_umask = os.umask(0o077)
            try:
                self._connection = sqlite3.connect(
                    self._path, timeout=LOCK_S, isolation_level=None, check_same_thread=False
                )
            finally:
                os.umask(old_umask)
            self._prepare(self._connection)
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for pragma in (
            "auto_vacuum=INCREMENTAL",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"journal_size_limit={self._wal_bytes}",
            f"wal_autocheckpoint={self._wal_bytes // 2 // PAGE_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION) or connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged, or of another version")
        if version == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        connection.execute(_METERS)
        connection.execute(f"PRAGMA max_page_count={self._budget_pages}").fetchone()
        connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (self._boot_id,))
        self._boot = connection.execute("SELECT boot FROM boots WHERE boot_id = ?", (self._boot_id,)).fetchone()[0]
        # of boots that never knew the time, nobody will ever know when their rows were
        for table in ("samples", "minutes"):
            connection.execute(
                f"DELETE FROM {table} WHERE boot IN (SELECT boot FROM boots WHERE offset_ms IS NULL AND boot <> ?)",  # noqa: S608 -- constants
                (self._boot,),
            )

    @contextlib.contextmanager
    def _mending(self) -> Iterator[None]:
        """What SQLite can't do is no error of ours: the file gives way to a new one, or waits."""
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                with contextlib.suppress(sqlite3.Error):
                    sample_room.drop_oldest(self._open(), self._budget_pages)
            elif code == sqlite3.SQLITE_BUSY:
                if self.held != "locked":
                    log.warning("another program locks %s; readings wait for it", self._path)
                self.held = "locked"
            else:
                if self.held != "broken":
                    log.warning("%s can't be used, and is begun anew: %s", self._path, error)
                self.begun_anew += 1
                self._give_way("broken")

    def _give_way(self, why: Held) -> None:
        self.held = why
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._connection = None
        for part in self._parts():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _room_bytes(self) -> int | None:
        """What the disk has left; None where the directory is gone."""
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError:
            return None

    def _parts(self) -> list[Path]:
        return [self._path.with_name(self._path.name + suffix) for suffix in ("", "-wal", "-shm")]

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _write(
        self, connection: sqlite3.Connection, raws: Sequence[RawRow], minutes: Sequence[MinuteRow], now: Moment
    ) -> None:
        if minutes:  # once a minute will do
            sample_room.drop_old(connection, self._boot, now)
        coming_bytes = sum(len(raw.body) + ROW_BYTES for raw in raws)
        coming_bytes += sum(ROW_BYTES + SENSOR_BYTES * len(row.sums) for row in minutes)
        sample_room.make_room(connection, self._budget_pages, coming_bytes)
        with _transaction(connection):
            connection.execute("UPDATE boots SET offset_ms = ? WHERE boot = ?", (now.offset_ms, self._boot))
            connection.executemany(
                "INSERT INTO samples (dispenser, boot, at_ms, period_ms, body) VALUES (?, ?, ?, ?, ?)",
                [(raw.dispenser, self._boot, raw.at_ms, raw.period_ms, raw.body) for raw in raws],
            )
            connection.executemany(
                "INSERT INTO minutes (dispenser, boot, at_ms, covered_ms, body) VALUES (?, ?, ?, ?, ?)",
                [
                    (row.dispenser, self._boot, row.at_ms, row.covered_ms, aggregates.encode(row.sums))
                    for row in minutes
                ],
            )
        connection.executescript("PRAGMA incremental_vacuum(256);")  # `execute` would free one page: it takes one step

    def _try(self, raws: Sequence[RawRow], minutes: Sequence[MinuteRow], now: Moment) -> bool:
        """Write; whether it could be done."""
        done = False
        with self._mending():
            self._write(self._open(), raws, minutes, now)
            done = True
        self.held = None if done else self.held
        return done

    def _read(
        self, table: str, middle: str, dispenser: str | None, since_ms: int, until_ms: int, limit: int
    ) -> list[tuple[str, int, int, bytes]]:
        found: list[tuple[str, int, int, bytes]] = []
        with self._mending():
            if (connection := self._existing()) is None:
                return []
            query = _DATED.format(table=table, middle=middle) + (" AND dispenser = ?" if dispenser else "")
            boots = connection.execute("SELECT boot, offset_ms FROM boots WHERE offset_ms IS NOT NULL ORDER BY boot")
            for boot, offset_ms in boots.fetchall():
                terms = [boot, since_ms - offset_ms, until_ms - offset_ms, *([dispenser] if dispenser else [])]
                left = limit - len(found) if limit >= 0 else -1
                found += connection.execute(
                    f"{query} ORDER BY {table}.at_ms, {table}.id LIMIT ?", (*terms, left)
                ).fetchall()
        return found


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _decoded(rows: Iterable[tuple[str, int, int, bytes]]) -> Iterator[MinuteRow]:
    """Rows of one minute that follow on each other are one: a restart in its midst makes two of it."""
    held: MinuteRow | None = None
    for dispenser, at_ms, covered_ms, body in rows:
        row = MinuteRow(dispenser, at_ms, covered_ms, aggregates.decode(body))
        if held is not None and (held.dispenser, held.at_ms) == (dispenser, at_ms):
            aggregates.merge(held.sums, row.sums)
            held = held._replace(covered_ms=held.covered_ms + covered_ms)
            continue
        if held is not None:
            yield held
        held = row
    if held is not None:
        yield held
