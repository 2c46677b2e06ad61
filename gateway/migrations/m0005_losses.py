"""How many events dispensers' rings pushed out before they came, and when the last were missed."""

from __future__ import annotations

import contextlib
from collections import defaultdict

import msgspec
from sqlite_utils import Database

SCHEMA = """
-- The sum of a dispenser's gaps, which outlives their rows; last_ms is Unix time as the gateway's clock had it.
CREATE TABLE losses (
    dispenser TEXT PRIMARY KEY,
    events INTEGER NOT NULL,
    last_ms INTEGER NOT NULL
) WITHOUT ROWID
"""


class _Gap(msgspec.Struct):
    dispenser: str
    first: int
    last: int


def apply(db: Database) -> None:
    """Create the table, and sum up the gaps that are still there; one that the disk has damaged counts as none."""
    db.execute(SCHEMA)
    events: dict[str, int] = defaultdict(int)
    last_ms: dict[str, int] = {}
    rows = "SELECT CAST(data AS BLOB), CAST(time_ms AS INTEGER) FROM events WHERE type = ? ORDER BY position"
    for data, time_ms in db.execute(rows, ("picante.gap.v1",)):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            gap = msgspec.json.decode(data, type=_Gap)
            events[gap.dispenser] += gap.last - gap.first + 1
            last_ms[gap.dispenser] = time_ms
    for dispenser, at_ms in last_ms.items():
        db.execute("INSERT INTO losses VALUES (?, ?, ?)", (dispenser, min(max(events[dispenser], 0), 2**53), at_ms))
