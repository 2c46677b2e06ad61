"""Who wants not to be known, in the store: asked at every loyalty token, with or without Internet.

A customer says so here (`set_here`), which goes up as an event, or elsewhere (`hear`), which comes down with the
profiles. The later word counts, and of two at the same time the one that says no. What was learned of who opts out is
forgotten in the same transaction, and nothing is learned from then on: their sessions are nobody's.

Events that were stored before stay in the log with their pseudonym: they happened while it was allowed.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from gateway import bottle_pours, letters, regulars, sessions
from gateway.transaction import Transaction
from heat.events import ConsentChanged, Event, Stamp

Wish = Literal["none", "profile"]
"""`none`: not to be known. `profile`: to be known by the token, which is what showing one means as long as nobody said
otherwise."""


def opted_out(connection: sqlite3.Connection, subject: str) -> bool:
    """Whether a customer wants not to be known."""
    return wish(connection, subject) == "none"


def wish(connection: sqlite3.Connection, subject: str) -> Wish:
    """What a customer last said."""
    row = connection.execute("SELECT consent FROM consents WHERE subject = ?", (subject,)).fetchone()
    return "profile" if row is None else row[0]


def set_here(tx: Transaction, subject: str, when: Stamp, data: ConsentChanged) -> bool:
    """A customer said so at this gateway. Returns whether that is new; what is not writes nothing.

    It is later than all that was heard before, even if another gateway's clock is ahead.
    """
    said: Wish = "none" if data.consent == "none" else "profile"
    if wish(tx.connection, subject) == said:
        return False
    row = tx.connection.execute("SELECT time_ms FROM consents WHERE subject = ?", (subject,)).fetchone()
    heard_ms = 0 if row is None or row[0] is None else row[0]
    time_ms = when.time_ms if when.time_ms >= heard_ms else heard_ms + 1
    position = tx.append(Event(tx.own_id(), subject, when, data))
    _keep(tx, subject, said, time_ms if when.day >= 0 else None, position)
    return True


def hear(tx: Transaction, subject: str, said: Wish, time_ms: int) -> bool:
    """The cloud tells what a customer said, and when. Returns whether it counts.

    What was said here at a time that is not known yet counts until it is.
    """
    row = tx.connection.execute("SELECT consent, time_ms FROM consents WHERE subject = ?", (subject,)).fetchone()
    if row is None and said == "profile":
        return False
    if row is not None and (row[1] is None or (time_ms, said == "none") <= (row[1], row[0] == "none")):
        return False
    last = tx.connection.execute("SELECT ifnull(max(position), 0) FROM events").fetchone()[0]
    _keep(tx, subject, said, time_ms, int(last))
    return True


def date(tx: Transaction, subject: str, time_ms: int) -> None:
    """It is known by now when something was said here that counts, or was said before what counts."""
    tx.connection.execute(
        "UPDATE consents SET time_ms = max(ifnull(time_ms, 0), ?) WHERE subject = ?", (time_ms, subject)
    )


def _keep(tx: Transaction, subject: str, said: Wish, time_ms: int | None, position: int) -> None:
    if said == "none":
        sessions.opt_out_all(tx, subject)
        regulars.remove(tx, subject)
        letters.disown(tx.connection, subject)
        tx.forget(subject)
        bottle_pours.forget(tx, subject)
    tx.connection.execute(
        "INSERT INTO consents VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET consent = excluded.consent,"
        " time_ms = excluded.time_ms, forgotten = CASE WHEN excluded.consent = 'none' THEN excluded.forgotten"
        " ELSE forgotten END",
        (subject, said, time_ms, position if said == "none" else 0),
    )
