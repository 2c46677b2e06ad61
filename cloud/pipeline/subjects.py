"""Subjects and their sums, in SQLite: one row each, the sums as MessagePack.

version     offset of the last record that changed the sums
published   the version that Kafka is known to have
heard_day   UTC day of receipt of that record
next_day    the day on which the features will differ though nothing happens; NULL: never
sums        [{day: [buckets, flavours]}, {region: last day}, consent]; sums as `heat.tally` dumps them, as text what is
            beyond 64 bits; the consent nil, or [when it was said, ms; whether it was `none`]

Years of sums are kept, and an event is of one day: what lies on other days is written again as it was read, so folding
costs the same however long somebody has been a customer.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec import Raw

from cloud.pipeline.fold import Effect
from cloud_sync.topics import DAY_MS
from heat.events import ConsentChanged, PourVoided, SessionClaimed
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
AT_ONCE = 100
"""Subjects whose rows are in memory while a batch is folded."""
NEVER = -1
"""As `published`: Kafka has no profile of the subject."""

_Row = tuple[int, str, int, int, int, int | None, bytes]
"""Of the table `subjects`."""

_json = msgspec.json.Encoder()
_packer = msgspec.msgpack.Encoder()
_unpack_day = msgspec.msgpack.Decoder(tuple[BucketTotals, FlavourTotals], strict=False).decode


Consent = tuple[int, bool]
"""When a customer said whether they want to be known, Unix time in ms, and whether they do not. The highest counts."""


class _Kept(msgspec.Struct, array_like=True):
    """What `sums` holds. A file of an earlier release has no consent."""

    days: dict[int, Raw]
    regions: dict[str, int]
    consent: Consent | None = None


_unpack = msgspec.msgpack.Decoder(_Kept).decode


class Told(NamedTuple):
    """Of whom Kafka has what: a subject's row and version."""

    row: int | None
    version: int


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
    consent: Consent | None = None
    packed: dict[int, Raw] = field(default_factory=dict)
    """Days whose sums the tally lacks, as they lie in the table; none but while a batch is folded."""

    @property
    def told(self) -> Told:
        """What is left of it once it was published."""
        return Told(self.row, self.version)

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
                    if isinstance(event.data, ConsentChanged):
                        # no clock is so far ahead that nothing said later would count
                        said = min(event.time_ms, (day + 1) * DAY_MS), event.data.consent == "none"
                        self.consent = max(self.consent or said, said)
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
        return {subject.name: subject for subject in self.each(names)}

    def each(self, names: Iterable[str]) -> Iterator[Subject]:
        """`load`, one after the other."""
        return map(_subject, self._rows(names))

    def _rows(self, names: Iterable[str]) -> list[_Row]:
        listed = _json.encode(list(names)).decode()
        return self._connection.execute(
            "SELECT * FROM subjects WHERE name IN (SELECT value FROM json_each(?))", (listed,)
        ).fetchall()

    def apply(self, effects: Mapping[str, list[Effect]], told: int = 0) -> list[str]:
        """Fold a batch; the names of those whose sums changed. Customers' sums hold all below `told`."""
        changed: list[str] = []
        names = list(effects)
        for first in range(0, len(names), AT_ONCE):
            some = names[first : first + AT_ONCE]
            known = {row[1]: row for row in self._rows(some)}
            subjects = []
            for name in some:
                row, theirs = known.pop(name, None), effects[name]
                subject = Subject(name) if row is None else _subject(row, _days(theirs))
                if subject.apply(theirs, 0 if is_session(name) else told):
                    subjects.append(subject)
            self.save(subjects)
            changed += (subject.name for subject in subjects)
        return changed

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

    def unpublished(self, limit: int, after: int = 0) -> Iterator[Subject]:
        """Some, with rows above `after`, whose latest sums Kafka is not known to have."""
        rows = self._connection.execute(
            "SELECT * FROM subjects WHERE id > ? AND version > published ORDER BY id LIMIT ?", (after, limit)
        ).fetchall()
        return map(_subject, rows)

    def due(self, day: int, limit: int) -> Iterator[Subject]:
        """Some whose features differ on this day from what was published."""
        rows = self._connection.execute("SELECT * FROM subjects WHERE next_day <= ? LIMIT ?", (day, limit)).fetchall()
        return map(_subject, rows)

    def forgotten(self, limit: int) -> list[str]:
        """Some whose tombstones Kafka is not known to have."""
        return [name for (name,) in self._connection.execute("SELECT name FROM forgotten LIMIT ?", (limit,))]

    def confirm(self, published: Iterable[tuple[Told, int | None]]) -> None:
        """Kafka has these as they are; with each the day on which its features will differ."""
        self._connection.executemany(
            "UPDATE subjects SET published = ?, next_day = ? WHERE id = ?",
            [(told.version, next_day, told.row) for told, next_day in published],
        )

    def look_next(self, days: Iterable[tuple[Told, int | None]]) -> None:
        """Their features differ from those of now on these days."""
        self._connection.executemany(
            "UPDATE subjects SET next_day = ? WHERE id = ?", [(day, told.row) for told, day in days]
        )

    def confirm_forgotten(self, names: Iterable[str]) -> None:
        """Kafka has these tombstones."""
        self._connection.executemany("DELETE FROM forgotten WHERE name = ?", [(name,) for name in names])

    def count(self) -> int:
        """How many there are."""
        (count,) = self._connection.execute("SELECT count(*) FROM subjects").fetchone()
        return int(count)


def _days(effects: Iterable[Effect]) -> set[int]:
    """The days whose sums these change."""
    days = set()
    for effect in effects:
        if isinstance(data := effect.event.data, SessionClaimed):
            days |= {bucket.day for bucket in data.buckets} | {flavour.day for flavour in data.flavours}
        else:
            days.add(data.day if isinstance(data, PourVoided) else effect.event.day)
    return days


def _pack(subject: Subject) -> bytes:
    days: defaultdict[int, tuple[BucketTotals, FlavourTotals]] = defaultdict(lambda: ({}, {}))
    buckets, flavours = subject.tally.dump()
    for key, sums in buckets.items():
        days[key[1]][0][key] = sums
    for tagged, sums in flavours.items():
        days[tagged[1]][1][tagged] = sums
    packed = subject.packed | {day: _pack_day(*part) for day, part in days.items()}
    return _packer.encode(_Kept(packed, subject.regions, subject.consent))


def _pack_day(buckets: BucketTotals, flavours: FlavourTotals) -> Raw:
    try:
        return Raw(_packer.encode((buckets, flavours)))
    except OverflowError:  # claims without end: no reader is told of them, and they are as exact as all others
        texts = [{key: [str(value) for value in sums] for key, sums in part.items()} for part in (buckets, flavours)]
        return Raw(_packer.encode(texts))


def _subject(row: _Row, wanted: AbstractSet[int] | None = None) -> Subject:
    """The subject of a row; where days are wanted, with the sums of these alone, and all others as they lie there."""
    id_, name, version, published, heard_day, _, sums = row
    kept = _unpack(sums)
    packed = kept.days
    buckets: BucketTotals = {}
    flavours: FlavourTotals = {}
    for day in packed.keys() if wanted is None else packed.keys() & wanted:
        theirs = _unpack_day(packed[day])
        buckets |= theirs[0]
        flavours |= theirs[1]
    rest = {} if wanted is None else {day: part for day, part in packed.items() if day not in wanted}
    tally = Tally.load(buckets, flavours)
    return Subject(name, version, published, heard_day, tally, kept.regions, id_, kept.consent, rest)
