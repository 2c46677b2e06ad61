"""Small sums over time that are told with each dispenser: pours of the day, and a link's errors of the last hour."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.web import reads
from heat.events import Poured

SLICE_S = 60.0
"""s of one slice of the hour."""
SLICES = 60
MAX_LINKS = 1_000
"""Links whose errors of one slice are told apart; a broker's client could make names up."""
LOOKED_BACK = 50_000
"""Rows looked through at the start: more than a shop makes in a day. It takes 20 ms."""
ROWS = 500
"""Rows taken in at one look."""


class LastHour:
    """What links counted in the last hour, by link, to the minute."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._slices: deque[tuple[float, Counter[str]]] = deque()
        self._sums: Counter[str] = Counter()

    def add(self, new: Mapping[str, int]) -> None:
        """Links have counted so many more."""
        now_s = self._forget()
        if not self._slices or now_s - self._slices[-1][0] >= SLICE_S:
            self._slices.append((now_s, Counter()))
        latest = self._slices[-1][1]
        for link, count in new.items():
            if link in latest or len(latest) < MAX_LINKS:
                latest[link] += count
                self._sums[link] += count

    def count(self, link: str) -> int:
        """Of one link."""
        self._forget()
        return self._sums.get(link, 0)

    def _forget(self) -> float:
        now_s = self._clock_s()
        while self._slices and now_s - self._slices[0][0] >= SLICES * SLICE_S:
            self._sums -= self._slices.popleft()[1]  # which drops those at zero
        return now_s


class Today:
    """Pours of the store's day, by dispenser. `look` follows the stored events."""

    def __init__(self, reader: sqlite3.Connection, zone: str | None, now: Callable[[], float] = time.time) -> None:
        self._reader = reader
        self._zone = UTC if zone is None else ZoneInfo(zone)
        self._now = now
        self._pours: Counter[str] = Counter()
        self._from_ms, self._until_ms = self.day()
        self._position = reads.backlog(reader).stored
        self._pours.update(reads.pours_since(reader, self._position - LOOKED_BACK, self._from_ms))

    def pours(self, dispenser: str) -> int:
        """Of one dispenser."""
        return self._pours.get(dispenser, 0)

    def look(self) -> bool:
        """Take in new rows; whether there may be more."""
        if not self._from_ms <= self._now() * 1000 < self._until_ms:
            self._from_ms, self._until_ms = self.day()
            self._pours.clear()
        rows = reads.rows_after(self._reader, self._position, ROWS)
        for row in rows:
            self._position = row.position
            if row.type == Poured.type and row.time_ms >= self._from_ms:
                self._pours[row.source] += 1
        return len(rows) == ROWS

    def day(self) -> tuple[int, int]:
        """Midnight, and the next one, Unix time in ms: a day may have 23 or 25 hours."""
        today = datetime.fromtimestamp(self._now(), self._zone).date()
        begin, end = (
            datetime(each.year, each.month, each.day, tzinfo=self._zone) for each in (today, today + timedelta(days=1))
        )
        return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)
