"""What `cloud.weather` remembers: what was asked, what it cost, what was answered, and what Kafka has of it.

It lies on disk, so that a restart neither asks again nor spends a day's calls twice: a call is written down before it
is made. Lost, it costs a few calls.

    looks     a spot's question of an hour: how often it was asked, and when to ask again (never: it is settled)
    answers   a spot's latest weather
    spent     calls of a UTC day
    told      hours of a store that are in Kafka
    rest      until when the service is to be left alone, and why
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from cloud.open_weather import MOST_PAUSE_S, OLDEST_MS, NoWeather, Spot, Weather
from cloud.state_file import open_state, transaction
from cloud_sync.topics import DAY_MS, HOUR_MS

AGAIN_MS = (60_000, 300_000)
"""ms to the second and to the third try of an hour; there is no fourth."""
KEPT_HOURS = 48

_SCHEMA = """
CREATE TABLE looks (spot TEXT NOT NULL, hour INTEGER NOT NULL, tries INTEGER NOT NULL, again_ms INTEGER,
    PRIMARY KEY (spot, hour)) WITHOUT ROWID;
CREATE TABLE answers (spot TEXT PRIMARY KEY, weather TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE spent (day INTEGER PRIMARY KEY, calls INTEGER NOT NULL);
CREATE TABLE told (store TEXT NOT NULL, hour INTEGER NOT NULL, PRIMARY KEY (store, hour)) WITHOUT ROWID;
CREATE TABLE rest (one INTEGER PRIMARY KEY CHECK (one = 1), until_ms INTEGER NOT NULL, reason TEXT NOT NULL);
"""


class WeatherBook:
    """Which spots are to be asked for, within a budget of calls a day. All times are Unix ms."""

    def __init__(self, path: Path, calls_a_day: int) -> None:
        """Raises ConfigError, StoreError."""
        self._connection = open_state(path, _SCHEMA)
        self._calls_a_day = calls_a_day
        with transaction(self._connection) as db:
            db.execute("DELETE FROM rest WHERE reason = 'refused'")  # whoever mends the key starts us again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def pending(self, spots: Iterable[Spot], now_ms: int) -> dict[Spot, int]:
        """The spots that will be asked for in this hour (again), and when; in the order in which they are asked.

        Where the budget is too small for each spot and hour, each has its turn every second hour, or every third.
        """
        left = self._calls_a_day - self.spent(now_ms)
        hour = now_ms // HOUR_MS
        rests_until_ms = self._rests_until(now_ms)
        if left <= 0 or rests_until_ms >= (hour + 1) * HOUR_MS:
            return {}
        known = sorted(set(spots))
        every = -(-len(known) * 24 // self._calls_a_day)
        looks: dict[str, int | None] = dict(
            self._connection.execute("SELECT spot, again_ms FROM looks WHERE hour = ?", (hour,))
        )
        turn = [spot for number, spot in enumerate(known) if (hour + number) % every == 0]
        due = {spot: again for spot in turn if (again := looks.get(str(spot), 0)) is not None}
        return {spot: max(again, rests_until_ms) for spot, again in list(due.items())[:left]}

    def spend(self, spot: Spot, now_ms: int) -> None:
        """A call is about to be made."""
        with transaction(self._connection) as db:
            db.execute(
                "INSERT INTO spent VALUES (?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1", (now_ms // DAY_MS,)
            )
            hour = now_ms // HOUR_MS
            (tries,) = db.execute(
                "INSERT INTO looks VALUES (?, ?, 1, NULL) ON CONFLICT DO UPDATE SET tries = tries + 1 RETURNING tries",
                (str(spot), hour),
            ).fetchone()
            again_ms = now_ms + AGAIN_MS[tries - 1] if tries <= len(AGAIN_MS) else None
            db.execute("UPDATE looks SET again_ms = ? WHERE spot = ? AND hour = ?", (again_ms, str(spot), hour))

    def note(self, spot: Spot, answer: Weather | NoWeather, now_ms: int) -> None:
        """What came of the call."""
        with transaction(self._connection) as db:
            if isinstance(answer, Weather):
                db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (str(spot), msgspec.json.encode(answer)))
            elif answer.pause_s:
                until_ms = now_ms + int(answer.pause_s * 1000)
                db.execute("INSERT OR REPLACE INTO rest VALUES (1, ?, ?)", (until_ms, answer.reason))
            if isinstance(answer, Weather) or answer.reason == "unusable":
                db.execute("UPDATE looks SET again_ms = NULL WHERE spot = ?", (str(spot),))
            self._forget(db, now_ms)

    def latest(self, spot: Spot, now_ms: int) -> Weather | None:
        """A spot's latest weather, unless it is too old to say anything of now."""
        row = self._connection.execute("SELECT weather FROM answers WHERE spot = ?", (str(spot),)).fetchone()
        found = None if row is None else msgspec.json.decode(row[0], type=Weather)
        return found if found is not None and found.as_of_ms >= now_ms - OLDEST_MS else None

    def told(self, hour: int) -> set[str]:
        """The stores that Kafka has this hour of."""
        return {store for (store,) in self._connection.execute("SELECT store FROM told WHERE hour = ?", (hour,))}

    def confirm(self, stores: Iterable[str], hour: int) -> None:
        """Kafka has this hour of these stores."""
        with transaction(self._connection) as db:
            db.executemany("INSERT OR IGNORE INTO told VALUES (?, ?)", [(store, hour) for store in stores])

    def spent(self, now_ms: int) -> int:
        """Calls of this UTC day."""
        row = self._connection.execute("SELECT calls FROM spent WHERE day = ?", (now_ms // DAY_MS,)).fetchone()
        return int(row[0]) if row else 0

    def _rests_until(self, now_ms: int) -> int:
        """0 for none, or for one that is further away than any that is asked for: noted while the clock was ahead."""
        latest_ms = now_ms + int(MOST_PAUSE_S * 1000)
        row = self._connection.execute("SELECT until_ms FROM rest WHERE until_ms <= ?", (latest_ms,)).fetchone()
        return int(row[0]) if row else 0

    def _forget(self, db: sqlite3.Connection, now_ms: int) -> None:
        oldest = now_ms // HOUR_MS - KEPT_HOURS
        db.execute("DELETE FROM looks WHERE hour < ?", (oldest,))
        db.execute("DELETE FROM told WHERE hour < ?", (oldest,))
        db.execute("DELETE FROM spent WHERE day < ?", (oldest // 24,))
