"""The ledger in the database: how many sequences of each source and day are stored, refused, lost, and in Kafka.

A transaction gathers what it appends (`gateway.tally`) and writes it once, just before COMMIT: a row a source and day,
however many events. Counts move with events that get another day, and outlive rows that are pruned. `generated` comes
of the sequences alone, so the sums can be compared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.tally import Key

GAPS_KEPT = 1_000
"""Gaps that are named; older ones are counted alone."""
DAYS_KEPT = 400
"""Days of which the ledger is kept: a year, and the month after."""
_NOWHERE = 2**62
"""Above all positions."""

_BETWEEN = """
SELECT source, generation, day, sum(reason IS NULL), sum(reason IS NOT NULL)
FROM events WHERE position > ? AND position <= ? GROUP BY source, generation, day
"""
_SEND = (
    "UPDATE ledger SET sent = sent + ?, sent_letters = sent_letters + ? WHERE source = ? AND generation = ? AND day = ?"
)


def note_confirmed(connection: sqlite3.Connection, before: int, now: int) -> None:
    """Kafka's position moved from `before` to `now`: count what it has, or has no more."""
    low, high, sign = (before, now, 1) if now > before else (now, before, -1)
    rows = connection.execute(_BETWEEN, (low, high)).fetchall()
    connection.executemany(_SEND, [(sign * events, sign * letters, *key) for *key, events, letters in rows])


def note_gap(connection: sqlite3.Connection, dispenser: str, generation: int, day: int, first: int, last: int) -> None:
    """Name a gap; the oldest goes for one too many."""
    connection.execute(
        "INSERT INTO gaps (dispenser, generation, day, first, last) VALUES (?, ?, ?, ?, ?)",
        (dispenser, generation, day, first, last),
    )
    connection.execute("DELETE FROM gaps WHERE number <= (SELECT max(number) FROM gaps) - ?", (GAPS_KEPT,))


def date_gap(connection: sqlite3.Connection, key: Key, day: int, first: int, last: int) -> None:
    """It is known better when a gap was missed; `key` has its dispenser, generation and the day before."""
    connection.execute(
        "UPDATE gaps SET day = ? WHERE dispenser = ? AND generation = ? AND day = ? AND first = ? AND last = ?",
        (day, *key, first, last),
    )


def forget_before(connection: sqlite3.Connection, day: int) -> None:
    """Drop the days that nobody asks after any more."""
    connection.execute("DELETE FROM ledger WHERE day >= 0 AND day < ?", (day,))


# -- reading --------------------------------------------------------------------------------------------------------

_ROWS = """
SELECT l.source, l.generation, l.day, l.first, l.last, l.stored, l.refused, l.replayed, l.lost, l.sent, l.sent_letters,
       (SELECT max(e.last) FROM ledger e
        WHERE e.source = l.source AND e.generation = l.generation AND e.day <> l.day AND e.first < l.first)
FROM ledger l
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of a source, one of its generations, and a day."""

    source: str
    generation: int
    day: int
    """UTC day number; negative for what waits for its time, minus a boot's number."""
    first: int
    last: int
    stored: int
    refused: int
    replayed: int
    """Of the refused: those that became events after all, and are among the stored."""
    lost: int
    sent: int
    sent_letters: int
    before: int | None
    """The last sequence that earlier days have; None for the first day of all."""

    @property
    def generated(self) -> int:
        """Sequences that were given out since those of the days before."""
        covered = self.first - 1 if self.before is None else self.before
        return max(self.last - covered, 0)

    @property
    def missing(self) -> tuple[int, int] | None:
        """Sequences between the days before and this one that nothing is known of."""
        if self.before is None or self.first <= self.before + 1:
            return None
        return self.before + 1, self.first - 1


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequences that a dispenser's ring pushed out."""

    dispenser: str
    generation: int
    day: int
    first: int
    last: int


def days(reader: sqlite3.Connection, limit: int) -> list[int]:
    """The newest days of the ledger, newest first."""
    found: list[int] = []
    day = 2**31
    while len(found) < limit:  # a look-up a day: there may be hundreds of rows to each
        row = reader.execute("SELECT max(day) FROM ledger WHERE day < ?", (day,)).fetchone()
        if row[0] is None:
            break
        day = int(row[0])
        found.append(day)
    return found


def of_day(reader: sqlite3.Connection, day: int) -> list[Entry]:
    """The rows of a day, by source."""
    return _entries(reader, "WHERE l.day = ? ORDER BY l.source, l.generation", day)


def of_source(reader: sqlite3.Connection, source: str, limit: int) -> list[Entry]:
    """A source's newest days."""
    return _entries(reader, "WHERE l.source = ? ORDER BY l.day DESC, l.generation LIMIT ?", source, limit)


def _entries(reader: sqlite3.Connection, where: str, *terms: object) -> list[Entry]:
    return [Entry(*row) for row in reader.execute(_ROWS + where, terms)]


def gaps(reader: sqlite3.Connection, day: int | None = None, source: str | None = None) -> Iterator[Gap]:
    """The gaps that are named, of a day, of a source, newest first."""
    rows = reader.execute(
        "SELECT dispenser, generation, day, first, last FROM gaps WHERE (? IS NULL OR day = ?)"
        " AND (? IS NULL OR dispenser = ?) ORDER BY number DESC",
        (day, day, source, source),
    )
    return (Gap(*row) for row in rows)


def waiting(reader: sqlite3.Connection, confirmed: int) -> dict[tuple[str, int, int], tuple[int, int]]:
    """Events and refusals above Kafka's position, counted in `events` themselves, by source, generation and day."""
    return {tuple(key): (n, letters) for *key, n, letters in reader.execute(_BETWEEN, (confirmed, _NOWHERE))}


def positions(reader: sqlite3.Connection, day: int | None, source: str | None) -> tuple[int, int] | None:
    """Where the rows of a day, and of a source, lie among the positions; None where there are none."""
    row = reader.execute(
        "SELECT min(first_position), max(last_position) FROM ledger"
        " WHERE (? IS NULL OR day = ?) AND (? IS NULL OR source = ?) AND stored + refused > 0",
        (day, day, source, source),
    ).fetchone()
    return None if row[0] is None else (int(row[0]), int(row[1]))
