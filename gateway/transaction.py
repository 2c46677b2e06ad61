"""One SQLite transaction, in the words of the gateway: append an event, fold it, note a sequence, claim a session.

Everything here runs in the writer's thread, between BEGIN and COMMIT. What it learns about sequences reaches memory
only once the commit has succeeded.

A commit holds up to a hundred events, many of one customer. What they add to the same rows is gathered (`at_end`) and
written once: before COMMIT, or as soon as somebody asks for the `connection`, who may read or change those rows. So the
rows are what they would be if each event were written by itself.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.ledger import date_gap, note_gap
from gateway.packed import pack
from gateway.tally import Key, Tally
from heat import tally
from heat.events import AnyData, Event, Stamp
from heat.identity import EventId, SequenceSet
from heat.profile import BucketKey, FlavourKey, FlavourSums, Profile, Sums
from heat.quality import Refusal
from heat.scale import BANDS

About = TypeVar("About", bound=Hashable)
Item = TypeVar("Item")
Gathered = Mapping[About, Sequence[Item]]
"""What a transaction gathered, in its order, by what it is about."""

_BAND_COLUMNS = [f"b{i}" for i in range(BANDS)]
_SUM_COLUMNS = ["n", "w", "wq", "wqq", *_BAND_COLUMNS]
_FOLD_BUCKET = (
    f"INSERT INTO buckets (subject, origin, day, kind, {', '.join(_SUM_COLUMNS)})"  # noqa: S608 -- made of constants
    f" VALUES ({', '.join('?' * (4 + len(_SUM_COLUMNS)))})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{c} = {c} + excluded.{c}' for c in _SUM_COLUMNS)}"
)
_FOLD_FLAVOUR = (
    "INSERT INTO flavours VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n, w = w + excluded.w"
)


class Sequences:
    """Which sequences of each `(source, generation)` are on disk. Read by every thread, changed after commits only."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, int], SequenceSet] = {}

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Sequences:
        """All sets, from the table."""
        result = cls()
        for source, generation, first, last in connection.execute(
            "SELECT source, generation, first, last FROM sequences ORDER BY source, generation, first"
        ):
            result._sets.setdefault((source, generation), SequenceSet()).add(first, last)
        return result

    def get(self, source: str, generation: int) -> SequenceSet:
        """The set of one source and generation; treat it as read-only."""
        return self._sets.get((source, generation)) or SequenceSet()

    def durable(self, source: str, generation: int) -> int:
        """The highest sequence up to which nothing is missing; 0 if the first is."""
        return self.get(source, generation).unbroken

    def replace(self, changed: dict[tuple[str, int], SequenceSet]) -> None:
        """Publish what a committed transaction added."""
        self._sets.update(changed)


class Transaction:
    """What may be done between BEGIN and COMMIT."""

    def __init__(self, connection: sqlite3.Connection, sequences: Sequences, gateway_id: str) -> None:
        self.unsettled = connection
        """The connection for rows that nobody gathers or remembers: it does not wait for those that are."""
        self.gateway_id = gateway_id
        self._sequences = sequences
        self._changed: dict[tuple[str, int], SequenceSet] = {}
        self._own_next: int | None = None
        self._own_generation = 0
        self.tally = Tally()
        """What the ledger gets."""
        self.memory: dict[Hashable, Any] = {}
        """What was read and is read again for the next event, until somebody asks for the `connection`."""
        self._gathered: dict[Callable[[Transaction, Any], None], dict[Any, list[Any]]] = {}

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, all that was gathered written. Ask for it anew after an event was taken in."""
        self.settle()
        return self.unsettled

    # -- identities -------------------------------------------------------------------------------------------------

    def spent(self, event_id: EventId) -> bool:
        """Whether this identity is on disk already."""
        return event_id.sequence in self._set(event_id.source, event_id.generation)

    def durable(self, source: str, generation: int) -> int:
        """The highest sequence up to which nothing is missing, with what this transaction adds."""
        return self._set(source, generation).unbroken

    def spend(self, source: str, generation: int, first: int, last: int | None = None) -> None:
        """Note sequences as on disk (or lost for ever)."""
        key = (source, generation)
        if key not in self._changed:
            self._changed[key] = SequenceSet(self._sequences.get(source, generation))
        self._changed[key].add(first, last)

    def unspent(self, source: str, generation: int, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of `first..last` that are neither on disk nor known to be lost."""
        return self._set(source, generation).missing(first, last)

    def own_id(self) -> EventId:
        """The next identity of the gateway's own events."""
        if self._own_next is None:
            self._own_next = int(self.meta("next_sequence"))
            self._own_generation = int(self.meta("generation"))
        event_id = EventId(self.gateway_id, self._own_generation, self._own_next)
        self._own_next += 1
        return event_id

    def _set(self, source: str, generation: int) -> SequenceSet:
        return self._changed.get((source, generation)) or self._sequences.get(source, generation)

    # -- rows -------------------------------------------------------------------------------------------------------

    def append(self, event: Event) -> int:
        """Store an event and spend its identity. Returns its position; folding it is a step of its own."""
        when = event.when
        cursor = self.unsettled.execute(
            "INSERT INTO events (source, generation, sequence, type, subject, time_ms, boot_ms, day, clock, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *event.id,
                event.data.type,
                event.subject,
                when.time_ms,
                when.boot_ms,
                when.day,
                when.clock,
                pack(event.encode_data()),
            ),
        )
        if event.id.source != self.gateway_id:  # nobody sends us our own events
            self.spend(*event.id)
        position = cursor.lastrowid or 0
        self.tally.append((event.id.source, event.id.generation, when.day), event.id.sequence, position)
        return position

    def append_refusal(self, event_id: EventId, refusal: Refusal, body: bytes, when: Stamp) -> int:
        """Store the bytes of an event that was refused, and spend its identity."""
        cursor = self.unsettled.execute(
            "INSERT INTO events (source, generation, sequence, time_ms, boot_ms, day, clock, data, reason, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*event_id, when.time_ms, when.boot_ms, when.day, when.clock, body, refusal.reason, refusal.detail),
        )
        self.spend(*event_id)
        position = cursor.lastrowid or 0
        self.tally.append((event_id.source, event_id.generation, when.day), event_id.sequence, position, refused=True)
        return position

    def lose(self, dispenser: str, generation: int, first: int, last: int, day: int) -> None:
        """Spend sequences that can never come, and name them in the ledger."""
        self.spend(dispenser, generation, first, last)
        self.tally.lose((dispenser, generation, day), first, last)
        note_gap(self.connection, dispenser, generation, day, first, last)

    def learn(self, subject: str, data: AnyData, day: int) -> None:
        """Add an event of that day to a subject's profile; nothing if it is no evidence of taste."""
        self.at_end(_fold, subject, (data, day))

    def date_loss(self, key: Key, day: int, first: int, last: int) -> None:
        """It is known better when these were missed; `key` has their dispenser, generation and the day before."""
        self.tally.move_loss(key, day, first, last)
        date_gap(self.connection, key, day, first, last)

    def fold(self, subject: str, profile: Profile, sign: int = 1) -> None:
        """Add sums to a subject's profile, or with sign -1 take them back."""
        self.connection.executemany(
            _FOLD_BUCKET,
            (
                (subject, *key, sign * s.n, sign * s.w, sign * s.wq, sign * s.wqq, *(sign * b for b in s.bands))
                for key, s in profile.buckets.items()
            ),
        )
        self.connection.executemany(
            _FOLD_FLAVOUR, ((subject, *key, sign * f.n, sign * f.w) for key, f in profile.flavours.items())
        )
        if sign < 0:
            self.connection.execute("DELETE FROM buckets WHERE subject = ? AND n = 0", (subject,))
            self.connection.execute("DELETE FROM flavours WHERE subject = ? AND n = 0", (subject,))

    def forget(self, subject: str) -> None:
        """Drop a subject's profile."""
        self.drop(subject)
        for table in ("buckets", "flavours", "latest", "pours", "doses"):
            self.unsettled.execute(f"DELETE FROM {table} WHERE subject = ?", (subject,))  # noqa: S608 -- constants

    def meta(self, key: str) -> str:
        """A value of the meta table. Raises KeyError."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Set a value of the meta table."""
        self.connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value)
        )

    # -- the end ----------------------------------------------------------------------------------------------------

    def at_end(self, write: Callable[[Transaction, Gathered[About, Item]], None], about: About, item: Item) -> None:
        """Have this written later, by a `write` of all that was gathered for it."""
        self._gathered.setdefault(write, {}).setdefault(about, []).append(item)

    def drop(self, about: Hashable) -> None:
        """What was gathered about this, or is remembered by this name, is not wanted any more."""
        self.memory.pop(about, None)
        for gathered in self._gathered.values():
            gathered.pop(about, None)

    def settle(self) -> None:
        """Write what was gathered, and remember nothing: whoever comes next may change it."""
        self.memory.clear()
        while self._gathered:
            write, gathered = self._gathered.popitem()
            write(self, gathered)

    def finish(self) -> None:
        """Write what is left to be written, just before COMMIT."""
        self.settle()
        for (source, generation), intervals in self._changed.items():
            before = set(self._sequences.get(source, generation))
            for first, last in intervals:
                if (first, last) in before:
                    continue
                self.connection.execute(
                    "DELETE FROM sequences WHERE source = ? AND generation = ? AND first BETWEEN ? AND ?",
                    (source, generation, first, last),
                )
                self.connection.execute("INSERT INTO sequences VALUES (?, ?, ?, ?)", (source, generation, first, last))
        if self._own_next is not None:
            self.set_meta("next_sequence", str(self._own_next))
        self.tally.write(self.connection)

    def committed(self) -> None:
        """Publish what was gathered, just after COMMIT."""
        self._sequences.replace(self._changed)


def _fold(tx: Transaction, events: Gathered[str, tuple[AnyData, int]]) -> None:
    buckets: list[tuple[Any, ...]] = []
    flavours: list[tuple[Any, ...]] = []
    for subject, learned in events.items():
        sums = tally.Tally()
        for data, day in learned:
            sums.add(data, tx.gateway_id, day)
        of_buckets, of_flavours = sums.dump()
        buckets += ((subject, *key, *row) for key, row in of_buckets.items())
        flavours += ((subject, *key, *row) for key, row in of_flavours.items())
    tx.unsettled.executemany(_FOLD_BUCKET, buckets)
    tx.unsettled.executemany(_FOLD_FLAVOUR, flavours)


def read_profile(connection: sqlite3.Connection, subject: str) -> Profile:
    """A subject's profile; empty if there is none."""
    return read_profiles(connection, [subject])


def read_profiles(connection: sqlite3.Connection, subjects: Iterable[str]) -> Profile:
    """The sum of several subjects' profiles, as for a customer whose session is not claimed yet."""
    profile = Profile()
    for subject in subjects:
        for row in connection.execute(
            f"SELECT origin, day, kind, {', '.join(_SUM_COLUMNS)} FROM buckets WHERE subject = ?",  # noqa: S608 -- constants
            (subject,),
        ):
            profile.add(BucketKey(*row[:3]), Sums(row[3], row[4], row[5], row[6], tuple(row[7:])))
        for row in connection.execute(
            "SELECT origin, day, kind, tag, n, w FROM flavours WHERE subject = ?", (subject,)
        ):
            profile.add_flavour(FlavourKey(*row[:4]), FlavourSums(*row[4:]))
    return profile


def nozzles_json(nozzles: Iterable[tuple[int, str, int]]) -> str:
    """A dispenser's nozzles as stored: `[[nozzle, sauce, level in ml], ...]`."""
    return json.dumps([list(nozzle) for nozzle in nozzles])
