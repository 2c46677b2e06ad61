"""What reconciliation knows from hour to hour, in a file: no hour is left out for a restart, or Kafka's absence."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import msgspec

from cloud.reconciliation.findings import Finding
from cloud.state_file import open_state, transaction

log = logging.getLogger("cloud.reconciliation")

FILE = "reconciliation.db"
"""In `cloud.data_dir`."""
FINDINGS = 1_000
"""Findings that are remembered, so that none is told twice."""
OUTBOXES = 20_000
"""Outboxes of which it is known how far they were compared; those that were quiet for longest are forgotten first."""
_SCHEMA = "CREATE TABLE kept (id INTEGER PRIMARY KEY CHECK (id = 1), content BLOB NOT NULL);"


class Kept(msgspec.Struct, kw_only=True):
    """One process's own."""

    next_hour: int | None = None
    """The first that was not compared; None before the first comparison."""
    waiting: list[int] = []
    """Hours before it that were not compared in full."""
    reached: list[tuple[str, int, int]] = []
    """Gateway, epoch, position: as in `findings.Reached`."""
    told: list[Finding] = []
    """The last ones, in the order in which they were told."""


def load(directory: Path) -> Kept:
    """What was kept, or the beginning. Raises ConfigError, StoreError."""
    with closing(open_state(directory / FILE, _SCHEMA)) as connection:
        row = connection.execute("SELECT content FROM kept").fetchone()
    try:
        return Kept() if row is None else msgspec.json.decode(row[0], type=Kept)
    except msgspec.MsgspecError as error:
        log.warning("%s is of another version: reconciliation begins anew", FILE, extra={"error": str(error)})
        return Kept()


def save(directory: Path, kept: Kept) -> None:
    """Keep it, within bounds. Raises ConfigError, StoreError."""
    kept.told, kept.reached = kept.told[-FINDINGS:], kept.reached[-OUTBOXES:]
    with closing(open_state(directory / FILE, _SCHEMA)) as connection, transaction(connection):
        connection.execute("INSERT OR REPLACE INTO kept VALUES (1, ?)", (msgspec.json.encode(kept),))
