"""What the web asks the database. Every query rests on an index, and none leaves a transaction open."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from gateway.packed import unpack
from heat.events import Poured

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""

_BACKLOG = """
SELECT ifnull((SELECT max(position) FROM events), 0), confirmed,
       (SELECT time_ms FROM events WHERE position > confirmed ORDER BY position LIMIT 1),
       EXISTS (SELECT 1 FROM events WHERE day < 0)
FROM (SELECT CAST(value AS INTEGER) AS confirmed FROM meta WHERE key = 'confirmed')
"""
COLUMNS = (
    "position, CAST(source AS TEXT), CAST(generation AS INTEGER), CAST(sequence AS INTEGER), CAST(type AS TEXT),"
    " CAST(subject AS TEXT), CAST(time_ms AS INTEGER), CAST(day AS INTEGER), CAST(clock AS TEXT), CAST(data AS BLOB),"
    " CAST(reason AS TEXT), CAST(detail AS TEXT)"
)
"""As the schema has them, whatever a damaged disk gives back."""
_ROWS_AFTER = f"SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 -- constants
_LAST_ROWS = f"SELECT {COLUMNS} FROM events ORDER BY position DESC LIMIT ?"  # noqa: S608 -- constants

_nozzles = msgspec.json.Decoder(list[tuple[int, str, int]])


class Row(NamedTuple):
    """One row of `events`. A refusal has a reason and no type, and its data are bytes as they came."""

    position: int
    source: str
    generation: int
    sequence: int
    type: str | None
    subject: str | None
    time_ms: int
    day: int
    clock: str
    data: bytes
    reason: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far Kafka is behind. Positions of rows count them: none is ever skipped."""

    stored: int
    """The last position given out."""
    confirmed: int
    oldest_ms: int | None
    """When the first row that waits happened, Unix time in ms."""
    waits_for_time: bool
    """Whether rows wait for the time of day to become known."""

    @property
    def pending(self) -> int:
        """Rows that are not in Kafka."""
        return max(self.stored - self.confirmed, 0)


@dataclass(frozen=True, slots=True)
class StoredDispenser:
    """A dispenser as its last HELLO left it in the database."""

    name: str
    generation: int
    firmware: str
    nozzles: list[tuple[int, str, int]]
    """(nozzle, sauce, level in ml)."""
    link: str
    seen_ms: int
    lost_ms: int | None
    """When its link ended; None while it is open, or if the gateway ended before it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Events that a dispenser's ring pushed out before they came: what gaps were stored for."""

    dispenser: str
    events: int
    last_ms: int
    """When the last were missed, Unix time in ms."""


def moment(time_ms: float) -> datetime:
    """Unix time in ms as a datetime; what no datetime can hold becomes its end."""
    return _EPOCH + timedelta(milliseconds=min(max(int(time_ms), 0), _LAST_MS))


def backlog(reader: sqlite3.Connection) -> Backlog:
    """The outbox in numbers."""
    stored, confirmed, oldest_ms, waits = reader.execute(_BACKLOG).fetchone()
    return Backlog(stored, confirmed, oldest_ms, bool(waits))


def epoch(reader: sqlite3.Connection) -> int:
    """The epoch of this database."""
    return int(reader.execute("SELECT max(epoch) FROM epochs").fetchone()[0])


def used_bytes(reader: sqlite3.Connection) -> int:
    """Bytes of the database that hold something."""
    pages, free, size = (
        int(reader.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def rows_after(reader: sqlite3.Connection, position: int, limit: int) -> list[Row]:
    """Rows above a position, in order."""
    return [row_of(*row) for row in reader.execute(_ROWS_AFTER, (position, limit))]


def last_rows(reader: sqlite3.Connection, limit: int) -> list[Row]:
    """The last rows, newest first."""
    return [row_of(*row) for row in reader.execute(_LAST_ROWS, (limit,))]


def pours_since(reader: sqlite3.Connection, position: int, since_ms: int) -> dict[str, int]:
    """Pours of a time and later among the rows above a position, by dispenser."""
    query = "SELECT source, count(*) FROM events WHERE position > ? AND type = ? AND time_ms >= ? GROUP BY source"
    return {str(source): count for source, count in reader.execute(query, (position, Poured.type, since_ms))}


def row_of(*columns: Any) -> Row:
    """A row of `COLUMNS`, its data unpacked."""
    row = Row(*columns)
    return row if row.type is None else row._replace(data=unpack(row.data))


_DISPENSERS = "SELECT dispenser, generation, firmware, nozzles, link, seen_ms, lost_ms FROM dispensers"


def dispensers(reader: sqlite3.Connection) -> list[StoredDispenser]:
    """All dispensers that ever opened a link, by name."""
    return [_stored(*row) for row in reader.execute(f"{_DISPENSERS} ORDER BY dispenser")]


def hellos(reader: sqlite3.Connection) -> dict[str, int]:
    """When each dispenser said its last HELLO, Unix time in ms."""
    return dict(reader.execute("SELECT dispenser, seen_ms FROM dispensers"))


def dispenser(reader: sqlite3.Connection, name: str) -> StoredDispenser | None:
    """One of them."""
    row = reader.execute(f"{_DISPENSERS} WHERE dispenser = ?", (name,)).fetchone()
    return None if row is None else _stored(*row)


def _stored(name: str, generation: int, firmware: str, nozzles: str, *more: Any) -> StoredDispenser:
    return StoredDispenser(name, generation, firmware, _nozzles.decode(nozzles), *more)


def losses(reader: sqlite3.Connection) -> list[Loss]:
    """What dispensers lost since this database began, by dispenser."""
    rows = reader.execute("SELECT dispenser, CAST(events AS INTEGER), CAST(last_ms AS INTEGER) FROM losses")
    return [Loss(*row) for row in rows]


def latest(reader: sqlite3.Connection, subject: str) -> tuple[str, str | None] | None:
    """What a subject poured last and what they said of it."""
    row: tuple[str, str | None] | None = reader.execute(
        "SELECT sauce, verdict FROM latest WHERE subject = ?", (subject,)
    ).fetchone()
    return row


def owner(reader: sqlite3.Connection, subject: str) -> str:
    """Who a subject's events belong to now: the customer who claimed a session, or the subject itself."""
    row = reader.execute("SELECT subject FROM sessions WHERE session = ?", (subject,)).fetchone()
    return str(row[0]) if row else subject
