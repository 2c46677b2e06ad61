"""Small things that outlive a restart: notes by key, and until when a repair is not to be shown, and who said so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.access.file import AccessFile

MOST_SNOOZES = 1_000
SETUP = "setup"
"""The note of a setup that isn't closed: its answers."""


class Notes:
    """Texts by key."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file

    def get(self, key: str) -> str | None:
        """A note, or None."""
        row = self._file.reader.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    async def put(self, key: str, value: str | None) -> None:
        """Write a note, or take it away."""

        def work(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM notes WHERE key = ?", (key,))
            else:
                connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))

        await self._file.write(work)


@dataclass(frozen=True, slots=True)
class Snooze:
    """A repair that somebody does not want to see for a while."""

    repair: str
    until: datetime
    who: str


class Snoozes:
    """Those that have not ended, by the repair's key."""

    def __init__(self, file: AccessFile, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._now_ms = now_ms

    def all(self) -> dict[str, Snooze]:
        """What is snoozed now."""
        rows = self._file.reader.execute("SELECT * FROM snoozes WHERE until_ms > ?", (self._now_ms(),))
        return {
            row["repair"]: Snooze(row["repair"], datetime.fromtimestamp(row["until_ms"] / 1000, UTC), row["who"])
            for row in rows
        }

    async def put(self, repair: str, until: datetime, who: str) -> None:
        """Snooze one until then."""
        now_ms = self._now_ms()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM snoozes WHERE until_ms <= ?", (now_ms,))
            connection.execute(
                "INSERT OR REPLACE INTO snoozes VALUES (?, ?, ?, ?)",
                (repair, int(until.timestamp() * 1000), who, now_ms),
            )
            connection.execute(
                "DELETE FROM snoozes WHERE repair NOT IN (SELECT repair FROM snoozes ORDER BY at_ms DESC LIMIT ?)",
                (MOST_SNOOZES,),
            )

        await self._file.write(work)

    async def end(self, repair: str) -> None:
        """Show it again."""
        await self._file.write(lambda connection: connection.execute("DELETE FROM snoozes WHERE repair = ?", (repair,)))
