"""The ledger in the database: how many sequences of each source and day are stored, refused, lost, and in Kafka.

A transaction gathers what it appends (`Tally`) and writes it once, just before COMMIT: a row a source and day, however
many events. Counts move with events that get another day, and outlive rows that are pruned. `generated` comes of the
sequences alone, so the sums can be compared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

GAPS_KEPT = 1_000
"""Gaps that are named; older ones are counted alone."""
DAYS_KEPT = 400
"""Days of which the ledger is kept: a year, and the month after."""
_NOWHERE = 2**62
"""Above all sequences and positions: a row that only gives something away reaches nowhere."""

_ADD = """
INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
    first_position = min(first_position, excluded.first_position),
    last_position = max(last_position, excluded.last_position),
    stored = stored + excluded.stored, refused = refused + excluded.refused,
    replayed = replayed + excluded.replayed, lost = lost + excluded.lost
"""
_BETWEEN = """
SELECT source, generation, day, sum(reason IS NULL), sum(reason IS NOT NULL)
FROM events WHERE position > ? AND position <= ? GROUP BY source, generation, day
"""
_SEND = (
    "UPDATE ledger SET sent = sent + ?, sent_letters = sent_letters + ? WHERE source = ? AND generation = ? AND day = ?"
)
_EMPTY = (
    "DELETE FROM ledger WHERE source = ? AND generation = ? AND day = ? AND stored = 0 AND refused = 0 AND lost = 0"
)


@dataclass(slots=True)
class _Cell:
    """What a transaction adds to one row."""

    first: int = _NOWHERE
    last: int = -_NOWHERE
    first_position: int = _NOWHERE
    last_position: int = -_NOWHERE
    stored: int = 0
    refused: int = 0
    replayed: int = 0
    lost: int = 0

    def reach(self, first: int, last: int, position: int | None = None) -> None:
        """Take these sequences, and this position, in."""
        self.first = min(self.first, first)
        self.last = max(self.last, last)
        if position is not None:
            self.first_position = min(self.first_position, position)
            self.last_position = max(self.last_position, position)


@dataclass(slots=True)
class Tally:
    """What one transaction adds to the ledger."""

    _cells: dict[tuple[str, int, int], _Cell] = field(default_factory=dict)

    def append(self, key: tuple[str, int, int], sequence: int, position: int, *, refused: bool = False) -> None:
        """A row was appended to `events`; `key` is its source, generation and day."""
        cell = self._cell(key)
        cell.reach(sequence, sequence, position)
        if refused:
            cell.refused += 1
        else:
            cell.stored += 1

    def replay(self, key: tuple[str, int, int]) -> None:
        """A refusal has become an event after all, which is appended beside it."""
        self._cell(key).replayed += 1

    def lose(self, key: tuple[str, int, int], first: int, last: int) -> None:
        """Sequences will never come."""
        cell = self._cell(key)
        cell.reach(first, last)
        cell.lost += last - first + 1

    def move(self, old: tuple[str, int, int], day: int, sequence: int, position: int, *, refused: bool) -> None:
        """A row gets another day."""
        if day == old[2]:
            return
        cell = self._cell(old)
        if refused:
            cell.refused -= 1
        else:
            cell.stored -= 1
        self.append((*old[:2], day), sequence, position, refused=refused)

    def write(self, connection: sqlite3.Connection) -> None:
        """Add it all up."""
        if not self._cells:
            return
        connection.executemany(
            _ADD,
            [
                (*key, c.first, c.last, c.first_position, c.last_position, c.stored, c.refused, c.replayed, c.lost)
                for key, c in self._cells.items()
            ],
        )
        gave = [key for key, cell in self._cells.items() if cell.stored < 0 or cell.refused < 0]
        if gave:
            connection.executemany(_EMPTY, gave)

    def _cell(self, key: tuple[str, int, int]) -> _Cell:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell()
        return cell


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
