"""How long events have room: the hours from now until quota or disk are used up if Kafka took nothing more.

Rows that Kafka has make way for others, so they count as room. Pure SQL on primary keys; some milliseconds on a Pi.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

HOUR_MS = 3_600_000
LOOK_BACK_MS = 24 * HOUR_MS
"""What is usual is what came in a day: lunch and evening are both in it."""
ROWS_ENOUGH = 1_000
"""Rows below which a database says nothing of how large a row is."""
ROW_BYTES = 512
"""Of a row then, with its share of indices and profiles, of a shop whose every third event is an impression."""
LEAST_H = 0.1
"""h that must have been heard of, or a first minute would foretell a month."""


@dataclass(frozen=True, slots=True)
class Autonomy:
    """Room, and how fast it is used."""

    used_bytes: int
    """Of the database, that hold something."""
    quota_bytes: int
    free_bytes: int
    """On the disk."""
    rows_an_hour: float | None
    """Over the last day, or since the first row; None while next to nothing came."""
    hours: float | None
    """None where nothing comes that could use it up."""


def autonomy(reader: sqlite3.Connection, now_ms: int, quota_bytes: int, free_bytes: int) -> Autonomy:
    """Look at the database; `now_ms` is Unix time, `free_bytes` what the disk has left. Raises sqlite3.Error."""
    first, last, confirmed = reader.execute(
        "SELECT ifnull((SELECT min(position) FROM events), 1), ifnull((SELECT max(position) FROM events), 0),"
        " CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'"
    ).fetchone()
    pages, free, page = (
        int(reader.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    used, rows = (pages - free) * page, last - first + 1
    row_bytes = used / rows if rows >= ROWS_ENOUGH else ROW_BYTES
    rate = _rate(reader, first, last, now_ms)
    spare = max(min(confirmed, last) - first + 1, 0) * row_bytes
    room = min(quota_bytes - used, free * page + free_bytes) + spare
    hours = max(room, 0) / (rate * row_bytes) if rate else None
    return Autonomy(used, quota_bytes, free_bytes, rate, hours)


def _rate(reader: sqlite3.Connection, first: int, last: int, now_ms: int) -> float | None:
    """Rows an hour since a day ago. Rows are nearly in the order of time, which is near enough."""
    since_ms = now_ms - LOOK_BACK_MS
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        if _time(reader, middle) < since_ms:
            low = middle + 1
        else:
            high = middle
    if low > last:
        return 0.0 if last >= first else None
    hours = (now_ms - max(_time(reader, low), since_ms)) / HOUR_MS
    if low > first:
        hours = LOOK_BACK_MS / HOUR_MS  # what came before is there: the day is whole
    return (last - low + 1) / hours if hours >= LEAST_H else None


def _time(reader: sqlite3.Connection, position: int) -> int:
    row = reader.execute(
        "SELECT CAST(time_ms AS INTEGER) FROM events WHERE position >= ? ORDER BY position LIMIT 1", (position,)
    ).fetchone()
    return int(row[0]) if row else 2**62
