"""The store as the uplink sees it: `cloud_sync.outbox.Outbox` over the gateway's database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from types import NoneType
from typing import Any

from cloud_sync.outbox import FIRST_EPOCH, Row, StoredEvent, StoredRefusal
from cloud_sync.position import Author
from gateway.database import mended_text
from gateway.instances import Instances
from gateway.ledger import note_confirmed
from gateway.packed import unpack
from gateway.store import Store
from gateway.transaction import Transaction
from heat.identity import EventId

_READY = "position > ? AND position < ifnull((SELECT min(position) FROM events WHERE day < 0), 9223372036854775807)"
"""Rows that may go up: above a position, and below the first that still waits for its day."""
_ROWS = f"""
SELECT position, source, generation, sequence, type, subject, time_ms, day, clock, data, reason, detail,
       EXISTS (SELECT 1 FROM epochs WHERE redeliver_after < position AND position <= redeliver_through)
FROM events
WHERE {_READY}
ORDER BY position LIMIT ?
"""  # noqa: S608 -- made of constants; values are bound

_NEWEST_EPOCH = "SELECT epoch, redeliver_after FROM epochs ORDER BY epoch DESC LIMIT 1"

_SHAPES = {
    (int, str, int, int, *kind, int, int, str, bytes, *refusal, int)
    for kind, refusal in [
        ((str, str), (NoneType, NoneType)),
        ((str, NoneType), (NoneType, NoneType)),
        ((NoneType, NoneType), (str, str)),
        ((NoneType, NoneType), (str, NoneType)),
    ]
}
"""Types of an event's columns, with and without a subject, and of a refusal's. Others come of a damaged disk alone."""


class StoreOutbox:
    """Rows above the confirmed position; none while `holds()`. Reads run in a thread with a connection of their own."""

    def __init__(self, store: Store, holds: Callable[[], bool] = lambda: False) -> None:
        self.handed: int | None = None
        """The last position that may be under way to Kafka, or there; None until the uplink has said where it is."""
        self._store = store
        self._holds = holds
        self._held_back = False
        self._reading = asyncio.Lock()
        self._instances = Instances(store.settings.data_dir)
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Something was committed. Call it in the event loop's thread."""
        self._more.set()

    def look(self) -> None:
        """Wake who was held back, once nothing holds any more."""
        if self._held_back and not self._holds():
            self._held_back = False
            self._more.set()

    @asynccontextmanager
    async def still(self) -> AsyncIterator[int | None]:
        """Nothing is read inside: yields `handed`, which stays."""
        async with self._reading:
            yield self.handed

    async def read(self, after: int, limit: int) -> list[Row]:
        """See `Outbox.read`."""
        self._more.clear()
        async with self._reading:
            self._held_back = self._holds()
            rows = [] if self._held_back else await asyncio.to_thread(self._read, after, limit)
            self.handed = max(self.handed or 0, after, rows[-1].position if rows else 0)
        return rows

    def _read(self, after: int, limit: int) -> list[Row]:
        with closing(self._store.reader()) as connection, self._store.watching():
            connection.text_factory = str  # faster, as long as no text is damaged
            try:
                rows = connection.execute(_ROWS, (after, limit)).fetchall()
            except sqlite3.OperationalError:
                connection.text_factory = mended_text
                rows = connection.execute(_ROWS, (after, limit)).fetchall()
        return [self._row(row) for row in rows]

    def _row(self, row: tuple[Any, ...]) -> Row:
        (position, source, generation, sequence, type_, subject, time_ms, day, clock, data, reason, detail, again) = row
        origin = self._store.settings.gateway_id
        if tuple(map(type, row)) not in _SHAPES:
            known = [value if isinstance(value, int) else 0 for value in (generation, sequence, time_ms)]
            body = data if isinstance(data, bytes) else str(data).encode()
            event_id, detail = EventId(str(source), *known[:2]), "its columns hold values of wrong types"
            return StoredRefusal(position, event_id, known[2], origin, "damaged", detail, body, bool(again))
        event_id = EventId(source, generation, sequence)
        if reason is not None:
            return StoredRefusal(position, event_id, time_ms, origin, reason, detail or "", data, bool(again))
        text = unpack(data)
        return StoredEvent(position, event_id, type_, subject, time_ms, day, clock, origin, text, bool(again))

    async def id_at(self, position: int) -> str | None:
        """See `Outbox.id_at`."""
        if position > max(self._store.held, self.handed or 0):
            return None
        row = await self._one("SELECT source, generation, sequence FROM events WHERE position = ?", position)
        return str(EventId(*row)) if row else None

    async def confirmed(self) -> int:
        """See `Outbox.confirmed`."""
        row = await self._one("SELECT value FROM meta WHERE key = 'confirmed'")
        return int(row[0]) if row else 0

    async def confirm(self, position: int) -> None:
        """See `Outbox.confirm`."""

        def work(tx: Transaction) -> None:
            if position > (before := int(tx.meta("confirmed"))):
                tx.set_meta("confirmed", str(position))
                note_confirmed(tx.connection, before, position)

        await asyncio.wrap_future(self._store.write(work, upkeep=True))

    async def epoch(self) -> int:
        """See `Outbox.epoch`."""
        row = await self._one("SELECT max(epoch) FROM epochs")
        return int(row[0]) if row else 1

    async def begin_epoch(self, redeliver_after: int, above: int) -> int:
        """See `Outbox.begin_epoch`."""

        def work(tx: Transaction) -> int:
            newest, after = tx.connection.execute(_NEWEST_EPOCH).fetchone()
            before = int(tx.meta("confirmed"))
            highest = tx.connection.execute("SELECT ifnull(max(position), 0) FROM events").fetchone()[0]
            if newest > max(above, FIRST_EPOCH) and after == redeliver_after == before:
                tx.connection.execute("UPDATE epochs SET redeliver_through = ? WHERE epoch = ?", (highest, newest))
                return int(newest)
            begun = int(max(newest, above)) + 1
            tx.connection.execute("INSERT INTO epochs VALUES (?, ?, ?)", (begun, redeliver_after, highest))
            tx.set_meta("confirmed", str(redeliver_after))
            note_confirmed(tx.connection, before, redeliver_after)
            return begun

        return await asyncio.wrap_future(self._store.write(work, upkeep=True))

    async def register_instance(self, instance: str) -> None:
        """See `Outbox.register_instance`."""
        kept = await asyncio.to_thread(self._add_beside, instance)

        def work(tx: Transaction) -> None:
            tx.connection.execute("INSERT OR IGNORE INTO instances VALUES (?)", (instance,))
            forgotten = f"DELETE FROM instances WHERE instance NOT IN ({', '.join('?' * len(kept))})"  # noqa: S608
            tx.connection.execute(forgotten, kept)

        await asyncio.wrap_future(self._store.write(work, upkeep=True))

    def _add_beside(self, instance: str) -> list[str]:
        """Record an id beside the database, and those that the database has: the file may have been lost."""
        with closing(self._store.reader()) as connection:
            here = [str(known) for (known,) in connection.execute("SELECT instance FROM instances")]
        return self._instances.add(instance, older=here)

    async def adopt_instance(self, instance: str) -> None:
        """See `Outbox.adopt_instance`."""
        await asyncio.to_thread(self._instances.add, instance)

    async def author(self, instance: str) -> Author:
        """See `Outbox.author`."""
        if await self._one("SELECT 1 FROM instances WHERE instance = ?", instance) is not None:
            return "here"
        return "beside" if instance in await asyncio.to_thread(self._instances.load) else "nowhere"

    async def has_sent(self) -> bool:
        """See `Outbox.has_sent`."""
        if await self._one("SELECT 1 FROM instances LIMIT 1") is not None:
            return True
        return bool(await asyncio.to_thread(self._instances.load))

    async def wait(self, after: int) -> None:
        """See `Outbox.wait`."""
        sql = f"SELECT 1 FROM events WHERE {_READY} LIMIT 1"  # noqa: S608 -- as above
        if self._held_back or await self._one(sql, after) is None:
            await self._more.wait()

    async def _one(self, sql: str, *arguments: object) -> tuple[Any, ...] | None:
        return await asyncio.to_thread(self._query_one, sql, arguments)

    def _query_one(self, sql: str, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with closing(self._store.reader()) as connection:
            row: tuple[Any, ...] | None = connection.execute(sql, arguments).fetchone()
            return row
