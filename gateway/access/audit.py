"""The audit log: every change that was made through the web, who made it and how. Bounded: the oldest go first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.access.file import AccessFile

MOST = 20_000
"""Rows: a store makes about ten changes a day."""
_SLACK = 200
"""Rows above that before the oldest are deleted."""
LONGEST_CHARS = 500


@dataclass(frozen=True, slots=True)
class Change:
    """One row."""

    number: int
    at: datetime
    who: str
    via: str
    """`session`, `token`, `console`, `setup`; `sign-in` of whoever was locked out."""
    method: str
    route: str
    """The path as the API documents it, with its parameters by name."""
    parameters: Mapping[str, str]
    words: str
    """What the change was, where the route says more."""


class Audit:
    """Writes and reads the log."""

    def __init__(self, file: AccessFile, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._now_ms = now_ms

    async def note(
        self, who: tuple[str, str], action: tuple[str, str], parameters: Mapping[str, str], words: str = ""
    ) -> None:
        """Write that `who` (name, via) did `action` (method, route)."""
        now_ms = self._now_ms()
        cut = json.dumps({name: str(value)[:100] for name, value in parameters.items()}, ensure_ascii=False)

        def work(connection: sqlite3.Connection) -> None:
            added = connection.execute(
                "INSERT INTO audit (at_ms, who, via, method, route, parameters, words) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (now_ms, *who, *action, cut, words[:LONGEST_CHARS]),
            )
            if (number := added.lastrowid or 0) % _SLACK == 0:
                connection.execute("DELETE FROM audit WHERE number <= ?", (number - MOST,))

        await self._file.write(work)

    def page(self, before: int | None, limit: int, who: str | None = None, text: str | None = None) -> list[Change]:
        """Changes older than number `before`, the newest first; of one person, or with a text in them."""
        rows = self._file.reader.execute(
            "SELECT * FROM audit WHERE number < ?1 AND (?2 IS NULL OR who = ?2 COLLATE NOCASE)"
            " AND (?3 IS NULL OR instr(lower(route || ' ' || parameters || ' ' || words), lower(?3)))"
            " ORDER BY number DESC LIMIT ?4",
            (2**62 if before is None else before, who or None, text or None, limit),
        )
        return [
            Change(
                row["number"],
                datetime.fromtimestamp(row["at_ms"] / 1000, UTC),
                row["who"],
                row["via"],
                row["method"],
                row["route"],
                json.loads(row["parameters"]),
                row["words"],
            )
            for row in rows
        ]
