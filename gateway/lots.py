"""The bottles: which one hangs on which nozzle, of which lot, good until when; and lots that were recalled.

Kept in the store, and in memory for whoever answers customers: what hangs there past its date, or of a lot that was
recalled, is no candidate for a pick. Bottles are told by people. A dispenser says only that it was refilled: then the
bottle that was known there has gone, unless it was hung just now.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from firmware_bridge.messages import NozzleInfo
from gateway import bottle_pours, sessions
from gateway.packed import unpack
from gateway.store import Store
from gateway.transaction import Transaction
from heat.errors import DataError
from heat.events import Poured, read_data

LOT = re.compile(r"[A-Z0-9](?:[A-Z0-9 ._-]{0,30}[A-Z0-9])?\Z")
"""As it stands on labels, in capitals; spaces are one, and a slash, which ends names in addresses, is a hyphen."""
KEPT = 5_000
"""Bottles that hang nowhere any more, some 0.5 MB; the oldest go, and with them where their pours came from."""
KEPT_RECALLS = 1_000
SAME_ACT_MS = 15 * 60 * 1000
"""ms between a bottle that is told here and the dispenser's own word of its refill for both to be one act."""

Unfit = Literal["expired", "recalled"]
"""Why a bottle may not be poured from."""

_COLUMNS = "bottle, dispenser, nozzle, sauce, lot, best_before, volume_ml, hung_by, since_ms, until_ms"
_HANGING = f"SELECT {_COLUMNS} FROM bottles WHERE until_ms IS NULL"  # noqa: S608 -- constants
_INSERT = f"INSERT INTO bottles ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL) RETURNING bottle"  # noqa: S608
_SINCE = f"""
SELECT position, subject, time_ms, CAST(data AS BLOB) FROM events
WHERE position > (SELECT max(position) FROM events) - 5000
AND source = ? AND type = '{Poured.type}' AND clock = 'known' AND time_ms >= ?
AND position NOT IN (SELECT position FROM bottle_pours)
"""  # noqa: S608 -- a constant


@dataclass(frozen=True, slots=True)
class Bottle:
    """One bottle on one nozzle."""

    dispenser: str
    nozzle: int
    sauce: str
    lot: str
    best_before: date | None
    """The last day on which it may be poured from."""
    volume_ml: int
    hung_by: str
    since_ms: int
    until_ms: int | None = None
    """None: it hangs there."""
    id: int = 0
    """Given by the store."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A lot that must not be poured any more."""

    lot: str
    since_ms: int
    recalled_by: str
    reason: str


class Lots:
    """All bottles that hang somewhere, and all recalls. `today` gives the day on the store's calendar."""

    def __init__(self, store: Store, today: Callable[[], date]) -> None:
        """Raises sqlite3.Error."""
        self._store = store
        self._today = today
        with closing(store.reader()) as reader:
            self._load(reader)

    def _load(self, reader: sqlite3.Connection) -> None:
        self._hanging = {(b.dispenser, b.nozzle): b for b in map(_bottle, reader.execute(_HANGING).fetchall())}
        rows = reader.execute("SELECT lot, since_ms, recalled_by, reason FROM recalls ORDER BY since_ms DESC")
        self._recalls = {recall.lot: recall for recall in (Recall(*row) for row in rows)}

    def bottle(self, dispenser: str, nozzle: int) -> Bottle | None:
        """What hangs there; None where nobody said, or the dispenser was refilled since."""
        return self._hanging.get((dispenser, nozzle))

    @property
    def hanging(self) -> list[Bottle]:
        """All that hang somewhere."""
        return list(self._hanging.values())

    @property
    def recalls(self) -> list[Recall]:
        """The newest first."""
        return list(self._recalls.values())

    def recall_of(self, lot: str) -> Recall | None:
        """Whether a lot was recalled."""
        return self._recalls.get(lot)

    def unfit(self, bottle: Bottle) -> Unfit | None:
        """Why a bottle may not be poured from; None: it may."""
        if bottle.lot in self._recalls:
            return "recalled"
        return "expired" if bottle.best_before is not None and bottle.best_before < self._today() else None

    def fit(self, dispenser: str, nozzles: Iterable[NozzleInfo]) -> tuple[NozzleInfo, ...]:
        """The nozzles whose bottles may be poured from, as far as anybody knows."""
        return tuple(
            each
            for each in nozzles
            if (hangs := self._hanging.get((dispenser, each.nozzle))) is None or self.unfit(hangs) is None
        )

    async def hang(self, bottle: Bottle) -> Bottle:
        """A bottle was put on a nozzle; the one before has gone. Raises DataError, StoreError."""
        why = self.unfit(bottle)
        if why == "recalled":
            raise DataError(f"lot {bottle.lot} was recalled", hint="Set this bottle aside, and take one of another lot")
        if why == "expired":
            raise DataError(
                f"best before {bottle.best_before}: that has passed",
                hint="Look at the date again. If it is right, take another bottle",
            )
        hung = await asyncio.wrap_future(self._store.write(lambda tx: _hang(tx, bottle), upkeep=True))
        self._hanging[hung.dispenser, hung.nozzle] = hung
        return hung

    def look_again(self) -> None:
        """A dispenser was refilled, and that is on disk (`refill`)."""
        with closing(self._store.reader()) as reader:
            self._load(reader)

    async def recall(self, recall: Recall) -> None:
        """A lot must not be poured any more. Raises StoreError."""

        def work(tx: Transaction) -> None:
            tx.connection.execute(
                "INSERT OR IGNORE INTO recalls VALUES (?, ?, ?, ?)",
                (recall.lot, recall.since_ms, recall.recalled_by, recall.reason),
            )
            tx.connection.execute(
                "DELETE FROM recalls WHERE lot IN (SELECT lot FROM recalls ORDER BY since_ms DESC LIMIT -1 OFFSET ?)",
                (KEPT_RECALLS,),
            )

        await self._write(work)

    async def lift(self, lot: str) -> bool:
        """It may be poured again. Returns whether it was recalled. Raises StoreError."""
        known = lot in self._recalls
        await self._write(lambda tx: tx.connection.execute("DELETE FROM recalls WHERE lot = ?", (lot,)))
        return known

    async def _write(self, work: Callable[[Transaction], object]) -> None:
        await asyncio.wrap_future(self._store.write(work, upkeep=True))
        self.look_again()


def refill(tx: Transaction, dispenser: str, nozzle: int, at_ms: int) -> None:
    """A dispenser says that it was refilled: the bottle of which somebody told is another one by now."""
    tx.connection.execute(
        "UPDATE bottles SET until_ms = ? WHERE dispenser = ? AND nozzle = ? AND until_ms IS NULL AND since_ms < ?",
        (at_ms, dispenser, nozzle, at_ms - SAME_ACT_MS),
    )


def of_lot(connection: sqlite3.Connection, lot: str) -> list[Bottle]:
    """All bottles of a lot, the newest first."""
    query = f"SELECT {_COLUMNS} FROM bottles WHERE lot = ? ORDER BY bottle DESC"  # noqa: S608 -- constants
    return [_bottle(row) for row in connection.execute(query, (lot,))]


def before(connection: sqlite3.Connection, dispenser: str, nozzle: int, limit: int) -> list[Bottle]:
    """The last bottles of a nozzle, the newest first."""
    query = (
        f"SELECT {_COLUMNS} FROM bottles WHERE dispenser = ? AND nozzle = ?"  # noqa: S608 -- constants
        " ORDER BY bottle DESC LIMIT ?"
    )
    return [_bottle(row) for row in connection.execute(query, (dispenser, nozzle, limit))]


def read_lot(text: str) -> str:
    """A lot as it is kept. Raises DataError."""
    lot = " ".join(text.split()).upper().replace("/", "-")
    if not LOT.match(lot):
        hint = "Copy it from the label: 1 to 32 letters and digits, with spaces and . _ - within"
        raise DataError("this can't be a lot", hint=hint)
    return lot


def _hang(tx: Transaction, bottle: Bottle) -> Bottle:
    place = bottle.dispenser, bottle.nozzle
    gone = tx.connection.execute(
        "SELECT max(until_ms) FROM bottles WHERE dispenser = ? AND nozzle = ?", place
    ).fetchone()[0]
    if gone is not None and 0 <= bottle.since_ms - gone <= SAME_ACT_MS:
        bottle = replace(bottle, since_ms=gone)  # the dispenser said so first: what was poured since is of this one
    tx.connection.execute(
        "UPDATE bottles SET until_ms = ? WHERE dispenser = ? AND nozzle = ? AND until_ms IS NULL",
        (bottle.since_ms, *place),
    )
    best_before = None if bottle.best_before is None else bottle.best_before.isoformat()
    values = *place, bottle.sauce, bottle.lot, best_before, bottle.volume_ml, bottle.hung_by, bottle.since_ms
    (number,) = tx.connection.execute(_INSERT, values).fetchone()
    tx.connection.execute(
        "DELETE FROM bottles WHERE until_ms IS NOT NULL AND bottle <="
        " (SELECT bottle FROM bottles WHERE until_ms IS NOT NULL ORDER BY bottle DESC LIMIT 1 OFFSET ?)",
        (KEPT,),
    )
    if gone == bottle.since_ms:
        _take_pours(tx, bottle, number)
    bottle_pours.prune(tx)
    return replace(bottle, id=number)


def _take_pours(tx: Transaction, bottle: Bottle, number: int) -> None:
    """What was poured between the dispenser's word of a refill and the technician's is of this bottle."""
    for position, subject, time_ms, data in tx.connection.execute(_SINCE, (bottle.dispenser, bottle.since_ms)):
        pour = read_data(Poured.type, unpack(data))
        if isinstance(pour, Poured) and pour.nozzle == bottle.nozzle:
            owner = sessions.owner_of(tx, subject, position)
            bottle_pours.add(tx, number, position, time_ms, owner, pour.volume_ul)


def _bottle(row: tuple[int, str, int, str, str, str | None, int, str, int, int | None]) -> Bottle:
    number, dispenser, nozzle, sauce, lot, best_before, volume_ml, hung_by, since_ms, until_ms = row
    day = None if best_before is None else date.fromisoformat(best_before)
    return Bottle(dispenser, nozzle, sauce, lot, day, volume_ml, hung_by, since_ms, until_ms, number)
