"""What people say of a dispenser: how it is called, and which sauces are to be on its nozzles."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- A planogram is JSON: [[nozzle, sauce], ...].
CREATE TABLE dispenser_plans (
    dispenser TEXT PRIMARY KEY,
    name TEXT,
    planogram TEXT NOT NULL
) WITHOUT ROWID;
"""


def apply(db: Database) -> None:
    """Create the table."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
