"""An outbox in one SQLite file, for tests of the uplink: it outlives a process, and a copy of the file is a backup."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cloud_sync.outbox import FIRST_EPOCH, Row, StoredEvent
from cloud_sync.position import Author

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS instances (instance TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS epochs (epoch INTEGER PRIMARY KEY, after INTEGER NOT NULL, through INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS confirmed (position INTEGER NOT NULL);
INSERT INTO confirmed SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM confirmed);
INSERT OR IGNORE INTO epochs VALUES (1, 0, 0);
"""


class SqliteOutbox:
    """`cloud_sync.outbox.Outbox`, and ways to fill it. Rows from `hold_from` on are not to be sent yet.

    It survives the death of its process, not of its machine.
    """

    def __init__(self, path: Path) -> None:
        self.beside = path.with_name("instances")
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {SCHEMA}")
        self.hold_from = 2**63 - 1
        self.reads = 0
        self._more = asyncio.Event()

    def append(self, rows: Iterable[Row]) -> None:
        """Store rows as the next positions; the positions that they bring are not kept."""
        self.db.execute("BEGIN")
        self.db.executemany(
            "INSERT INTO rows (id, row) VALUES (?, ?)", ((str(row.id), pickle.dumps(row)) for row in rows)
        )
        self.db.execute("COMMIT")
        self.wake()

    def wake(self) -> None:
        """Make `wait` return, whatever there is."""
        self._more.set()

    def prune(self) -> None:
        """Forget the rows that are confirmed."""
        self.db.execute("DELETE FROM rows WHERE position <= (SELECT position FROM confirmed)")

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    async def read(self, after: int, limit: int) -> list[Row]:
        """See `Outbox.read`."""
        self.reads += 1
        self._more.clear()
        found = self.db.execute(
            "SELECT position, row, EXISTS (SELECT 1 FROM epochs WHERE after < position AND position <= through)"
            " FROM rows WHERE position > ? AND position < ? ORDER BY position LIMIT ?",
            (after, self.hold_from, limit),
        )
        return [_restored(pickle.loads(row), position, bool(again)) for position, row, again in found]  # noqa: S301

    async def id_at(self, position: int) -> str | None:
        """See `Outbox.id_at`."""
        row = self.db.execute("SELECT id FROM rows WHERE position = ?", (position,)).fetchone()
        return row[0] if row else None

    async def confirmed(self) -> int:
        """See `Outbox.confirmed`."""
        return int(self.db.execute("SELECT position FROM confirmed").fetchone()[0])

    async def confirm(self, position: int) -> None:
        """See `Outbox.confirm`."""
        self.db.execute("UPDATE confirmed SET position = max(position, ?)", (position,))

    async def epoch(self) -> int:
        """See `Outbox.epoch`."""
        return int(self.db.execute("SELECT max(epoch) FROM epochs").fetchone()[0])

    async def begin_epoch(self, redeliver_after: int, above: int) -> int:
        """See `Outbox.begin_epoch`."""
        newest, after = self.db.execute("SELECT epoch, after FROM epochs ORDER BY epoch DESC LIMIT 1").fetchone()
        highest = self.db.execute("SELECT ifnull(max(position), 0) FROM rows").fetchone()[0]
        if newest > max(above, FIRST_EPOCH) and after == redeliver_after == await self.confirmed():
            self.db.execute("UPDATE epochs SET through = ? WHERE epoch = ?", (highest, newest))
        else:
            self.db.execute("INSERT INTO epochs VALUES (?, ?, ?)", (max(newest, above) + 1, redeliver_after, highest))
            self.db.execute("UPDATE confirmed SET position = ?", (redeliver_after,))
        return await self.epoch()

    async def register_instance(self, instance: str) -> None:
        """See `Outbox.register_instance`."""
        await self.adopt_instance(instance)
        self.db.execute("INSERT OR IGNORE INTO instances VALUES (?)", (instance,))

    async def adopt_instance(self, instance: str) -> None:
        """See `Outbox.adopt_instance`."""
        with self.beside.open("a") as file:
            file.write(f"{instance}\n")

    async def author(self, instance: str) -> Author:
        """See `Outbox.author`."""
        if self.db.execute("SELECT 1 FROM instances WHERE instance = ?", (instance,)).fetchone():
            return "here"
        return "beside" if instance in self._beside() else "nowhere"

    async def has_sent(self) -> bool:
        """See `Outbox.has_sent`."""
        return bool(self._beside() or self.db.execute("SELECT 1 FROM instances").fetchone())

    def _beside(self) -> list[str]:
        return self.beside.read_text().split() if self.beside.exists() else []

    async def wait(self, after: int) -> None:
        """See `Outbox.wait`."""
        if not await self.read(after, 1):
            await self._more.wait()


def _restored(row: Row, position: int, redelivered: bool) -> Row:
    if isinstance(row, StoredEvent):
        return replace(row, position=position, redelivered=redelivered)
    return replace(row, position=position, redelivered=redelivered)
