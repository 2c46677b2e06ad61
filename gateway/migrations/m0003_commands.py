"""Commands to dispensers: what waits, and what became of the others."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- One row a command, in the order in which they were given; open while ended_ms is missing. Times are Unix time in ms,
-- but for *_boot_ms: ms of the kernel's uptime in the gateway's boot beside them, which no setting of a clock moves.
-- device_expires_ms is the dispenser's uptime in its boot device_boot: what its copies of the command say.
CREATE TABLE commands (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    dispenser TEXT NOT NULL,
    verb TEXT NOT NULL,
    arguments BLOB NOT NULL,
    asked_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    lifetime_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    expires_boot INTEGER NOT NULL,
    expires_boot_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    measured TEXT,
    device_boot INTEGER,
    device_expires_ms INTEGER,
    ended_ms INTEGER,
    ended_boot INTEGER,
    ended_boot_ms INTEGER
);
CREATE INDEX commands_by_dispenser ON commands(dispenser, number);
CREATE INDEX commands_open ON commands(number) WHERE ended_ms IS NULL;
"""


def apply(db: Database) -> None:
    """Create the table."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
