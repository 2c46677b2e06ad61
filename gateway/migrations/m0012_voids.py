"""Which pours were taken back, and by which event."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- Positions of events: a pour's, and that of the event that took it back.
CREATE TABLE voids (
    position INTEGER PRIMARY KEY,
    void INTEGER NOT NULL UNIQUE
)
"""


def apply(db: Database) -> None:
    """Create the table."""
    db.execute(SCHEMA)
