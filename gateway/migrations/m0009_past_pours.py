"""What picks go by beside profiles: past pours, what a session asked for, and since when a sauce is at a dispenser."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- How often a subject poured a sauce here on a day; days as in `events`.
CREATE TABLE pours (
    subject TEXT NOT NULL,
    sauce TEXT NOT NULL,
    day INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (subject, sauce, day)
) WITHOUT ROWID;

-- The heat that was stated last in a session.
CREATE TABLE stated (
    session TEXT PRIMARY KEY,
    milli_octaves INTEGER NOT NULL
) WITHOUT ROWID;

-- Since when a dispenser holds a sauce, Unix time, ms; NULL where nobody knows, as of what it came with.
CREATE TABLE arrivals (
    dispenser TEXT NOT NULL,
    sauce TEXT NOT NULL,
    since_ms INTEGER,
    PRIMARY KEY (dispenser, sauce)
) WITHOUT ROWID;
"""


def apply(db: Database) -> None:
    """Create the tables."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
