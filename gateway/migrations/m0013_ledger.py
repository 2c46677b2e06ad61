"""The ledger: what became of each sequence, by source and day, and which were lost; and a drawer for dead letters.

Counts outlive their rows, which are pruned; so do dead letters, until somebody has dealt with them.
"""

from __future__ import annotations

import contextlib

import msgspec
from sqlite_utils import Database

SCHEMA = """
-- One row a source, generation and day; days as in `events`. Sequences lie in first..last, and rows of `events` in
-- first_position..last_position. `stored` are events, `refused` dead letters, of which `replayed` became events
-- after all, `lost` sequences of gaps; `sent` and `sent_letters` of the first two are in Kafka.
CREATE TABLE ledger (
    source TEXT NOT NULL,
    generation INTEGER NOT NULL,
    day INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    sent_letters INTEGER NOT NULL,
    PRIMARY KEY (source, generation, day)
) WITHOUT ROWID;
CREATE INDEX ledger_by_day ON ledger(day);

-- Sequences of a dispenser that can't come any more, by the day on which they were missed; the newest of them.
CREATE TABLE gaps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    dispenser TEXT NOT NULL,
    generation INTEGER NOT NULL,
    day INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
);

-- Refusals, by their position in `events`. `session` and `subject` say whose the event was. An open one waits for
-- somebody; a replayed one has the position of the event that it became, a dismissed one a note why.
CREATE TABLE letters (
    position INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    day INTEGER NOT NULL,
    clock TEXT NOT NULL,
    session TEXT,
    subject TEXT,
    body BLOB NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    state TEXT NOT NULL,
    ended_ms INTEGER,
    ended_by TEXT,
    note TEXT,
    became INTEGER
);
CREATE INDEX letters_by_state ON letters(state, position);
CREATE INDEX letters_by_session ON letters(session) WHERE session IS NOT NULL;
CREATE INDEX events_refused ON events(position) WHERE reason IS NOT NULL;
"""
COUNT = """
INSERT INTO ledger
SELECT source, generation, day, min(sequence), max(sequence), min(position), max(position),
       sum(reason IS NULL), sum(reason IS NOT NULL), 0, 0,
       sum(reason IS NULL AND position <= confirmed), sum(reason IS NOT NULL AND position <= confirmed)
FROM (
    SELECT CAST(source AS TEXT) AS source, CAST(generation AS INTEGER) AS generation, CAST(day AS INTEGER) AS day,
           CAST(sequence AS INTEGER) AS sequence, position, reason,
           ifnull((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'), 0) AS confirmed
    FROM events
)
GROUP BY source, generation, day
"""
FILE = """
INSERT INTO letters (position, source, generation, sequence, time_ms, boot_ms, day, clock, body, reason, detail, state)
SELECT position, CAST(source AS TEXT), CAST(generation AS INTEGER), CAST(sequence AS INTEGER),
       CAST(time_ms AS INTEGER), CAST(boot_ms AS INTEGER), CAST(day AS INTEGER), CAST(clock AS TEXT),
       CAST(data AS BLOB), CAST(reason AS TEXT), ifnull(CAST(detail AS TEXT), ''), 'open'
FROM events WHERE reason IS NOT NULL
"""
GAPS = "SELECT CAST(data AS BLOB), CAST(day AS INTEGER) FROM events WHERE type = ? ORDER BY position"
LOSE = """
INSERT INTO ledger VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0, ?, 0, 0)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
    lost = lost + excluded.lost
"""


class _Gap(msgspec.Struct):
    dispenser: str
    generation: int
    first: int
    last: int


def apply(db: Database) -> None:
    """Create the tables, and count what is there; a row that the disk has damaged is counted as it reads."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute(COUNT)
    db.execute(FILE)
    for data, day in db.execute(GAPS, ("picante.gap.v1",)).fetchall():
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            gap = msgspec.json.decode(data, type=_Gap)
            lost = min(max(gap.last - gap.first + 1, 0), 2**53)
            db.execute(LOSE, (gap.dispenser, gap.generation, day, gap.first, gap.last, lost))
            db.execute(
                "INSERT INTO gaps (dispenser, generation, day, first, last) VALUES (?, ?, ?, ?, ?)",
                (gap.dispenser, gap.generation, day, gap.first, gap.last),
            )
