"""Room for the store: the database's limit, the ballast, and what happens when either the quota or the disk is used up.

SQL can't free a full disk: in WAL mode even a DELETE is written before anything is freed. So a file of `ballast_bytes`
is kept, to be given up then. From that moment the store is full: it takes upkeep alone (positions that Kafka has, rows
that may go), for which the database may outgrow its quota by as much as the ballast had.

It ends by itself. The ballast is made again as soon as the disk has room for it and some more. While it can't be, the
database may not grow: what was pruned makes room inside the file, and what the disk has left is for the WAL.

All of it runs in the writer's thread; `full` may be read by any.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

log = logging.getLogger("gateway.space")

PAGE_BYTES = 4_096
ROOM_BYTES = 1024 * 1024
"""Bytes that a disk must have left beside the ballast: some 3,000 events, or a WAL that grows a little."""
ROOM_SHARE = 16
"""A database has room again when a sixteenth of its quota is free: less, and a busy shop would fill it in a minute."""
LOOK_S = 1.0
"""s between two looks for room while there is too little."""


@dataclass(frozen=True, slots=True)
class Full:
    """Nothing but upkeep is taken."""

    of: Literal["disk", "quota"]
    since: float = field(default_factory=time.time)
    """Unix time, s."""


class Space:
    """The room of one database. `connection` is the writer's."""

    def __init__(self, connection: sqlite3.Connection, ballast: Path, quota_bytes: int, ballast_bytes: int) -> None:
        self.full: Full | None = None
        self._connection = connection
        self._ballast = ballast
        self._quota_pages = quota_bytes // PAGE_BYTES
        self._ballast_bytes = ballast_bytes
        self._looked_s = time.monotonic()
        self._has_ballast = make_ballast(ballast, ballast_bytes)
        if self._disk_free() < ROOM_BYTES:
            self.run_out()  # before others than SQLite, who have no ballast to drop, find no space
        self._limit()

    @property
    def short(self) -> bool:
        """Whether it is worth while to look for room."""
        return self.full is not None or not self._has_ballast

    def run_out(self) -> None:
        """SQLite could not write for want of space."""
        of_disk = not self._has_ballast or self._disk_free() < ROOM_BYTES
        if of_disk:
            drop_ballast(self._ballast)
            self._has_ballast = False
        if self.full is None:
            self.full = Full("disk" if of_disk else "quota")
            log.warning("The store is full: its %s is used up", self.full.of)
        self._limit()

    def look(self) -> None:
        """Look for room, at most once a second."""
        if not self.short or time.monotonic() - self._looked_s < LOOK_S:
            return
        self._looked_s = time.monotonic()
        self._has_ballast = make_ballast(self._ballast, self._ballast_bytes)
        if self.full is not None and self._has_room():
            log.info("The store has room again after %.0f s", time.time() - self.full.since)
            self.full = None
        self._limit()

    def _has_room(self) -> bool:
        enough = self._quota_pages // ROOM_SHARE
        free = self._pragma("freelist_count")
        if self._pragma("page_count") - free > self._quota_pages - enough:
            return False
        return self._has_ballast or (free >= enough and self._disk_free() >= ROOM_BYTES)

    def _limit(self) -> None:
        if self.full is not None:
            pages = self._quota_pages + self._ballast_bytes // PAGE_BYTES
        elif self._has_ballast:
            pages = self._quota_pages
        else:
            pages = 1  # SQLite takes its present size for what is less
        self._connection.execute(f"PRAGMA max_page_count={pages}").fetchone()

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _disk_free(self) -> int:
        return shutil.disk_usage(self._ballast.parent).free


def make_ballast(path: Path, size: int) -> bool:
    """Make the ballast unless it is there; whether it is now."""
    with contextlib.suppress(OSError):
        if path.stat().st_size >= size:
            return True
    if shutil.disk_usage(path.parent).free < size + ROOM_BYTES:
        return False
    try:
        with path.open("wb") as file:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        drop_ballast(path)
        return False
    return True


def drop_ballast(path: Path) -> None:
    """Give the ballast's room to whoever needs it."""
    with contextlib.suppress(OSError):
        path.unlink()
