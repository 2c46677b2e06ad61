"""How full the bottles are by count: what the last HELLO said, less what was poured since, up to what was refilled.

A dispenser tells its levels when its link opens, and a link may stay open for weeks. An estimate: pours that were
still on their way when HELLO was said are told apart by their time alone. A level sensor knows better
(`gateway.web.readings`): a leak is in no count.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.web import reads
from heat.events import Poured, Refilled, read_data

ROWS = 500
"""Rows read at one look; more than a shop makes in a second."""
SAID_BY = frozenset({Poured.type, Refilled.type})


@dataclass(slots=True)
class _Tanks:
    since_ms: int
    """When HELLO was said."""
    ul: dict[int, int]


class Levels:
    """Follows the stored HELLOs and events of all dispensers."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader
        self._tanks: dict[str, _Tanks] = {}
        self._position = reads.backlog(reader).stored

    def level_ml(self, dispenser: str, nozzle: int) -> int | None:
        """About how much is in a bottle; None where no HELLO told of it."""
        tanks = self._tanks.get(dispenser)
        ul = tanks.ul.get(nozzle) if tanks else None
        return None if ul is None else ul // 1000

    def look(self) -> bool:
        """Take in new HELLOs, then new rows; whether there may be more."""
        with _one_moment(self._reader):
            for name, seen_ms in reads.hellos(self._reader).items():
                tanks = self._tanks.get(name)
                if (tanks is None or tanks.since_ms != seen_ms) and (stored := reads.dispenser(self._reader, name)):
                    levels = {nozzle: level_ml * 1000 for nozzle, _, level_ml in stored.nozzles}
                    self._tanks[name] = _Tanks(stored.seen_ms, levels)
            rows = reads.rows_after(self._reader, self._position, ROWS)
            for row in rows:
                self._position = row.position
                if row.type in SAID_BY and (tanks := self._tanks.get(row.source)) and row.time_ms >= tanks.since_ms:
                    _take(tanks, row)
        return len(rows) == ROWS


def _take(tanks: _Tanks, row: reads.Row) -> None:
    assert row.type is not None  # looked at by the caller
    data = read_data(row.type, row.data)
    if isinstance(data, Poured) and data.nozzle in tanks.ul:
        tanks.ul[data.nozzle] = max(tanks.ul[data.nozzle] - data.volume_ul, 0)
    elif isinstance(data, Refilled) and data.nozzle in tanks.ul:
        tanks.ul[data.nozzle] = data.volume_ul


@contextmanager
def _one_moment(reader: sqlite3.Connection) -> Iterator[None]:
    """Reads of one state of the database: a HELLO and the pours after it come in together, or neither."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        reader.execute("COMMIT")
