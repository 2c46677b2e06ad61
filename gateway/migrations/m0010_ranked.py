"""What customers said of the picks of each ranker, while one of them may be gone back to."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- Ratings of picks that were poured, by the ranker that showed them.
CREATE TABLE ranked (
    ranker TEXT PRIMARY KEY,
    rated INTEGER NOT NULL,
    too_hot INTEGER NOT NULL
) WITHOUT ROWID
"""


def apply(db: Database) -> None:
    """Create the table."""
    db.execute(SCHEMA)
