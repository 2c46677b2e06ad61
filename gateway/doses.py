"""The last doses of a subject, in the store: what `heat.following` tells a change of taste from.

They are this gateway's own: no event carries them, and they are in no digest. The table goes with the profile: it is
written in the transaction that folds a dose, handed over when a session is claimed, dated with its events, and
forgotten with the subject.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from gateway.transaction import Gathered, Transaction
from heat.events import AnyData
from heat.following import LATEST, Dose, dose


def note(tx: Transaction, subject: str, position: int, data: AnyData, day: int) -> None:
    """Keep an event's dose, if it has one; the oldest goes for one too many."""
    if (one := dose(data, day)) is not None:
        tx.at_end(_add, subject, (position, subject, *one))


def hand_over(tx: Transaction, session: str, subject: str) -> None:
    """A session's doses belong to a customer from now on."""
    tx.connection.execute("UPDATE doses SET subject = ? WHERE subject = ?", (subject, session))
    _trim(tx, [subject])


def move(tx: Transaction, position: int, day: int) -> None:
    """The event at this position happened on another day than was thought."""
    tx.connection.execute("UPDATE doses SET day = ? WHERE position = ?", (day, position))


def read(connection: sqlite3.Connection, subjects: Sequence[str]) -> list[Dose]:
    """The last doses of a customer who may be known by several subjects, oldest first."""
    rows = [
        row
        for subject in subjects
        for row in connection.execute("SELECT position, day, kind, mo, w FROM doses WHERE subject = ?", (subject,))
    ]
    return [Dose(*row[1:]) for row in sorted(rows)[-LATEST:]]


def _add(tx: Transaction, rows: Gathered[str, tuple[Any, ...]]) -> None:
    tx.unsettled.executemany("INSERT INTO doses VALUES (?, ?, ?, ?, ?, ?)", chain.from_iterable(rows.values()))
    _trim(tx, rows)


def _trim(tx: Transaction, subjects: Iterable[str]) -> None:
    tx.unsettled.executemany(
        "DELETE FROM doses WHERE position IN"
        " (SELECT position FROM doses WHERE subject = ? ORDER BY position DESC LIMIT -1 OFFSET ?)",
        ((subject, LATEST) for subject in subjects),
    )
