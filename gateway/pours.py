"""Which sauces a subject poured here, in the store: a count a sauce and day, which `heat.pours` reads.

The table goes with the profile: it is written in the transaction that folds a pour, handed over when a session is
claimed, moved when a day becomes known, and forgotten with the subject. What came down from other stores has no part
in it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from gateway.transaction import Gathered, Transaction

KEPT_DAYS = 365
"""Days after which a pour is forgotten: it counts 1/4096 then."""
KEPT_ROWS = 200
"""Rows a subject; beyond it the oldest go."""


def note(tx: Transaction, subject: str, sauce: str, day: int, n: int = 1) -> None:
    """Somebody poured a sauce on a day."""
    tx.at_end(_add, subject, (sauce, day, n))


def take_back(tx: Transaction, subject: str, sauce: str, day: int) -> None:
    """A pour was none of theirs."""
    of = (subject, sauce, day)
    tx.connection.execute("UPDATE pours SET n = n - 1 WHERE subject = ? AND sauce = ? AND day = ?", of)
    tx.connection.execute("DELETE FROM pours WHERE subject = ? AND sauce = ? AND day = ? AND n <= 0", of)


def hand_over(tx: Transaction, session: str, subject: str) -> None:
    """A session's pours belong to a customer from now on."""
    for sauce, day, n in read(tx.connection, [session]):
        note(tx, subject, sauce, day, n)
    tx.connection.execute("DELETE FROM pours WHERE subject = ?", (session,))


def move(tx: Transaction, subject: str, sauce: str, from_day: int, to_day: int) -> bool:
    """A pour happened on another day than was thought. Returns whether it was here."""
    taken = tx.connection.execute(
        "UPDATE pours SET n = n - 1 WHERE subject = ? AND sauce = ? AND day = ?", (subject, sauce, from_day)
    )
    if taken.rowcount:
        tx.connection.execute("DELETE FROM pours WHERE subject = ? AND n <= 0", (subject,))
        note(tx, subject, sauce, to_day)
    return taken.rowcount > 0


def follow(
    tx: Transaction, subject: str, poured: Iterable[tuple[str, int]], from_days: Iterable[int], else_day: int
) -> None:
    """Pours that a claim brought happened on other days: `poured` are its `(sauce, day)` now.

    What waited for its day (a negative one) and is not among them gets `else_day`.
    """
    old_days = list(from_days)
    for sauce, day in poured:
        any(move(tx, subject, sauce, old_day, day) for old_day in old_days)
    for old_day in (waiting for waiting in old_days if waiting < 0):
        for sauce, n in tx.connection.execute(
            "SELECT sauce, n FROM pours WHERE subject = ? AND day = ?", (subject, old_day)
        ).fetchall():
            note(tx, subject, sauce, else_day, n)
        tx.connection.execute("DELETE FROM pours WHERE subject = ? AND day = ?", (subject, old_day))


def read(connection: sqlite3.Connection, subjects: Iterable[str]) -> list[tuple[str, int, int]]:
    """`(sauce, day, pours)` of several subjects."""
    return [
        row
        for subject in subjects
        for row in connection.execute("SELECT sauce, day, n FROM pours WHERE subject = ?", (subject,))
    ]


def _add(tx: Transaction, poured: Gathered[str, tuple[str, int, int]]) -> None:
    for subject, pours in poured.items():
        for day, of_day in groupby(pours, lambda pour: pour[1]):
            counts: Counter[str] = Counter()
            for sauce, _, n in of_day:
                counts[sauce] += n
            new = [_count(tx, subject, sauce, day, n) == n for sauce, n in counts.items()]
            if any(new):
                _trim(tx, subject, day)


def _count(tx: Transaction, subject: str, sauce: str, day: int, n: int) -> int:
    """Add pours to a row; how many it has now. Those that were added alone: it is a new one."""
    row = tx.unsettled.execute(
        "INSERT INTO pours VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n RETURNING n",
        (subject, sauce, day, n),
    ).fetchone()
    return int(row[0])


def _trim(tx: Transaction, subject: str, day: int) -> None:
    tx.unsettled.execute("DELETE FROM pours WHERE subject = ? AND day BETWEEN 0 AND ?", (subject, day - KEPT_DAYS))
    tx.unsettled.execute(
        "DELETE FROM pours WHERE subject = :subject AND (sauce, day) IN (SELECT sauce, day FROM pours"
        " WHERE subject = :subject ORDER BY day < 0 DESC, day DESC LIMIT -1 OFFSET :kept)",
        {"subject": subject, "kept": KEPT_ROWS},
    )
