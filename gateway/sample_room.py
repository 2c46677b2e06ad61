"""Which rows of the samples' file go: those that are too old, and the oldest where there are too many.

Called by `gateway.sample_file`, in its thread, outside its transactions: what went stays gone if what follows fails.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gateway.aggregates import HOUR_MS
from gateway.clock import DAY_MS

RAW_MS = HOUR_MS
MINUTES_MS = 30 * DAY_MS
FILL_SHARE = 0.9
"""Share of the budget above which the oldest rows go; the rest is for what is written meanwhile."""
STEPS = 16
"""Of the rows of a table, so many parts; the oldest part goes at a time."""
RAW_SHARE = 0.25
"""Share of the budget that SAMPLEs keep where minutes need the room, too; what minutes leave is theirs besides."""
ROW_BYTES = 60
"""Bytes of a row and of its place in the index, beside its body."""
SENSOR_BYTES = 24
"""Bytes at most of a sensor in a minute's body, or near it."""
PACKED = 1.3
"""How much more whole pages take than what is in them."""
AGE_ROWS, AGE_STEPS = 2_000, 100
"""Rows that are too old go so many at a time, and so often in a minute: three times what may come in one."""
PAGE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: the uptime, and what makes wall time of it if that is known."""

    boot_ms: int
    offset_ms: int | None


def drop_old(connection: sqlite3.Connection, own_boot: int, now: Moment) -> None:
    """Drop what is older than it is kept for."""
    for boot, offset_ms in connection.execute("SELECT boot, offset_ms FROM boots").fetchall():
        present_ms = now.boot_ms
        if boot != own_boot:
            if now.offset_ms is None or offset_ms is None:
                continue
            present_ms += now.offset_ms - offset_ms
        for table, kept_ms in (("samples", RAW_MS), ("minutes", MINUTES_MS)):
            for _ in range(AGE_STEPS):
                # rows are in the order of their coming: the index of a table is not worth its bytes
                gone = connection.execute(
                    f"DELETE FROM {table} WHERE id IN"  # noqa: S608 -- constants
                    f" (SELECT id FROM {table} ORDER BY id LIMIT ?) AND boot = ? AND at_ms < ?",
                    (AGE_ROWS, boot, present_ms - kept_ms),
                ).rowcount
                if gone < AGE_ROWS:
                    break


def make_room(connection: sqlite3.Connection, budget_pages: int, coming_bytes: float) -> None:
    """Drop what is oldest until there is room for so much more."""
    coming_pages = coming_bytes * PACKED // PAGE_BYTES
    for _ in range(2 * STEPS):
        if _used_pages(connection) + coming_pages <= budget_pages * FILL_SHARE:
            break
        drop_oldest(connection, budget_pages)


def drop_oldest(connection: sqlite3.Connection, budget_pages: int) -> None:
    """SAMPLEs go first, as far down as their share; then minutes."""
    raws_bytes = _about_bytes(connection, "samples")
    table = "samples" if raws_bytes > budget_pages * PAGE_BYTES * RAW_SHARE else "minutes"
    first, last = connection.execute(f"SELECT min(id), max(id) FROM {table}").fetchone()  # noqa: S608 -- constants
    if first is not None:
        through = first + (last - first) // STEPS
        connection.execute(f"DELETE FROM {table} WHERE id <= ?", (through,))  # noqa: S608 -- constants


def _used_pages(connection: sqlite3.Connection) -> int:
    pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return int(pages) - int(free)


def _about_bytes(connection: sqlite3.Connection, table: str) -> float:
    """What a table takes in whole pages, by its newest rows."""
    (rows,) = connection.execute(  # of both at once it would read all rows
        f"SELECT (SELECT max(id) FROM {table}) - (SELECT min(id) FROM {table}) + 1"  # noqa: S608 -- constants
    ).fetchone()
    (body,) = connection.execute(
        f"SELECT avg(length(body)) FROM (SELECT body FROM {table} ORDER BY id DESC LIMIT 200)"  # noqa: S608 -- constants
    ).fetchone()
    return float((rows or 0) * PAGE_BYTES / max(PAGE_BYTES // ((body or 0) + ROW_BYTES), 1))
