"""What was answered to requests with a key of their own: the second request of a key gets the first one's answer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from gateway.access.file import AccessFile

KEPT_MS = 86_400_000
MOST = 2_000
"""Answers kept; the oldest go first."""
LARGEST_BYTES = 65_536
"""Bytes of an answer's body that is kept."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, to be given again."""

    request: str
    """Method, path, and in short what the body is: a key is for one request alone."""
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Answers:
    """The answers of a day."""

    def __init__(self, file: AccessFile, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._now_ms = now_ms

    def find(self, key: bytes) -> KeptAnswer | None:
        """What was answered to this key within the last day."""
        row = self._file.reader.execute(
            "SELECT * FROM answers WHERE key = ? AND at_ms > ?", (key, self._now_ms() - KEPT_MS)
        ).fetchone()
        if row is None:
            return None
        headers = tuple((name, value) for name, value in json.loads(row["headers"]))
        return KeptAnswer(row["request"], row["status"], headers, row["body"])

    async def keep(self, key: bytes, answer: KeptAnswer) -> None:
        """Keep an answer for a day."""
        now_ms = self._now_ms()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                (key, now_ms, answer.request, answer.status, json.dumps(answer.headers), answer.body),
            )
            connection.execute("DELETE FROM answers WHERE at_ms <= ? OR at_ms > ?", (now_ms - KEPT_MS, now_ms))
            connection.execute(
                "DELETE FROM answers WHERE key NOT IN (SELECT key FROM answers ORDER BY at_ms DESC LIMIT ?)",
                (MOST,),
            )

        await self._file.write(work)
