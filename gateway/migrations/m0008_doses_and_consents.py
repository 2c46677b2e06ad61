"""The last doses of a subject in their order, who opted out of being known, and whose sessions those were."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- The last pieces of evidence of each subject, by the position of their event: sums have no order.
CREATE TABLE doses (
    position INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    day INTEGER NOT NULL,
    kind TEXT NOT NULL,
    mo INTEGER NOT NULL,
    w INTEGER NOT NULL
);
CREATE INDEX doses_by_subject ON doses(subject);

-- What customers last said of being known: 'none', or 'profile' again; who said nothing is not here. `time_ms` is when,
-- NULL until that is known. Events up to the position `forgotten` are in no sums any more.
CREATE TABLE consents (
    subject TEXT PRIMARY KEY,
    consent TEXT NOT NULL,
    time_ms INTEGER,
    forgotten INTEGER NOT NULL
) WITHOUT ROWID;

-- Whether the session is that of somebody who opted out: its events are nobody's.
ALTER TABLE sessions ADD COLUMN opted_out INTEGER NOT NULL DEFAULT 0;
"""


def apply(db: Database) -> None:
    """Create the tables, and add the column."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
