"""Events and the outbox, dedup, profiles, sessions, dispensers, clocks: what the main road needs."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row an event or a refusal, in the order of their commits; rows above meta.confirmed are the outbox.
-- A negative day is -(boot) of a gateway boot whose wall time is not known yet.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT,
    subject TEXT,
    time_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    day INTEGER NOT NULL,
    clock TEXT NOT NULL,
    data BLOB NOT NULL,
    reason TEXT,
    detail TEXT
);
CREATE INDEX events_waiting_for_time ON events(position) WHERE day < 0;

-- Sequences of a source that are on disk, or known to be lost for ever: closed intervals.
CREATE TABLE sequences (
    source TEXT NOT NULL,
    generation INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (source, generation, first)
) WITHOUT ROWID;

CREATE TABLE buckets (
    subject TEXT NOT NULL,
    origin TEXT NOT NULL,
    day INTEGER NOT NULL,
    kind TEXT NOT NULL,
    n INTEGER NOT NULL, w INTEGER NOT NULL, wq INTEGER NOT NULL, wqq INTEGER NOT NULL,
    b0 INTEGER NOT NULL, b1 INTEGER NOT NULL, b2 INTEGER NOT NULL, b3 INTEGER NOT NULL, b4 INTEGER NOT NULL,
    b5 INTEGER NOT NULL, b6 INTEGER NOT NULL, b7 INTEGER NOT NULL, b8 INTEGER NOT NULL, b9 INTEGER NOT NULL,
    PRIMARY KEY (subject, origin, day, kind)
) WITHOUT ROWID;

CREATE TABLE flavours (
    subject TEXT NOT NULL,
    origin TEXT NOT NULL,
    day INTEGER NOT NULL,
    kind TEXT NOT NULL,
    tag TEXT NOT NULL,
    n INTEGER NOT NULL, w INTEGER NOT NULL,
    PRIMARY KEY (subject, origin, day, kind, tag)
) WITHOUT ROWID;

-- Customer sessions that may still get events. Doses are uptimes of the dispenser, seen_ms is the
-- gateway's, in ms.
CREATE TABLE sessions (
    session TEXT PRIMARY KEY,
    dispenser TEXT NOT NULL,
    number INTEGER NOT NULL,
    subject TEXT NOT NULL,
    last_dose_ms INTEGER,
    previous_dose_ms INTEGER,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_dispenser ON sessions(dispenser);

-- What a subject poured last, and what they said of it.
CREATE TABLE latest (
    subject TEXT PRIMARY KEY,
    sauce TEXT NOT NULL,
    verdict TEXT
) WITHOUT ROWID;

CREATE TABLE dispensers (
    dispenser TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    firmware TEXT NOT NULL,
    nozzles TEXT NOT NULL,
    link TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- A dispenser's boot began at this Unix time (its uptime 0), as far as this gateway knew the time.
CREATE TABLE dispenser_boots (
    dispenser TEXT NOT NULL,
    boot INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    PRIMARY KEY (dispenser, boot)
) WITHOUT ROWID;

-- The gateway's own boots, by the kernel's boot id.
CREATE TABLE boots (
    boot INTEGER PRIMARY KEY AUTOINCREMENT,
    boot_id TEXT NOT NULL UNIQUE
);

CREATE TABLE instances (
    instance TEXT PRIMARY KEY
) WITHOUT ROWID;

-- Rows above redeliver_after and up to redeliver_through are sent with the redelivered mark.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    redeliver_after INTEGER NOT NULL,
    redeliver_through INTEGER NOT NULL
);
"""


def apply(db: Database) -> None:
    """Create the tables."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
