"""Calibrations that somebody is in the middle of."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- What was chosen and read off so far, as JSON; which commands were given follows from the run's id.
CREATE TABLE calibration_runs (
    dispenser TEXT NOT NULL,
    nozzle INTEGER NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (dispenser, nozzle)
) WITHOUT ROWID
"""


def apply(db: Database) -> None:
    """Create the table."""
    db.execute(SCHEMA)
