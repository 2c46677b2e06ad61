"""Sessions of browsers: kept here, so that each can be ended; a browser has a random secret, whose hash is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.access import secret
from gateway.access.file import AccessFile
from gateway.access.people import fold
from gateway.access.roles import Role

IDLE_MS = 14 * 86_400_000
"""A fortnight without a request ends a session: a technician comes once a week."""
LONGEST_MS = 90 * 86_400_000
"""Whatever happens, it ends then."""
SEEN_EVERY_MS = 60_000
"""Between two notes that a session is in use."""
MOST_OF_ONE = 20
"""Sessions of one person; the longest unused goes first."""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which somebody is signed in."""

    id: str
    """Names it; opens nothing."""
    person: str
    role: Role
    language: str | None
    created: datetime
    seen: datetime
    address: str
    browser: str


_COLUMNS = (
    "SELECT sessions.*, people.name, people.role, people.language FROM sessions"
    " JOIN people ON people.folded = sessions.person"
)


class Sessions:
    """All sessions. Wall time may be set meanwhile: a session made in the future counts as new."""

    def __init__(self, file: AccessFile, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._now_ms = now_ms

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie, if it has not ended."""
        row = self._file.reader.execute(f"{_COLUMNS} WHERE hash = ?", (secret.digest(cookie),)).fetchone()
        return None if row is None or self._ended(row) else _session(row)

    async def begin(self, person: str, address: str, browser: str) -> str:
        """A new session's cookie."""
        return await self._file.write(lambda connection: self._insert(connection, person, address, browser))

    def begin_now(self, person: str, address: str, browser: str) -> str:
        """See `begin`; in this thread."""
        return self._file.write_now(lambda connection: self._insert(connection, person, address, browser))

    def _insert(self, connection: sqlite3.Connection, person: str, address: str, browser: str) -> str:
        cookie, now_ms = secret.make(), self._now_ms()
        connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (secret.digest(cookie), secret.short_id(), fold(person), now_ms, now_ms, address[:64], browser[:160]),
        )
        connection.execute("DELETE FROM sessions WHERE created_ms < ?", (now_ms - LONGEST_MS,))
        connection.execute(
            "DELETE FROM sessions WHERE person = ?1 AND hash NOT IN"
            " (SELECT hash FROM sessions WHERE person = ?1 ORDER BY seen_ms DESC, rowid DESC LIMIT ?2)",
            (fold(person), MOST_OF_ONE),
        )
        return cookie

    async def saw(self, session: Session) -> None:
        """Note that it is in use, once a minute at most."""
        now_ms = self._now_ms()
        if abs(now_ms - session.seen.timestamp() * 1000) >= SEEN_EVERY_MS:
            await self._file.write(
                lambda connection: connection.execute(
                    "UPDATE sessions SET seen_ms = ? WHERE id = ?", (now_ms, session.id)
                )
            )

    def of(self, person: str | None = None) -> list[Session]:
        """Somebody's sessions, or all; the last used first."""
        rows = self._file.reader.execute(f"{_COLUMNS} ORDER BY seen_ms DESC")
        mine = None if person is None else fold(person)
        return [_session(row) for row in rows if not self._ended(row) and mine in {None, row["person"]}]

    def role_of(self, session_id: str) -> Role | None:
        """What whoever has it is by now; None: it has ended. Streams look at this."""
        row = self._file.reader.execute(f"{_COLUMNS} WHERE id = ?", (session_id,)).fetchone()
        return None if row is None or self._ended(row) else _session(row).role

    async def end(self, session_id: str) -> bool:
        """End one; whether there was such a session."""
        return await self._file.write(
            lambda connection: connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount > 0
        )

    async def end_others(self, person: str, kept: str | None) -> int:
        """End all of somebody's but one; how many."""
        return await self._file.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM sessions WHERE person = ? AND id IS NOT ?", (fold(person), kept)
                ).rowcount
            )
        )

    def _ended(self, row: sqlite3.Row) -> bool:
        now_ms = self._now_ms()
        return bool(now_ms - row["seen_ms"] > IDLE_MS or now_ms - row["created_ms"] > LONGEST_MS)


def _session(row: sqlite3.Row) -> Session:
    return Session(
        row["id"],
        row["name"],
        Role(row["role"]),
        row["language"],
        datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        datetime.fromtimestamp(row["seen_ms"] / 1000, UTC),
        row["address"],
        row["browser"],
    )
