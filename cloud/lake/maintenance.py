"""Keeps the tables small: melts files, drops days that are over, removes what no version needs.

It has tables of its own, so that writing goes on: Delta Lake lets an append and a compaction commit one after another.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from cloud.lake.columns import RAW
from cloud.lake.table import LakeTable

log = logging.getLogger("cloud.lake")


FIRST_S = 60.0
"""s from a start to the first maintenance."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the lake keeps what."""

    raw_days: int = 0
    """Days of Kafka's date that the raw records are kept; 0 keeps them for ever."""
    event_days: int = 0
    """The same of the typed rows."""
    vacuum_hours: int = 24
    """Hours that files stay which no newer version of a table needs: a query that runs may read them."""


@dataclass(slots=True)
class Kept:
    """What a maintenance did to one table."""

    table: str
    files_melted: int = 0
    rows_dropped: int = 0
    files_removed: int = 0


def maintain(table: LakeTable, retention: Retention, today: date) -> Kept:
    """Maintain one table. It can be killed at any point, and run anew. Raises SinkUnavailable."""
    days = retention.raw_days if table.kind is RAW else retention.event_days
    dropped = table.expire(today, days)
    melted = table.compact().get("numFilesRemoved", 0)
    return Kept(table.kind.name, melted, dropped, len(table.vacuum(retention.vacuum_hours)))


def keep_small(
    tables: Sequence[LakeTable],
    retention: Retention,
    every_s: float,
    ours: Callable[[], bool],
    stop: threading.Event,
) -> None:
    """Maintain the tables every so often, until told to stop, while `ours` says that it is our turn among the writers.

    Raises:
        SinkUnavailable: the storage can't be used now.
    """
    wait_s = min(FIRST_S, every_s)  # whoever is restarted often maintains, too
    while not stop.wait(wait_s):
        wait_s = every_s
        for table in tables if ours() else ():
            if stop.is_set() or not table.read():
                continue
            kept = maintain(table, retention, datetime.now(UTC).date())
            log.info(
                "the lake was maintained",
                extra={"part": "lake", "table": kept.table, "files_melted": kept.files_melted,
                       "rows_dropped": kept.rows_dropped, "files_removed": kept.files_removed},
            )  # fmt: skip
