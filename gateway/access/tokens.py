"""Tokens: with which programs come in, and the browsers that are a dispenser's screen. Shown once, kept as a hash."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.access import secret
from gateway.access.file import AccessFile
from gateway.access.roles import Role
from heat.errors import DataError
from heat.identity import check_name

PREFIX = "picante_"
"""So that whoever finds one knows what it is."""
MOST = 200
ROLES = {"read": Role.VIEWER, "service": Role.TECHNICIAN, "owner": Role.OWNER}
"""Scopes that may what a person of this role may."""
METRICS = "metrics"
KIOSK = "kiosk:"
LONGEST_DAYS = 3_650


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its secret."""

    id: str
    name: str
    scope: str
    """`read`, `service`, `owner`, `metrics`, `kiosk:{dispenser}`."""
    maker: str
    created: datetime
    expires: datetime | None

    @property
    def role(self) -> Role:
        """What it may do where its scope lets it go at all."""
        return ROLES.get(self.scope, Role.VIEWER)

    def opens(self, path: str) -> bool:
        """Whether its scope reaches a path."""
        if self.scope == METRICS:
            return path == "/metrics"
        if self.scope.startswith(KIOSK):
            dispenser = self.scope.removeprefix(KIOSK)
            return bool(re.fullmatch(rf"(/api/v1)?/kiosk/{re.escape(dispenser)}(/.*)?", path))
        return True

    @property
    def limited(self) -> bool:
        """Whether it reaches a few paths alone, and may do there whatever they offer."""
        return self.scope not in ROLES


def check_scope(scope: str) -> str:
    """A scope that there is. Raises DataError."""
    if scope.startswith(KIOSK):
        check_name(scope.removeprefix(KIOSK), "dispenser")
    elif scope not in ROLES and scope != METRICS:
        raise DataError("there is no such scope", hint="Scopes: read, service, owner, metrics, kiosk:DISPENSER")
    return scope


class Tokens:
    """All tokens."""

    def __init__(self, file: AccessFile, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._now_ms = now_ms

    def find(self, shown: str) -> Token | None:
        """The token of what was shown, if it is good now."""
        found = self._file.reader.execute("SELECT * FROM tokens WHERE hash = ?", (secret.digest(shown),))
        row = found.fetchone()
        return None if row is None or self._is_over(row) else _token(row)

    def is_good(self, token_id: str) -> bool:
        """Whether it was not revoked, and is not over: streams look at this."""
        row = self._file.reader.execute("SELECT * FROM tokens WHERE id = ?", (token_id,)).fetchone()
        return row is not None and not self._is_over(row)

    def all(self) -> list[Token]:
        """All that are good now, by name."""
        rows = self._file.reader.execute("SELECT * FROM tokens ORDER BY name, created_ms")
        return [_token(row) for row in rows if not self._is_over(row)]

    async def add(self, name: str, scope: str, maker: str, days: int | None) -> str:
        """A new token's secret: it is shown now, and never again. Raises DataError."""
        return await self._file.write(lambda connection: self._insert(connection, name, scope, maker, days))

    def add_now(self, name: str, scope: str, maker: str, days: int | None) -> str:
        """See `add`; in this thread."""
        return self._file.write_now(lambda connection: self._insert(connection, name, scope, maker, days))

    def _insert(self, connection: sqlite3.Connection, name: str, scope: str, maker: str, days: int | None) -> str:
        name = name.strip()
        if not 1 <= len(name) <= 60 or not name.isprintable():
            raise DataError("a token's name has 1 to 60 characters", hint="Say what uses it: prometheus")
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise DataError(f"a token is good for 1 to {LONGEST_DAYS} days", hint="Leave it out for no end")
        check_scope(scope)
        now_ms = self._now_ms()
        connection.execute("DELETE FROM tokens WHERE expires_ms < ?", (now_ms,))
        [count] = connection.execute("SELECT count(*) FROM tokens").fetchone()
        if count >= MOST:
            raise DataError(f"there are {MOST} tokens already", hint="Revoke those that nobody uses")
        shown = secret.make(PREFIX)
        expires_ms = None if days is None else now_ms + days * 86_400_000
        connection.execute(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)",
            (secret.digest(shown), secret.short_id(), name, scope, maker, now_ms, expires_ms),
        )
        return shown

    async def revoke(self, token_id: str) -> bool:
        """End one; whether there was such a token."""
        return await self._file.write(
            lambda connection: connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,)).rowcount > 0
        )

    def _is_over(self, row: sqlite3.Row) -> bool:
        return row["expires_ms"] is not None and row["expires_ms"] < self._now_ms()


def _token(row: sqlite3.Row) -> Token:
    expires_ms = row["expires_ms"]
    return Token(
        row["id"],
        row["name"],
        row["scope"],
        row["maker"],
        datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        None if expires_ms is None else datetime.fromtimestamp(expires_ms / 1000, UTC),
    )
