"""What the daemon does for its store once a second, if due: one that is idle and knows the time writes nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gateway import ledger, sessions
from gateway.clock import Clock, Now
from gateway.dating import note_unknown, redate, settle
from gateway.ledger import DAYS_KEPT
from gateway.outbox import StoreOutbox
from gateway.store import Store
from gateway.transaction import Transaction

KEEP_CONFIRMED_ROWS = 200_000
"""Rows kept after Kafka has them: what the page's history and a salvage can look back on."""
PRUNE_ROWS = 500
"""Rows pruned in one transaction: a few ms of the writer's time."""
PRUNE_ROWS_FULL = 2_000
"""The same while the store is full and takes no events."""
KEEP_CONFIRMED_ROWS_FULL = 1
"""Rows kept then: the last one says whether this database is the one that Kafka knows."""
NOTE_MS = 600_000
"""ms after which it is noted again that the time is unknown: a restart of the machine forgets so much of the wait."""
ALL_DATED = 2**62
"""A position above all: before time was first known, nothing was dated by this boot's clock."""

_DUE = f"""
SELECT EXISTS (SELECT 1 FROM events WHERE day < 0),
       EXISTS (SELECT 1 FROM sessions WHERE {sessions.IDLE}),
       EXISTS (SELECT 1 FROM events WHERE position <= (SELECT value - :keep FROM meta WHERE key = 'confirmed')),
       EXISTS (SELECT 1 FROM ledger WHERE day >= 0 AND day < :oldest)
"""  # noqa: S608 -- made of constants; values are bound


def due(
    reader: sqlite3.Connection, now: Now, boot: int, *, given_up: bool = False, full: bool = False
) -> Callable[[Transaction], None] | None:
    """The work that is due, or None. `given_up` is whether events don't wait any more for the time to become known."""
    keep, at_once = (KEEP_CONFIRMED_ROWS_FULL, PRUNE_ROWS_FULL) if full else (KEEP_CONFIRMED_ROWS, PRUNE_ROWS)
    oldest = now.day - DAYS_KEPT if now.known else 0
    terms = {"keep": keep, "oldest": oldest, **sessions.idle_terms(now.boot_ms)}
    waiting, idle, prunable, past = reader.execute(_DUE, terms).fetchone()
    settling = waiting and (now.known or given_up)
    if not (settling or idle or prunable or past):
        return None

    def work(tx: Transaction) -> None:
        if settling:
            settle(tx, boot, now)
        if idle:
            sessions.end_idle(tx, now.boot_ms)
        if prunable:
            _prune(tx, keep, at_once)
        if past:
            ledger.forget_before(tx.connection, oldest)

    return work


async def date_anew(clock: Clock, store: Store, outbox: StoreOutbox, boot: int, *, sending: bool) -> None:
    """Move what is dated by a clock that is no longer believed, if it can't be on its way to Kafka.

    `sending` is whether there is an uplink: nothing is moved before it has said how far Kafka is.
    """
    offset_ms = clock.offset_ms
    if offset_ms is None or not clock.to_redate or not clock.now().known:
        return
    async with outbox.still() as handed:
        if clock.dated_ms is None:
            after: int | None = ALL_DATED
        elif handed is None and sending:
            return
        else:
            after = handed or 0
        while after is not None:
            work = partial(redate, boot=boot, after=after, offset_ms=offset_ms)
            after = await asyncio.wrap_future(store.write(work, upkeep=True))
    clock.dated_ms = offset_ms


async def note_wait(clock: Clock, store: Store) -> None:
    """Keep how long the time has been unknown, and a doubt stood: a restart begins neither anew."""
    unknown, noted = clock.unknown(), clock.noted
    if unknown is not None and noted is not None:
        same = replace(unknown, at_ms=noted.at_ms) == noted and unknown.at_ms - noted.at_ms < NOTE_MS
    else:
        same = unknown is noted
    if not same:
        await asyncio.wrap_future(store.write(lambda tx: note_unknown(tx, unknown), upkeep=True))
        clock.noted = unknown


def _prune(tx: Transaction, keep: int, at_once: int) -> None:
    tx.connection.execute(
        "DELETE FROM events WHERE position IN"
        " (SELECT position FROM events WHERE position <= ? ORDER BY position LIMIT ?)",
        (int(tx.meta("confirmed")) - keep, at_once),
    )
