"""Subjects and their sums, in SQLite: one row each, the sums as MessagePack.

version     offset of the last record that changed the sums
published   the version that Kafka is known to have
heard_day   UTC day of receipt of that record
next_day    the day on which the features will differ though nothing happens; NULL: never
sums        [buckets, flavours, {region: last day}], as `heat.tally` dumps them; as text what is beyond 64 bits
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from cloud.pipeline.fold import Effect
from heat.identity import is_session
from heat.tally import BucketTotals, FlavourTotals, Tally

SCHEMA = """
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, published INTEGER NOT NULL,
    heard_day INTEGER NOT NULL, next_day INTEGER, sums BLOB NOT NULL
);
CREATE INDEX subjects_due ON subjects (next_day) WHERE next_day IS NOT NULL;
CREATE TABLE forgotten (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
MAX_REGIONS = 16
"""Regions that are kept of a customer: those of the latest days."""
NEVER = -1
"""As `published`: Kafka has no profile of the subject."""

_json = msgspec.json.Encoder()
_packer = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(tuple[BucketTotals, FlavourTotals, dict[str, int]], strict=False).decode


@dataclass(slots=True)
class Subject:
    """A customer or a session, and what is known of their taste."""

    name: str
    version: int = NEVER
    published: int = NEVER
    heard_day: int = 0
    tally: Tally = field(default_factory=Tally)
    regions: dict[str, int] = field(default_factory=dict)
    """Region -> the last day on which they were seen there."""
    row: int | None = None
    """Its number in the table; None: it has no row yet."""

    def apply(self, effects: Iterable[Effect], told: int = 0) -> bool:
        """Add and take back what these events say, as far as the sums don't hold it; whether that changed them.

        They hold all up to their version, and all below `told`.
        """
        before = self.version
        held = max(before, told - 1)
        for offset, sign, event, day in effects:
            if offset > held:
                self.tally.add(event.data, event.origin, event.day, sign)
                self.version, self.heard_day = offset, max(day, self.heard_day)
                if sign > 0:
                    self._seen(event.data.region, event.day if event.day >= 0 else day)
        return self.version > before

    def _seen(self, region: str, day: int) -> None:
        if day > self.regions.get(region, -1):
            self.regions[region] = day
            if len(self.regions) > MAX_REGIONS:
                del self.regions[min(self.regions, key=lambda name: (self.regions[name], name))]


class Subjects:
    """The subjects of one partition. Nothing is committed here."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self, names: Iterable[str]) -> dict[str, Subject]:
        """Those of these names that there are."""
        listed = _json.encode(list(names)).decode()
        rows = self._connection.execute(
            "SELECT * FROM subjects WHERE name IN (SELECT value FROM json_each(?))", (listed,)
        )
        return {row[1]: _subject(row) for row in rows}

    def apply(self, effects: Mapping[str, list[Effect]], told: int = 0) -> list[str]:
        """Fold a batch; the names of those whose sums changed. Customers' sums hold all below `told`."""
        known = self.load(effects)
        changed = []
        for name, theirs in effects.items():
            subject = known.get(name) or Subject(name)
            if subject.apply(theirs, 0 if is_session(name) else told):
                changed.append(subject)
        self.save(changed)
        return [subject.name for subject in changed]

    def save(self, subjects: Iterable[Subject]) -> None:
        """Write these as they are."""
        new, old = [], []
        for s in subjects:
            sums = _pack(s)
            if s.row is None:
                new.append((s.name, s.version, s.published, s.heard_day, sums))
            else:
                old.append((s.version, s.published, s.heard_day, sums, s.row))
        self._connection.executemany("UPDATE subjects SET version=?, published=?, heard_day=?, sums=? WHERE id=?", old)
        self._connection.executemany(
            "INSERT INTO subjects (name, version, published, heard_day, sums) VALUES (?, ?, ?, ?, ?)", new
        )
        if new:
            self._connection.executemany("DELETE FROM forgotten WHERE name = ?", [(row[0],) for row in new])

    def seed(self, subjects: Iterable[Subject]) -> None:
        """Take these over as Kafka has them, a version that is higher before a lower one; no version: a tombstone.

        A session gets a tombstone, unless it has one, or is folded again: none of an earlier day is.
        """
        said = {subject.name: subject for subject in subjects}
        sessions = [(name, subject.version == NEVER) for name, subject in said.items() if is_session(name)]
        self.confirm_forgotten(name for name, gone in sessions if gone)
        self.forget(name for name, gone in sessions if not gone)
        given = {name: subject for name, subject in said.items() if not is_session(name)}
        known = self.load(given)
        for name, subject in known.items():
            given[name].row = subject.row
        self._connection.executemany(
            "DELETE FROM subjects WHERE id = ?", [(known[name].row,) for name in known if given[name].version == NEVER]
        )
        self.save(s for s in given.values() if s.version > (known[s.name].version if s.name in known else NEVER))

    def look_again(self) -> None:
        """Have the features of all that were taken over published at the next occasion."""
        self._connection.execute("UPDATE subjects SET next_day = 0")

    def forget(self, names: Iterable[str]) -> None:
        """Take these out, and have tombstones published."""
        rows = [(name,) for name in names]
        self._connection.executemany("DELETE FROM subjects WHERE name = ?", rows)
        self._connection.executemany("INSERT OR IGNORE INTO forgotten (name) VALUES (?)", rows)

    def sessions_before(self, day: int, limit: int) -> list[str]:
        """Sessions that were last heard of before this day."""
        rows = self._connection.execute(
            "SELECT name FROM subjects WHERE name >= 's-' AND name < 's.' AND heard_day < ? LIMIT ?", (day, limit)
        )
        return [name for (name,) in rows if is_session(name)]

    def unpublished(self, limit: int, after: int = 0) -> list[Subject]:
        """Some, with rows above `after`, whose latest sums Kafka is not known to have."""
        rows = self._connection.execute(
            "SELECT * FROM subjects WHERE id > ? AND version > published ORDER BY id LIMIT ?", (after, limit)
        )
        return [_subject(row) for row in rows]

    def due(self, day: int, limit: int) -> list[Subject]:
        """Some whose features differ on this day from what was published."""
        rows = self._connection.execute("SELECT * FROM subjects WHERE next_day <= ? LIMIT ?", (day, limit))
        return [_subject(row) for row in rows]

    def forgotten(self, limit: int) -> list[str]:
        """Some whose tombstones Kafka is not known to have."""
        return [name for (name,) in self._connection.execute("SELECT name FROM forgotten LIMIT ?", (limit,))]

    def confirm(self, published: Iterable[tuple[Subject, int | None]]) -> None:
        """Kafka has these as they are; with each the day on which its features will differ."""
        self._connection.executemany(
            "UPDATE subjects SET published = ?, next_day = ? WHERE id = ?",
            [(subject.version, next_day, subject.row) for subject, next_day in published],
        )

    def look_next(self, days: Iterable[tuple[Subject, int | None]]) -> None:
        """Their features differ from those of now on these days."""
        self._connection.executemany(
            "UPDATE subjects SET next_day = ? WHERE id = ?", [(day, subject.row) for subject, day in days]
        )

    def confirm_forgotten(self, names: Iterable[str]) -> None:
        """Kafka has these tombstones."""
        self._connection.executemany("DELETE FROM forgotten WHERE name = ?", [(name,) for name in names])

    def count(self) -> int:
        """How many there are."""
        (count,) = self._connection.execute("SELECT count(*) FROM subjects").fetchone()
        return int(count)


def _pack(subject: Subject) -> bytes:
    buckets, flavours = subject.tally.dump()
    try:
        return _packer.encode((buckets, flavours, subject.regions))
    except OverflowError:  # claims without end: no reader is told of them, and they are as exact as all others
        texts = [{key: [str(value) for value in sums] for key, sums in part.items()} for part in (buckets, flavours)]
        return _packer.encode((*texts, subject.regions))


def _subject(row: tuple[int, str, int, int, int, int | None, bytes]) -> Subject:
    id_, name, version, published, heard_day, _, sums = row
    buckets, flavours, regions = _unpack(sums)
    return Subject(name, version, published, heard_day, Tally.load(buckets, flavours), regions, id_)
