"""Where reading a compacted topic goes on: after the last record that was read, or from the beginning. Pure.

A compacted topic forgets a tombstone some time after it was written (`topics.REMEMBERED_DAYS`). Who reads on within
that time has seen everything; who was away for longer may have missed that a key was forgotten, and reads the whole
partition anew: a snapshot, at whose end all that it has not named is removed. So does who can't be sure that this is
still the log it knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from cloud_sync.topics import DAY_MS, REMEMBERED_DAYS

TRUSTED_MS = (REMEMBERED_DAYS - 1) * DAY_MS
"""ms since the last reading within which no tombstone can have gone: a day less than Kafka keeps them, for clocks."""


class Place(NamedTuple):
    """One partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Log:
    """A partition as the broker has it now."""

    cluster: str
    start: int
    end: int
    """Of the next record."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a partition was read, as the reader keeps it, in one transaction with what it made of the records."""

    cluster: str
    scope: str
    """What the reader picks out; read with another one in mind, a partition has to be read anew."""
    next: int
    """Offset of the next record to read."""
    witness: int = -1
    """Offset of the last record that was read; -1 before the first."""
    witness_ms: int = 0
    """That record's timestamp: another one there is another log."""
    read_ms: int | None = None
    """Unix time, ms, as of which everything has been read, once the snapshot is whole: so for one under way it is when
    it began. None where nobody knew the time."""
    snapshot: int = 0
    """Number of the last snapshot that was begun."""
    until: int | None = None
    """Offset at which the snapshot is whole; None once it is."""

    def after(self, next_: int, witness: int, witness_ms: int) -> Mark:
        """This mark, further on."""
        return replace(self, next=next_, witness=witness, witness_ms=witness_ms)

    @property
    def whole(self) -> bool:
        """Whether the snapshot under way has been read to its end."""
        return self.until is not None and self.next >= self.until


@dataclass(frozen=True, slots=True)
class GoOn:
    """Read on. `offset` is the last record that was read where it may still be there: it is compared."""

    mark: Mark
    offset: int


@dataclass(frozen=True, slots=True)
class Anew:
    """Read everything, from `mark.next` to `mark.until`, and remove what it does not name."""

    mark: Mark
    why: str


def decide(mark: Mark | None, log: Log, scope: str, now_ms: int | None) -> GoOn | Anew:
    """How to go on reading. `now_ms` is None while nobody knows the time: then age is judged later (`is_too_old`)."""
    if (why := _doubt(mark, log, scope, now_ms)) is not None or mark is None:
        return anew(mark, log, scope, why or "", now_ms)
    return GoOn(mark, mark.witness if mark.witness >= log.start else mark.next)


def anew(mark: Mark | None, log: Log, scope: str, why: str, now_ms: int | None) -> Anew:
    """Begin a snapshot."""
    number = mark.snapshot + 1 if mark else 1
    return Anew(Mark(log.cluster, scope, log.start, read_ms=now_ms, snapshot=number, until=log.end), why)


def is_too_old(mark: Mark, now_ms: int) -> bool:
    """Whether tombstones may have come and gone since everything was last read, or the snapshot under way began."""
    return mark.read_ms is None or now_ms - mark.read_ms > TRUSTED_MS


def is_another_log(mark: Mark, offset: int, timestamp_ms: int) -> bool:
    """Whether the first record that is read on says that this is not the log that was read."""
    return offset == mark.witness and timestamp_ms != mark.witness_ms


def _doubt(mark: Mark | None, log: Log, scope: str, now_ms: int | None) -> str | None:
    if mark is None:
        return "it was never read"
    if mark.cluster != log.cluster:
        return "it is another cluster"
    if mark.scope != scope:
        return "something else is looked for"
    if mark.next > log.end:
        return "it ends before what was read"
    if mark.next < log.start:
        return "what would come next is gone"
    if now_ms is not None and is_too_old(mark, now_ms):
        return "it was not read for so long that something may have been forgotten unseen"
    return None
