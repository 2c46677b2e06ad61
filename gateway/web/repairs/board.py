"""Repairs as everybody is shown them: looked for every few seconds, with what history and people say of each.

The daemon's one `Board` belongs to the event loop's thread. What waits for a disk is read in another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import SyncView
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import batched, dispenser_views, everybody
from gateway.web.repairs.facts import Facts, Reader
from gateway.web.repairs.history import History
from gateway.web.repairs.looking import Seen, look
from gateway.web.repairs.repair import Repair, Snooze, ordered
from gateway.web.views import sync_view
from gateway.web.watch import Watch

log = logging.getLogger("gateway.web.repairs")

FRESH_S = 0.4
"""s for which one look serves all who ask."""
EVERY_S = 5.0
"""s between two looks where nobody asks: what was mended is gone within 10 s, and what comes and goes is counted."""
LONGEST_URGENT = timedelta(days=1)
"""What can't wait is let be for so long at most."""


class Board:
    """All repairs of a running gateway."""

    def __init__(self, state: GatewayState, watch: Watch) -> None:
        self.downloaded: set[str] = set()
        """Names of what was set aside and has been taken away since the start."""
        self.facts: Facts | None = None
        self.looked: datetime | None = None
        """When what is told was found out: nothing of it is older."""
        self._read: datetime | None = None
        self._state = state
        self._watch = watch
        self._snoozes = state.access.snoozes
        self._reader = Reader(state.config)
        self._history = History(reads.moment(state.started * 1000))
        self._looking = asyncio.Lock()
        self._looked_s = float("-inf")
        self._repairs: list[Repair] = []
        self._dispensers: list[DispenserView] = []
        self._sync: SyncView | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.read()
            with contextlib.suppress(sqlite3.Error):  # the store tells of it
                await self.look()
            await asyncio.sleep(EVERY_S)

    async def read(self) -> None:
        """Read what stands on disks and in the kernel's files."""
        now = datetime.now(UTC)
        try:
            self.facts = await asyncio.to_thread(self._reader.read, self._state.store, self._state.clock.now().wall_ms)
        except (OSError, sqlite3.Error) as error:
            log.warning("what repairs are told by can't be read: %s", error)
        else:
            self._read = now

    async def look(self) -> None:
        """Look anew, whatever was found a moment ago. Raises sqlite3.Error."""
        async with self._looking:
            await self._look()

    async def fresh(self) -> None:
        """Look anew, unless that was done within `FRESH_S`. Raises sqlite3.Error."""
        async with self._looking:
            if time.monotonic() - self._looked_s > FRESH_S:
                await self._look()

    async def _look(self) -> None:
        state, dispensers = self._state, []
        for some in batched(everybody(state)):
            dispensers += dispenser_views(state, self._watch, some)
            await asyncio.sleep(0)
        sync, now_s = sync_view(state, self._watch), time.monotonic()
        found = look(state, Seen(self._watch, dispensers, sync, self.facts, self.downloaded))
        now = datetime.now(UTC)
        seen = self._history.look(ordered(found), now_s, now)
        self._dispensers, self._sync, self._looked_s = dispensers, sync, now_s
        self._repairs = ordered(self._let_be(seen, now))
        self.looked = min(now, self._read or now)

    def _let_be(self, repairs: list[Repair], now: datetime) -> list[Repair]:
        snoozed = self._snoozes.all()
        told = []
        for repair in repairs:
            let = snoozed.get(repair.key)
            if let is None or let.until <= now or (repair.urgent and let.until - now > LONGEST_URGENT):
                told.append(repair)
            else:
                told.append(replace(repair, snoozed=Snooze(let.until, let.who)))
        return told

    @property
    def repairs(self) -> list[Repair]:
        """What is wrong, as of the last look; what can't wait first."""
        return self._repairs

    @property
    def views(self) -> tuple[list[DispenserView], SyncView]:
        """The dispensers and the way to Kafka, as of the same look."""
        assert self._sync is not None, "it was looked at everything before"
        return self._dispensers, self._sync

    async def get(self, key: str) -> Repair | None:
        """One of them, at most `FRESH_S` old. Raises sqlite3.Error."""
        await self.fresh()
        return next((repair for repair in self.repairs if repair.key == key), None)

    async def snooze(self, repair: Repair, for_: timedelta, who: str) -> None:
        """Let one be for a while. Raises StoreError."""
        until = datetime.now(UTC) + (min(for_, LONGEST_URGENT) if repair.urgent else for_)
        await self._snoozes.put(repair.key, until, who)
        await self.look()

    async def wake(self, repair: Repair) -> None:
        """Let it be no more. Raises StoreError."""
        await self._snoozes.end(repair.key)
        await self.look()
