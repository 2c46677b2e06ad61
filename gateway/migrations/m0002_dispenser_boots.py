"""A dispenser's boot is noted by the gateway's uptime too, which no setting of the clock moves."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
ALTER TABLE dispenser_boots RENAME TO noted;

-- When a dispenser's boot began (its uptime 0): by the gateway's uptime in the boot it was noted in, and as Unix time
-- if that was known.
CREATE TABLE dispenser_boots (
    dispenser TEXT NOT NULL,
    boot INTEGER NOT NULL,
    gateway_boot INTEGER NOT NULL,
    started_boot_ms INTEGER NOT NULL,
    started_ms INTEGER,
    PRIMARY KEY (dispenser, boot)
) WITHOUT ROWID;

INSERT INTO dispenser_boots SELECT dispenser, boot, 0, 0, started_ms FROM noted;
DROP TABLE noted;
"""


def apply(db: Database) -> None:
    """Rebuild the table: `started_ms` may be missing now."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
