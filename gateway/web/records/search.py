"""Events by filters, a page at a time, by position: pages stay as they are while events come.

A request looks at a bounded number of rows, so that it takes less than a second however many there are. Where too few
were found among them, the page says how far it has looked, and goes on from there. A day and a source need no looking:
the ledger knows between which positions their rows lie; refusals have an index of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from gateway import ledger
from gateway.web.reads import COLUMNS, Row, row_of
from heat.identity import EventId

LOOKED_AT = 100_000
"""Rows of which SQLite compares the columns in one request."""
LOOKED_INTO = 20_000
"""Rows whose data is read in one request: what is long is packed."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for; all of it has to fit."""

    source: str | None = None
    """A dispenser, or the gateway itself."""
    type: str | None = None
    """`picante.poured.v1`."""
    subject: str | None = None
    sauce: str | None = None
    """What was poured, rated, refilled or shown."""
    day: int | None = None
    refused: bool = False
    text: str | None = None
    """Stands somewhere in the id, the subject, the data, or the reason of a refusal; capitals or not."""

    @property
    def looks_into(self) -> bool:
        """Whether data must be read."""
        return self.sauce is not None or self.text is not None

    @property
    def any(self) -> bool:
        """Whether anything is looked for."""
        return self != Filters()


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, in the order in which they were looked for."""

    rows: list[Row]
    next: int | None
    """The position to go on from; None where there is nothing further."""
    looked_to: int | None
    """Set where it was not looked at everything: up to (or down to) this position."""


def older(reader: sqlite3.Connection, filters: Filters, before: int | None, limit: int) -> Found:
    """Rows below a position (None: the newest), newest first."""
    return _look(reader, filters, before, limit, newest_first=True)


def newer(reader: sqlite3.Connection, filters: Filters, after: int, limit: int) -> Found:
    """Rows above a position, oldest first."""
    return _look(reader, filters, after, limit, newest_first=False)


def _look(reader: sqlite3.Connection, filters: Filters, start: int | None, limit: int, *, newest_first: bool) -> Found:
    bounds = _bounds(reader, filters)
    if bounds is None:
        return Found([], None, None)
    low, high = bounds
    if newest_first:
        high = high if start is None else min(high, start - 1)
    else:
        low = max(low, (start or 0) + 1)
    most = LOOKED_INTO if filters.looks_into else LOOKED_AT
    first, last = low, high
    if not filters.refused and filters.any:
        first, last = (max(low, high - most + 1), high) if newest_first else (low, min(high, low + most - 1))
    rows: list[Row] = []
    for row in _rows(reader, filters, first, last, newest_first=newest_first):
        if filters.looks_into and not _fits(row, filters):
            continue
        rows.append(row)
        if len(rows) > limit:
            return Found(rows[:limit], rows[limit - 1].position, None)
    if first > low or last < high:
        reached = first if newest_first else last
        return Found(rows, reached, reached)
    return Found(rows, None, None)


def _bounds(reader: sqlite3.Connection, filters: Filters) -> tuple[int, int] | None:
    """Between which positions anything may be found."""
    # each by itself: asked for both at once, SQLite reads through the whole table
    low, high = reader.execute(
        "SELECT (SELECT min(position) FROM events), (SELECT max(position) FROM events)"
    ).fetchone()
    if low is None:
        return None
    if filters.day is not None or filters.source is not None:
        within = ledger.positions(reader, filters.day, filters.source)
        if within is None:
            return None
        low, high = max(low, within[0]), min(high, within[1])
    return (low, high) if low <= high else None


def _rows(reader: sqlite3.Connection, filters: Filters, first: int, last: int, *, newest_first: bool) -> Iterator[Row]:
    terms = ["position BETWEEN ? AND ?"]
    values: list[object] = [first, last]
    for column in ("source", "type", "subject", "day"):
        if (wanted := getattr(filters, column)) is not None:
            terms.append(f"{column} = ?")
            values.append(wanted)
    if filters.refused:
        terms.append("reason IS NOT NULL")
    order = "DESC" if newest_first else "ASC"
    sql = f"SELECT {COLUMNS} FROM events WHERE {' AND '.join(terms)} ORDER BY position {order}"  # noqa: S608 -- constants
    for columns in reader.execute(sql, values):
        yield row_of(*columns)


def _fits(row: Row, filters: Filters) -> bool:
    if filters.sauce is not None and (row.type is None or f'"sauce":"{filters.sauce}"'.encode() not in row.data):
        return False
    if filters.text is None:
        return True
    wanted = filters.text.casefold()
    identity = f"{EventId(row.source, row.generation, row.sequence)} {row.subject or ''} {row.type or ''}"
    told = row.data.decode(errors="replace") if row.type is not None else f"{row.reason} {row.detail}"
    return wanted in f"{identity} {told}".casefold()
