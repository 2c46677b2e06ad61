"""Which bottle hung on which nozzle, what was poured from it, and which lots were recalled."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- The bottle on a nozzle has no until_ms. A date is written YYYY-MM-DD.
CREATE TABLE bottles (
    bottle INTEGER PRIMARY KEY AUTOINCREMENT,
    dispenser TEXT NOT NULL,
    nozzle INTEGER NOT NULL,
    sauce TEXT NOT NULL,
    lot TEXT NOT NULL,
    best_before TEXT,
    volume_ml INTEGER NOT NULL,
    hung_by TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER
);
CREATE INDEX bottles_by_nozzle ON bottles(dispenser, nozzle, since_ms);
CREATE INDEX bottles_by_lot ON bottles(lot);

-- Positions of events. The subject is whoever has the pour now: a session, or who claimed it.
CREATE TABLE bottle_pours (
    position INTEGER PRIMARY KEY,
    bottle INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    subject TEXT,
    volume_ul INTEGER NOT NULL
);
CREATE INDEX bottle_pours_by_bottle ON bottle_pours(bottle, position);
CREATE INDEX bottle_pours_by_subject ON bottle_pours(subject) WHERE subject IS NOT NULL;

CREATE TABLE recalls (
    lot TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    recalled_by TEXT NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID
"""


def apply(db: Database) -> None:
    """Create the tables."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
