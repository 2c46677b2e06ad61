"""Dead letters in the database: refusals with their bytes, until somebody replays or dismisses them.

They are filed with the refusal, in its transaction, and outlive its row in `events`, which is pruned. Whose the event
was goes with the session: only here is it known. `gateway.replay` opens them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.transaction import Transaction
from heat.events import Stamp
from heat.identity import EventId
from heat.quality import Refusal

State = Literal["open", "replayed", "dismissed"]

KEPT = 10_000
"""Letters; of more, those that were dealt with go first, then the oldest."""
_SLACK = 500
"""Letters above `KEPT` that are waited for: a dispenser that only sends rubbish does not cost a count each time."""

_COLUMNS = (
    "position, source, generation, sequence, time_ms, boot_ms, day, clock, session, subject, body, reason, detail,"
    " state, ended_ms, ended_by, note, became"
)
_READ = _COLUMNS.replace("body", "CAST(body AS BLOB)")
"""Whatever a damaged disk gives back."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter of this gateway."""

    position: int
    """That of the refusal; it names the letter."""
    id: EventId
    when: Stamp
    session: str | None
    subject: str | None
    """Whose the event is; None: nobody's."""
    body: bytes
    """The EVENT as it came, CBOR."""
    reason: str
    detail: str
    state: State
    ended_ms: int | None
    ended_by: str | None
    note: str | None
    became: int | None
    """The position of the event that it became."""


def file(  # noqa: PLR0913, PLR0917 -- the columns of a row
    tx: Transaction, position: int, event_id: EventId, refusal: Refusal, body: bytes, when: Stamp, session: str | None
) -> None:
    """Keep a refusal; `session` is the customer session that it belongs to."""
    subject = session
    if session is not None:
        row = tx.connection.execute("SELECT subject, opted_out FROM sessions WHERE session = ?", (session,)).fetchone()
        if row is not None:
            session, subject = (None, None) if row[1] else (session, row[0])
    tx.connection.execute(
        f"INSERT OR REPLACE INTO letters ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open',"  # noqa: S608
        " NULL, NULL, NULL, NULL)",
        (
            *(position, *event_id, when.time_ms, when.boot_ms, when.day, when.clock),
            *(session, subject, body, refusal.reason, refusal.detail),
        ),
    )
    count = tx.connection.execute("SELECT count(*) FROM letters").fetchone()[0]
    if count > KEPT + _SLACK:
        tx.connection.execute(
            "DELETE FROM letters WHERE position IN"
            " (SELECT position FROM letters ORDER BY state = 'open', position LIMIT ?)",
            (count - KEPT,),
        )


def date(tx: Transaction, position: int, time_ms: int, day: int, clock: str) -> int | None:
    """It is known better when the event happened. Returns the position of the event that the letter became."""
    tx.connection.execute(
        "UPDATE letters SET time_ms = ?, day = ?, clock = ? WHERE position = ?", (time_ms, day, clock, position)
    )
    row = tx.connection.execute("SELECT became FROM letters WHERE position = ?", (position,)).fetchone()
    return None if row is None else row[0]


def replayed_after(connection: sqlite3.Connection, position: int) -> frozenset[int]:
    """The positions above one at which there are events that letters became."""
    return frozenset(row[0] for row in connection.execute("SELECT became FROM letters WHERE became > ?", (position,)))


def claim(connection: sqlite3.Connection, session: str, subject: str) -> None:
    """A session is a customer's: so are its letters that were nobody's yet."""
    connection.execute("UPDATE letters SET subject = ? WHERE session = ? AND subject = session", (subject, session))


def disown(connection: sqlite3.Connection, name: str) -> None:
    """Whoever this session or pseudonym is wants not to be known."""
    connection.execute("UPDATE letters SET session = NULL, subject = NULL WHERE session = ?", (name,))
    connection.execute("UPDATE letters SET session = NULL, subject = NULL WHERE subject = ?", (name,))


def end(  # noqa: PLR0913, PLR0917 -- the same
    tx: Transaction, position: int, state: State, at_ms: int, by: str, note: str | None, became: int | None
) -> None:
    """Note what became of an open letter."""
    tx.connection.execute(
        "UPDATE letters SET state = ?, ended_ms = ?, ended_by = ?, note = ?, became = ? WHERE position = ?",
        (state, at_ms, by, note, became, position),
    )


# -- reading --------------------------------------------------------------------------------------------------------


def find(reader: sqlite3.Connection, position: int) -> Letter | None:
    """The letter of a refusal."""
    return next(_letters(reader, "WHERE position = ?", position), None)


def listed(
    reader: sqlite3.Connection,
    state: State,
    limit: int,
    before: int | None = None,
    reason: str | None = None,
    source: str | None = None,
) -> list[Letter]:
    """Letters in a state, newest first, below a position."""
    where = (
        "WHERE state = ? AND (? IS NULL OR position < ?) AND (? IS NULL OR reason = ?) AND (? IS NULL OR source = ?)"
        " ORDER BY position DESC LIMIT ?"
    )
    return list(_letters(reader, where, state, before, before, reason, reason, source, source, limit))


def oldest(reader: sqlite3.Connection, reason: str, limit: int) -> list[Letter]:
    """The open letters of a reason, oldest first."""
    return list(_letters(reader, "WHERE state = 'open' AND reason = ? ORDER BY position LIMIT ?", reason, limit))


def counts(reader: sqlite3.Connection) -> dict[str, int]:
    """Open letters by reason, the commonest first."""
    rows = reader.execute("SELECT reason, count(*) FROM letters WHERE state = 'open' GROUP BY 1 ORDER BY 2 DESC, 1")
    return dict(rows.fetchall())


def _letters(reader: sqlite3.Connection, where: str, *terms: object) -> Iterator[Letter]:
    for row in reader.execute(f"SELECT {_READ} FROM letters {where}", terms):  # noqa: S608 -- constants
        yield Letter(row[0], EventId(*row[1:4]), Stamp(*row[4:8]), *row[8:])
