"""What the ledger should say, counted anew each time from a list of all that was ever stored."""

from __future__ import annotations

import copy
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from gateway.packed import unpack
from gateway.tally import Key
from heat.events import SequenceGap, read_data


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `events`."""

    source: str
    generation: int
    sequence: int
    day: int
    refused: bool
    gap: SequenceGap | None

    @property
    def key(self) -> Key:
        """Where the ledger has it."""
        return self.source, self.generation, self.day


@dataclass(slots=True)
class Naive:
    """All rows by position; those that were pruned are what they were."""

    rows: dict[int, Row] = field(default_factory=dict)
    here: set[int] = field(default_factory=set)
    """Those that are in the database."""
    confirmed: int = 0
    replayed: set[int] = field(default_factory=set)
    """Refusals that became events."""

    def look(self, reader: sqlite3.Connection) -> None:
        """Take in what the database has by now."""
        self.here = set()
        found = "SELECT position, source, generation, sequence, day, reason, type, CAST(data AS BLOB) FROM events"
        for position, source, generation, sequence, day, reason, type_, data in reader.execute(found):
            event = None if type_ != SequenceGap.type else read_data(type_, unpack(data))
            gap = event if isinstance(event, SequenceGap) else None
            self.rows[position] = Row(source, generation, sequence, day, reason is not None, gap)
            self.here.add(position)
        self.confirmed = int(reader.execute("SELECT value FROM meta WHERE key = 'confirmed'").fetchone()[0])

    def as_of_now(self) -> Naive:
        """A copy, as a backup has one."""
        return copy.deepcopy(self)

    # -- what it comes to -------------------------------------------------------------------------------------------

    def gaps(self) -> list[tuple[str, int, int, int, int]]:
        """Dispenser, generation, day, first, last; the newest first."""
        found = sorted(self.rows.items(), reverse=True)
        return [(g.dispenser, g.generation, row.day, g.first, g.last) for _, row in found if (g := row.gap) is not None]

    def sequences(self) -> dict[tuple[str, int], dict[int, set[int]]]:
        """Of each source and generation, the sequences of each day."""
        found: dict[tuple[str, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for row in self.rows.values():
            found[row.source, row.generation][row.day].add(row.sequence)
        for dispenser, generation, day, first, last in self.gaps():
            found[dispenser, generation][day].update(range(first, last + 1))
        return found

    def counts(self) -> dict[Key, Counter[str]]:
        """Of each row of the ledger what is counted in it."""
        found: dict[Key, Counter[str]] = defaultdict(Counter)
        for position, row in self.rows.items():
            in_kafka = position <= self.confirmed or position not in self.here
            found[row.key]["refused" if row.refused else "stored"] += 1
            found[row.key]["sent_letters" if row.refused else "sent"] += in_kafka
            found[row.key]["replayed"] += position in self.replayed
            if (gap := row.gap) is not None:
                found[gap.dispenser, gap.generation, row.day]["lost"] += gap.last - gap.first + 1
        return found

    def entries(self) -> dict[Key, tuple[int, ...]]:
        """First, last, stored, refused, replayed, lost, sent and sent letters of each row of the ledger."""
        sequences = self.sequences()
        names = ("stored", "refused", "replayed", "lost", "sent", "sent_letters")
        return {
            key: (min(mine), max(mine), *(counted[name] for name in names))
            for key, counted in self.counts().items()
            if (mine := sequences[key[:2]][key[2]])
        }

    def in_order(self, source: str, day: int) -> bool:
        """Whether the day has all sequences between its first and its last, and no other day has one of them."""
        for (name, _), by_day in self.sequences().items():
            if name == source and day in by_day:
                first, last = min(by_day[day]), max(by_day[day])
                if len(by_day[day]) != last - first + 1:
                    return False
                if any(min(other) < first and max(other) >= first for d, other in by_day.items() if d != day):
                    return False
        return True
