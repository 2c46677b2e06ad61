"""When a dispenser was lost is kept: a restart of the gateway does not make it the time of its last opening."""

from __future__ import annotations

from sqlite_utils import Database


def apply(db: Database) -> None:
    """Add the column: Unix time as the gateway's clock had it; NULL while its link is open, or nobody saw it end."""
    db.execute("ALTER TABLE dispensers ADD COLUMN lost_ms INTEGER")
