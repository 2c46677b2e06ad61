"""What one transaction of the gateway adds to the ledger: gathered row by row, written once, just before COMMIT.

A row of `events` may get another day (`gateway.dating`): its count goes with it, and the day that it leaves reaches no
further than what it still has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, int, int]
"""Source, generation, day: a row of the ledger."""
_Numbers = tuple[int, ...]
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
_TAKE = """
UPDATE ledger SET stored = stored + ?, refused = refused + ?, replayed = replayed + ?, lost = lost + ?
WHERE source = ? AND generation = ? AND day = ?
"""
_EMPTY = (
    "DELETE FROM ledger WHERE source = ? AND generation = ? AND day = ? AND stored = 0 AND refused = 0 AND lost = 0"
)
_ROW = """
SELECT first, last, first_position, last_position, stored + refused, lost FROM ledger
WHERE source = ? AND generation = ? AND day = ?
"""
_LEFT = """
SELECT source, generation, day, min(sequence), max(sequence), min(position), max(position), count(*)
FROM events WHERE position BETWEEN ? AND ? GROUP BY source, generation, day
"""
_REACH = """
UPDATE ledger SET first = ?, last = ?, first_position = ?, last_position = ?
WHERE source = ? AND generation = ? AND day = ?
"""
_NAMED = """
SELECT min(first), max(last), ifnull(sum(last - first + 1), 0) FROM gaps
WHERE dispenser = ? AND generation = ? AND day = ?
"""


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
    taken: int = _NOWHERE
    """The first of the sequences that got another day."""

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """As the columns of a row go on."""
        return self.stored, self.refused, self.replayed, self.lost

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

    _cells: dict[Key, _Cell] = field(default_factory=dict)

    def append(self, key: Key, sequence: int, position: int, *, refused: bool = False) -> None:
        """A row was appended to `events`; `key` is its source, generation and day."""
        cell = self._cell(key)
        cell.reach(sequence, sequence, position)
        if refused:
            cell.refused += 1
        else:
            cell.stored += 1

    def replay(self, key: Key) -> None:
        """A refusal has become an event after all, which is appended beside it."""
        self._cell(key).replayed += 1

    def lose(self, key: Key, first: int, last: int) -> None:
        """Sequences will never come."""
        cell = self._cell(key)
        cell.reach(first, last)
        cell.lost += last - first + 1

    def move(
        self, old: Key, day: int, sequence: int, position: int, *, refused: bool = False, replayed: bool = False
    ) -> None:
        """A row gets another day; with a refusal goes that it was replayed."""
        if day == old[2]:
            return
        cell = self._cell(old)
        cell.taken = min(cell.taken, sequence)
        if refused:
            cell.refused -= 1
        else:
            cell.stored -= 1
        self.append((*old[:2], day), sequence, position, refused=refused)
        if replayed:
            cell.replayed -= 1
            self.replay((*old[:2], day))

    def move_loss(self, old: Key, day: int, first: int, last: int) -> None:
        """A gap gets another day."""
        if day == old[2]:
            return
        cell = self._cell(old)
        cell.taken = min(cell.taken, first)
        cell.lost -= last - first + 1
        self.lose((*old[:2], day), first, last)

    def write(self, connection: sqlite3.Connection) -> None:
        """Add it all up; nothing is left to be added."""
        if not self._cells:
            return
        reached = {key: cell for key, cell in self._cells.items() if cell.first != _NOWHERE}
        connection.executemany(
            _ADD,
            [(*key, c.first, c.last, c.first_position, c.last_position, *c.counts) for key, c in reached.items()],
        )
        taken = {key: cell.taken for key, cell in self._cells.items() if cell.taken != _NOWHERE}
        if taken:  # from days that may be past, and forgotten
            connection.executemany(_TAKE, [(*self._cells[key].counts, *key) for key in taken if key not in reached])
            connection.executemany(_EMPTY, list(taken))
            _narrow(connection, {key: first for key, first in taken.items() if key[2] >= 0})
        self._cells.clear()

    def _cell(self, key: Key) -> _Cell:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell()
        return cell


def _narrow(connection: sqlite3.Connection, taken: Mapping[Key, int]) -> None:
    """Let the rows of these days reach no further than what they still have; `taken` are the first that left each.

    One look through the rows of `events` among which they lie: some 20 ms for a day of a shop. What waits for its day
    is not looked at: all of it leaves.
    """
    rows = {key: row for key in taken if (row := connection.execute(_ROW, key).fetchone()) is not None}
    if not rows:
        return
    span = min(row[2] for row in rows.values()), max(row[3] for row in rows.values())
    left = {row[:3]: row[3:] for row in connection.execute(_LEFT, span)}
    for key, row in rows.items():
        gap = connection.execute(_NAMED, key).fetchone()
        if gap[2] == row[5]:  # else there are older gaps, which are counted alone
            connection.execute(_REACH, (*_reach(row, left.get(key), gap, taken[key] - 1), *key))


def _reach(row: _Numbers, left: _Numbers | None, gap: _Numbers, before: int) -> _Numbers:
    """How far a row reaches: over what is left of it in `events`, and its gaps.

    Where less is left than was counted, the rest was pruned. It came before all others: the beginning stays.
    """
    first, _, low, high, held, lost = row
    firsts, lasts = ([gap[0]], [gap[1]]) if lost else ([], [])
    pruned = held > (left[4] if left is not None else 0)
    if left is not None:
        firsts, lasts = [*firsts, left[0]], [*lasts, left[1]]
        low, high = (low if pruned else left[2]), left[3]
    if pruned:
        firsts, lasts = [*firsts, first], lasts if left is not None else [*lasts, before]
    return min(firsts), max(lasts), low, high
