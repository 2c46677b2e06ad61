"""What is poured at this site, by whomever."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- Pours of each sauce, the older ones halved now and then.
CREATE TABLE site_pours (
    sauce TEXT PRIMARY KEY,
    pours INTEGER NOT NULL
) WITHOUT ROWID
"""


def apply(db: Database) -> None:
    """Create the table."""
    db.execute(SCHEMA)
