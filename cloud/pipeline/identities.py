"""Which identities were folded, in SQLite: `(source, generation, sequence)` -> offset and hash of what counts.

A source's generation is a `life` with a small number, so that an identity takes some 25 bytes. The highest sequence of
each life is kept beside: what lies above it, as nearly every event does, needs no look into the table. Of a source that
does not count, each key is a life, and an identity takes some 90 bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from cloud.pipeline.fold import Mark
from cloud_sync.topics import REMEMBERED_DAYS
from heat.identity import EventId

SCHEMA = """
CREATE TABLE lives (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, generation INTEGER NOT NULL, highest INTEGER NOT NULL,
    UNIQUE (source, generation)
);
CREATE TABLE identities (
    life INTEGER NOT NULL, sequence INTEGER NOT NULL, offset INTEGER NOT NULL, content INTEGER NOT NULL,
    PRIMARY KEY (life, sequence)
) WITHOUT ROWID;
CREATE TABLE receipts (day INTEGER PRIMARY KEY, first_offset INTEGER NOT NULL);
"""
MAX_LIVES = 10_000
"""Lives that are held in memory, 350 bytes each: of 2,000 shops with four dispensers; of more, all are read again as
they come."""
TIDY_ROWS = 5_000
"""Identities that one `tidy` looks at, at most."""

_json = msgspec.json.Encoder()


class Identities:
    """The identities of one partition. Nothing is committed here."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lives: dict[tuple[str, int], list[int]] = {}
        """(source, generation) -> [id, highest sequence]."""
        self._receipts = dict(connection.execute("SELECT day, first_offset FROM receipts ORDER BY day"))
        self.day = max(self._receipts, default=0)
        """The latest UTC day of receipt; 0: nothing was received."""
        self._floors: dict[int, int] = {}
        self._walk = (0, 0, 0)
        """The day of the round of `tidy`, and the life and sequence that it has come to."""

    def find(self, ids: Iterable[EventId]) -> dict[EventId, Mark]:
        """What is known of these."""
        by_life: dict[tuple[str, int], list[int]] = {}
        for source, generation, sequence in ids:
            by_life.setdefault((source, generation), []).append(sequence)
        found: dict[EventId, Mark] = {}
        for key, sequences in by_life.items():
            if (life := self._life(key)) is None:
                continue
            number, highest = life
            if known := [sequence for sequence in sequences if sequence <= highest]:
                rows = self._connection.execute(
                    "SELECT sequence, offset, content FROM identities"
                    " WHERE life = ? AND sequence IN (SELECT value FROM json_each(?))",
                    (number, _json.encode(known).decode()),
                )
                for sequence, offset, content in rows:
                    found[EventId(*key, sequence)] = Mark(offset, content)
        return found

    def write(self, marks: Mapping[EventId, Mark]) -> None:
        """Keep what counts under these identities from now on."""
        rows = []
        risen: set[tuple[str, int]] = set()
        for (source, generation, sequence), (offset, content) in marks.items():
            life = self._life((source, generation)) or self._add_life((source, generation))
            if sequence > life[1]:
                life[1] = sequence
                risen.add((source, generation))
            rows.append((life[0], sequence, offset, content))
        rows.sort()
        self._connection.executemany(
            "INSERT INTO identities (life, sequence, offset, content) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET offset = excluded.offset, content = excluded.content",
            rows,
        )
        self._connection.executemany(
            "UPDATE lives SET highest = ?2 WHERE id = ?1", [self._lives[key] for key in sorted(risen)]
        )

    def _life(self, key: tuple[str, int]) -> list[int] | None:
        if (life := self._lives.get(key)) is None:
            row = self._connection.execute(
                "SELECT id, highest FROM lives WHERE source = ? AND generation = ?", key
            ).fetchone()
            if row is not None:
                life = self._remember(key, list(row))
        return life

    def _add_life(self, key: tuple[str, int]) -> list[int]:
        cursor = self._connection.execute("INSERT INTO lives (source, generation, highest) VALUES (?, ?, 0)", key)
        assert cursor.lastrowid is not None
        return self._remember(key, [cursor.lastrowid, 0])

    def _remember(self, key: tuple[str, int], life: list[int]) -> list[int]:
        self._lives[key] = life
        return life

    def shrink(self) -> None:
        """Between two transactions: let go of lives in memory where there are too many."""
        if len(self._lives) > MAX_LIVES:
            self._lives.clear()

    def received(self, day: int, offset: int) -> None:
        """A record was received on this day; the first of a day is noted. A broker's clock that was set back is not."""
        if day > self.day:
            self._connection.execute("INSERT INTO receipts (day, first_offset) VALUES (?, ?)", (day, offset))
            self._receipts[day], self.day = offset, day
            self._floors.clear()

    def floor(self, day: int) -> int:
        """The first offset whose identity is still remembered by a record that is received on this day."""
        if (floor := self._floors.get(day)) is None:
            kept = [offset for known, offset in self._receipts.items() if known >= day - REMEMBERED_DAYS]
            floor = self._floors[day] = min(kept, default=0)
        return floor

    def tidy(self, today: int) -> bool:
        """Forget some of what no record will ask for any more; whether there may be more to forget.

        `today` is this machine's day: a broker whose clock ran ahead for a moment does not make us forget what its
        next records ask for.
        """
        today = min(today, self.day)
        if not (floor := self.floor(today)):
            return False
        day, *reached = self._walk
        first, sequence = reached if day == today else (0, 0)
        rows = self._connection.execute(
            "SELECT life, sequence, offset FROM identities WHERE (life, sequence) > (?, ?)"
            " ORDER BY life, sequence LIMIT ?",
            (first, sequence, TIDY_ROWS),
        ).fetchall()
        self._connection.executemany(
            "DELETE FROM identities WHERE life = ? AND sequence = ?",
            [(life, number) for life, number, offset in rows if offset < floor],
        )
        more = len(rows) == TIDY_ROWS
        self._forget_lives(first, rows[-1][0] if more else 2**63 - 1)
        self._walk = (today, *rows[-1][:2]) if rows else (today, first, sequence)
        for old in [day for day in self._receipts if day < today - REMEMBERED_DAYS - 1]:
            self._connection.execute("DELETE FROM receipts WHERE day = ?", (old,))
            del self._receipts[old]
        return more

    def _forget_lives(self, first: int, end: int) -> None:
        """Those from `first` on and below `end` that have no identities any more."""
        gone = self._connection.execute(
            "DELETE FROM lives WHERE id >= ? AND id < ? AND NOT EXISTS"
            " (SELECT 1 FROM identities WHERE life = lives.id)",
            (first, end),
        ).rowcount
        if gone:
            self._lives.clear()
