"""Stored minutes -> one event a dispenser and hour, for the cloud, each hour once.

An hour is summarised out of the samples' file once it is over and the time is known: a gateway that was off, or did not
know the time, makes up for it. Which hour was the last is committed together with the events of that hour.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from firmware_bridge.messages import Channel
from gateway.aggregates import HOUR_MS, Sums
from gateway.clock import Clock, Now
from gateway.dating import stamp, stamp_elsewhere
from gateway.sample_file import SampleFile
from gateway.store import Store
from gateway.transaction import Transaction
from heat.errors import StoreError
from heat.events import Event, Sampled, SensorName, SensorRow

T = TypeVar("T")

LAST = "summarised_hour"
"""Key of the table meta: the hour since 1970 that was summarised last."""
GRACE_MS = 120_000
"""ms after an hour's end: its last minute must be in the file."""
FULL_SHARE = 0.5
"""Share of the store's quota above which hours wait in the samples' file: the room is for events."""
EVERY_S = 30.0
CATCH_UP_S = 0.2
"""s between two hours while more of them wait."""


class Source(Protocol):
    """Where minutes are."""

    file: SampleFile

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something with the file."""


class Summaries:
    """Makes them. `place` is the store's name and region, `woken` is called when there is something to send."""

    def __init__(
        self, source: Source, store: Store, clock: Clock, boot: int, place: tuple[str, str], woken: Callable[[], None]
    ) -> None:
        self.made = 0
        """Events stored since the start."""
        self._source = source
        self._store = store
        self._clock = clock
        self._boot = boot
        self._place = place
        self._woken = woken

    async def run(self) -> None:
        """Summarise hour after hour until cancelled."""
        while True:
            more = await self.turn()
            await asyncio.sleep(CATCH_UP_S if more else EVERY_S)

    async def turn(self) -> bool:
        """Summarise the next hour that is due; whether there was one."""
        now = self._clock.now()
        if not now.known or self._clock.holds or self._store.full is not None:
            return False
        hour = await self._due(now)
        if hour is None:
            return False
        sums = await self._source.in_thread(lambda: self._source.file.hour(hour))
        done: Awaitable[int] = asyncio.wrap_future(self._store.write(lambda tx: self._append(tx, hour, sums, now)))
        try:
            self.made += await done
        except StoreError:  # full, or broken, which the housekeeping sees
            return False
        self._woken()
        return True

    async def _due(self, now: Now) -> int | None:
        """The next hour that is over and has not been summarised."""
        through = (now.wall_ms - GRACE_MS) // HOUR_MS - 1
        reader = self._store.reader()
        try:
            if _share_used(reader, self._store.settings.quota_bytes) > FULL_SHARE:
                return None
            row = reader.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?", (LAST,)).fetchone()
        finally:
            reader.close()
        first = await self._source.in_thread(self._source.file.first_hour)
        if first is None:
            return None
        # a last hour that lies ahead was given by a clock that was wrong
        after = min(int(row[0]), through) if row and int(row[0]) <= through + 1 else through - 1 if row else first - 1
        hour = max(after + 1, first)
        return hour if hour <= through else None

    def _append(self, tx: Transaction, hour: int, sums: Mapping[str, Sums], now: Now) -> int:
        end_ms = (hour + 1) * HOUR_MS
        age_ms = now.wall_ms - end_ms
        in_this_boot = age_ms <= now.boot_ms
        when = stamp(now, self._boot, age_ms, sure=True) if in_this_boot else stamp_elsewhere(end_ms)
        for dispenser, of_dispenser in sorted(sums.items()):
            tx.append(Event(tx.own_id(), None, when, self._event(dispenser, of_dispenser)))
        tx.set_meta(LAST, str(hour))
        return len(sums)

    def _event(self, dispenser: str, sums: Sums) -> Sampled:
        store, region = self._place
        return Sampled(
            store=store,
            region=region,
            channel="gateway",
            consent="none",
            dispenser=dispenser,
            seconds=HOUR_MS // 1000,
            sensors=tuple(
                SensorRow(NAMES[sensor.channel], sensor.nozzle, a.n, a.sum, a.least, a.most, a.last)
                for sensor, a in sorted(sums.items())
            ),
        )


NAMES: dict[int, SensorName] = {
    Channel.FLOW: "flow",
    Channel.LEVEL: "level",
    Channel.TEMPERATURE: "temperature",
    Channel.DOOR: "door",
    Channel.DRIP_TRAY: "drip_tray",
}
"""Channels as events and the API name them."""
CHANNELS: dict[SensorName, int] = {name: channel for channel, name in NAMES.items()}


def _share_used(reader: sqlite3.Connection, quota_bytes: int) -> float:
    pages, free, size = (
        int(reader.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size / quota_bytes
