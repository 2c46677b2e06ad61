"""Who lets what be, until access.db keeps it: in memory, bounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

MOST = 1_000


@dataclass(frozen=True, slots=True)
class Let:
    """One that is let be."""

    until: datetime
    who: str


class Remembered:
    """Snoozes that end with the daemon."""

    def __init__(self) -> None:
        self._let: dict[str, Let] = {}

    def all(self) -> dict[str, Let]:
        """See `board.Snoozes`."""
        now = datetime.now(UTC)
        self._let = {key: let for key, let in self._let.items() if let.until > now}
        return self._let

    async def put(self, repair: str, until: datetime, who: str) -> None:
        """See `board.Snoozes`."""
        if len(self._let) < MOST or repair in self._let:
            self._let[repair] = Let(until, who)

    async def end(self, repair: str) -> None:
        """See `board.Snoozes`."""
        self._let.pop(repair, None)
