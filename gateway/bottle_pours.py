"""From which bottle each pour came, in the store: written with the pour, so that a recall is one query.

A pour belongs to the bottle that hung on its nozzle when it happened, as far as the time is known; else to the one that
hangs there. The row goes where the pour's sums go: to whoever claims the session, and to nobody with who opts out. It
outlives the event, which is pruned once Kafka has it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from gateway.transaction import Transaction
from heat.events import Poured, Stamp

KEPT = 100_000
"""Pours of known bottles, some 8 MB; the oldest go."""

_BOTTLE = """
SELECT bottle FROM bottles WHERE dispenser = ? AND nozzle = ? AND since_ms <= ? AND ifnull(until_ms > ?, 1)
ORDER BY since_ms DESC, bottle DESC LIMIT 1
"""
_NEWEST = """
SELECT bottle, since_ms, until_ms FROM bottles WHERE dispenser = ? AND nozzle = ?
ORDER BY since_ms DESC, bottle DESC LIMIT 1
"""
_OF_LOT = """
SELECT bottle_pours.position, ifnull(events.time_ms, bottle_pours.time_ms), bottles.dispenser, bottles.nozzle,
       bottles.sauce, bottle_pours.subject, bottle_pours.volume_ul, voids.position IS NOT NULL
FROM bottles JOIN bottle_pours USING (bottle)
LEFT JOIN events ON events.position = bottle_pours.position
LEFT JOIN voids ON voids.position = bottle_pours.position
WHERE bottles.lot = ? AND bottle_pours.position > ? ORDER BY bottle_pours.position LIMIT ?
"""
_LATEST = 2**62
"""ms; later than any bottle was hung."""


class PourOfLot(NamedTuple):
    """One pour from a bottle of a lot."""

    position: int
    time_ms: int
    dispenser: str
    nozzle: int
    sauce: str
    subject: str | None
    volume_ul: int
    voided: int
    """1: it was taken back, no customer's."""


def note(tx: Transaction, dispenser: str, position: int, pour: Poured, when: Stamp, subject: str | None) -> None:
    """A pour was stored."""
    at_ms = when.time_ms if when.clock == "known" else _LATEST
    bottle = _bottle_at(tx, dispenser, pour.nozzle, at_ms)
    if bottle is not None:
        add(tx, bottle, position, when.time_ms, subject, pour.volume_ul)


def add(tx: Transaction, bottle: int, position: int, time_ms: int, subject: str | None, volume_ul: int) -> None:
    """A pour came from a bottle."""
    values = position, bottle, time_ms, subject, volume_ul
    tx.unsettled.execute("INSERT INTO bottle_pours VALUES (?, ?, ?, ?, ?)", values)


def _bottle_at(tx: Transaction, dispenser: str, nozzle: int, at_ms: int) -> int | None:
    """The bottle that hung there then. Mostly it is the newest, which is read once a transaction."""
    where = "bottle", dispenser, nozzle
    if where not in tx.memory:
        tx.memory[where] = tx.unsettled.execute(_NEWEST, (dispenser, nozzle)).fetchone()
    newest = tx.memory[where]
    if newest is None:
        return None
    bottle, since_ms, until_ms = newest
    if since_ms <= at_ms and (until_ms is None or until_ms > at_ms):
        return int(bottle)
    row = tx.unsettled.execute(_BOTTLE, (dispenser, nozzle, at_ms, at_ms)).fetchone()
    return None if row is None else int(row[0])


def hand_over(tx: Transaction, session: str, subject: str) -> None:
    """A session's pours belong to a customer from now on."""
    tx.connection.execute("UPDATE bottle_pours SET subject = ? WHERE subject = ?", (subject, session))


def forget(tx: Transaction, subject: str) -> None:
    """A subject's pours are nobody's."""
    tx.connection.execute("UPDATE bottle_pours SET subject = NULL WHERE subject = ?", (subject,))


def prune(tx: Transaction) -> None:
    """Keep the newest."""
    tx.connection.execute(
        "DELETE FROM bottle_pours WHERE position <="
        " (SELECT position FROM bottle_pours ORDER BY position DESC LIMIT 1 OFFSET ?)",
        (KEPT,),
    )


def of_lot(connection: sqlite3.Connection, lot: str, after: int = 0, limit: int = -1) -> Iterator[PourOfLot]:
    """All pours from bottles of a lot, as they were stored, those above a position; `limit` -1: all."""
    return map(PourOfLot._make, connection.execute(_OF_LOT, (lot, after, limit)))
