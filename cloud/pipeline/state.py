"""The state of one partition of the events, in one SQLite file: a function of the log up to its position.

    with PartitionState.open(path, Log("picante.events.v1", 0), earlier) as state:
        applied = state.apply(records)

Sums, identities, counts and the position are committed together. A file that is lost, stale or damaged costs time and
nothing else: it catches up from its position, or is rebuilt (`seed`). WAL with `synchronous=NORMAL`: a power cut may
take back the last commits, which makes the file an older one.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from cloud.pipeline import identities, subjects
from cloud.pipeline.fold import Earlier, Hour, Memory, fold
from cloud.pipeline.identities import Identities
from cloud.pipeline.subjects import Subject, Subjects, Told
from cloud.pipeline.verdict import Verdict, judge
from cloud_sync.record import Consumed
from heat.errors import StoreError, StoreFull
from heat.profile import Profile

log = logging.getLogger("cloud.pipeline")

SCHEMA_VERSION = 3
"""Raised with the tables: a file of another one is rebuilt."""
COUNTED_DAYS = 30
"""Days for which the hours' counts are kept."""
SESSION_DAYS = 2
"""A session is forgotten by the tick of the second day after it was last heard of: at least 24 hours later."""
CACHE_KIB = 8_192
"""KiB of pages in memory, for each partition: what a batch touches. Four times as many, with 5,000 customers' sums of
60 days, folded no faster: what else is read lies in the kernel's cache."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
CHUNK = 100
"""Subjects that are looked at, and published, in one go: 2 MB of profiles of forty days each."""

_SCHEMA = f"""
CREATE TABLE log (
    topic TEXT NOT NULL, topic_id TEXT, partition INTEGER NOT NULL, partitions INTEGER NOT NULL,
    generation INTEGER NOT NULL, seeded INTEGER NOT NULL, position INTEGER NOT NULL, tick_day INTEGER NOT NULL,
    told INTEGER NOT NULL
);
CREATE TABLE counts (
    hour INTEGER NOT NULL, origin TEXT NOT NULL, outcome TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (hour, origin, outcome)
) WITHOUT ROWID;
{identities.SCHEMA}
{subjects.SCHEMA}
PRAGMA user_version = {SCHEMA_VERSION};
"""


@dataclass(frozen=True, slots=True)
class Log:
    """What a state is a function of."""

    topic: str
    partition: int
    partitions: int = 1
    """How many the topic has: with another number, subjects would lie elsewhere."""
    generation: int = 1
    topic_id: str | None = None
    """Tells the topic from a later one of its name; None where the cluster has no such ids."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did; it is committed."""

    refused: tuple[Verdict, ...] = ()
    changed: tuple[str, ...] = ()
    """Subjects whose sums are others now."""
    counts: tuple[tuple[Hour, int], ...] = ()
    irreversible: int = 0


class PartitionState:
    """See the module. One thread's own."""

    def __init__(self, path: Path, connection: sqlite3.Connection, log_: Log, earlier: Earlier) -> None:
        self.log = log_
        self._path = path
        self._connection = connection
        self._earlier = earlier
        self._identities = Identities(connection)
        self._subjects = Subjects(connection)
        self._tidied_on: tuple[int, int, int] | None = None
        """The days, of tick, receipt and this machine, for which there is nothing left to tidy."""
        row: tuple[int, int, int, int] = connection.execute(
            "SELECT seeded, position, tick_day, told FROM log"
        ).fetchone()
        self.seeded, self.position, self.tick_day, self._told = row

    @classmethod
    def open(cls, path: Path, log_: Log, earlier: Earlier | None = None, *, anew: bool = False) -> Self:
        """The state that the file holds; a new one, with position 0, where it holds none of this log, or for `anew`.

        `earlier` reads events of this partition again, by offset; without it, a conflict is decided for whoever came
        first, unless both are in one batch.

        Raises:
            StoreError: the file can't be made or read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = None
        with _translated(path):
            with contextlib.suppress(sqlite3.DatabaseError):
                connection = _connect(path)
                if anew or not _holds(connection, log_):
                    connection.close()
                    connection = None
            if connection is None:
                _remove(path)
                connection = _connect(path)
                _create(connection, log_)
            return cls(path, connection, log_, earlier or (lambda _: {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    # -- folding -------------------------------------------------------------------------------------------------------

    def apply(self, records: Sequence[Consumed]) -> Applied:
        """Fold records of this partition, in the order of their offsets; those below the position are skipped.

        Raises:
            StoreFull, StoreError: nothing was committed. Close this, and open it again.
        """
        return self.apply_judged([judge(record) for record in records])

    def apply_judged(self, verdicts: Sequence[Verdict]) -> Applied:
        """`apply` for records whose verdict is there already."""
        verdicts = list(_onwards(verdicts, self.position))
        if not verdicts:
            return Applied()
        with self._transaction():
            for verdict in verdicts:
                if verdict.day > self._identities.day:
                    self._identities.received(verdict.day, verdict.record.offset)
            ids = [verdict.event.id for verdict in verdicts if verdict.event and not verdict.refusal]
            memory = Memory(
                self._identities.find(ids), self._identities.floor, self.tick_day - SESSION_DAYS + 1, self._earlier
            )
            folding = fold(verdicts, memory)
            self._identities.write(folding.marks)
            changed = self._subjects.apply(folding.effects, self._told)
            self._subjects.forget(folding.claimed)
            self._connection.executemany(
                "INSERT INTO counts (hour, origin, outcome, n) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET n = n + excluded.n",
                [(*hour, n) for hour, n in folding.counts.items()],
            )
            self._connection.execute("UPDATE log SET seeded = 1, position = ?", (verdicts[-1].record.offset + 1,))
        self.seeded, self.position = 1, verdicts[-1].record.offset + 1
        self._identities.shrink()
        refused = tuple(verdict for verdict in verdicts if verdict.refusal)
        return Applied(refused, tuple(changed), tuple(folding.counts.items()), folding.irreversible)

    def seed(self, known: Iterable[Sequence[Subject]], position: int, told: int = 0) -> None:
        """Begin a rebuild: subjects with the sums and versions that Kafka has, and where the log begins.

        Of the log, everything is applied then: identities and counts of all of it, sums above each subject's version.
        That is not enough where the log has dropped an event and still holds its copy, which changed no sums, and lies
        above the version. So the sums also count as holding all below `told`: up to there all was published once.
        """
        for chunk in known:
            with self._transaction():
                self._subjects.seed(chunk)
        with self._transaction():
            self._subjects.look_again()
            self._connection.execute("UPDATE log SET seeded = 1, position = ?, told = ?", (position, told))
        self.seeded, self.position, self._told = 1, position, told

    @property
    def day(self) -> int:
        """The UTC day at which features are read: the clock's, or that of the last receipt where it never ticked."""
        return self.tick_day or self._identities.day

    # -- time ----------------------------------------------------------------------------------------------------------

    def tick(self, day: int) -> None:
        """A UTC day has begun. Earlier ones than the latest change nothing."""
        if day > self.tick_day:
            with self._transaction():
                self._connection.execute("UPDATE log SET tick_day = ?", (day,))
                self._connection.execute("DELETE FROM counts WHERE hour < ?", (24 * (day - COUNTED_DAYS),))
            self.tick_day = day

    def tidy(self, today: int) -> bool:
        """Do a little of what a new day brings: sessions to be forgotten, identities too. Whether there may be more.

        `today`: this machine's UTC day; nothing is forgotten that is needed on it.
        """
        days = self.tick_day, self._identities.day, today
        if days == self._tidied_on:
            return False
        with self._transaction():
            over = self._subjects.sessions_before(self.tick_day - SESSION_DAYS + 1, CHUNK)
            self._subjects.forget(over)
            more = self._identities.tidy(today) or bool(over)
        if not more:
            self._tidied_on = days
        return more

    # -- what is to be published ---------------------------------------------------------------------------------------

    def subjects(self, names: Iterable[str]) -> Iterator[Subject]:
        """Those of these that there are, one after the other: years of sums take a hundred times as much in Python."""
        with _translated(self._path):
            yield from self._subjects.each(names)

    def unpublished(self, after: int = 0) -> Iterator[Subject]:
        """Some, with rows above `after`, whose latest sums Kafka is not known to have; one after the other."""
        with _translated(self._path):
            yield from self._subjects.unpublished(CHUNK, after)

    def due(self) -> Iterator[Subject]:
        """Some whose features have become others by the latest tick; one after the other."""
        with _translated(self._path):
            yield from self._subjects.due(self.tick_day, CHUNK)

    def forgotten(self) -> list[str]:
        """Some whose tombstones Kafka is not known to have."""
        return self._subjects.forgotten(CHUNK)

    def confirm(self, published: Iterable[tuple[Told, int | None]], forgotten: Iterable[str] = ()) -> None:
        """Kafka has these subjects as they are, with the day of their next features, and these tombstones."""
        with self._transaction():
            self._subjects.confirm(published)
            self._subjects.confirm_forgotten(forgotten)

    def look_next(self, days: Iterable[tuple[Told, int | None]]) -> None:
        """Kafka has the features of these as of the latest day; with each the day of its next ones."""
        with self._transaction():
            self._subjects.look_next(days)

    # -- what others ask -----------------------------------------------------------------------------------------------

    def profile(self, subject: str) -> Profile:
        """A subject's profile; an empty one of whom nothing is known."""
        found = next(self.subjects([subject]), None)
        return found.tally.profile() if found else Profile()

    def digest(self, subject: str, origin: str | None = None) -> tuple[int, str]:
        """How many pieces of evidence a subject has (of one origin), and the digest of their sums."""
        profile = self.profile(subject)
        n = sum(sums.n for key, sums in profile.buckets.items() if origin is None or key.origin == origin)
        return n, profile.digest(origin)

    def count(self) -> int:
        """How many subjects there are."""
        return self._subjects.count()

    def names(self) -> Iterator[str]:
        """Every subject that there is."""
        return (name for (name,) in self._connection.execute("SELECT name FROM subjects ORDER BY name"))

    def counts(self, from_hour: int = 0) -> dict[Hour, int]:
        """How many records of each hour (of receipt), origin and outcome there were, of the last 30 days."""
        rows = self._connection.execute("SELECT hour, origin, outcome, n FROM counts WHERE hour >= ?", (from_hour,))
        return {(hour, origin, outcome): n for hour, origin, outcome, n in rows}

    # -- SQLite --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def _onwards(verdicts: Iterable[Verdict], position: int) -> Iterator[Verdict]:
    """Those at or above the position, each offset once."""
    for verdict in verdicts:
        if verdict.record.offset >= position:
            yield verdict
            position = verdict.record.offset + 1


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"cache_size=-{CACHE_KIB}", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _holds(connection: sqlite3.Connection, log_: Log) -> bool:
    """Whether a file's state is one of this log, and whole."""
    if connection.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
        return False
    row = connection.execute("SELECT topic, topic_id, partition, partitions, generation, seeded FROM log").fetchone()
    wanted = (log_.topic, log_.topic_id, log_.partition, log_.partitions, log_.generation, 1)
    return bool(row == wanted)


def _create(connection: sqlite3.Connection, log_: Log) -> None:
    connection.executescript(f"BEGIN;{_SCHEMA}")
    connection.execute(
        "INSERT INTO log VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0)",
        (log_.topic, log_.topic_id, log_.partition, log_.partitions, log_.generation),
    )
    connection.execute("COMMIT")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _damaged(path: Path, error: Exception) -> StoreError:
    _remove(path)
    return StoreError(f"{path} is damaged: {error}", hint="It was removed, and is made anew from Kafka")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            raise _damaged(path, error) from error
        kind = StoreFull if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else StoreError
        raise kind(f"{path} can't be written: {error}", hint="Look at cloud.data_dir: its space, its rights") from error
    except msgspec.DecodeError as error:  # SQLite does not know what a row should hold
        raise _damaged(path, error) from error
    except OSError as error:
        raise StoreError(
            f"{path} can't be made: {error}", hint="Look at cloud.data_dir: its space, its rights"
        ) from error
