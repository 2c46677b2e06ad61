"""The store as the downlink's memory: what comes down, and how far it was read, change in one transaction.

Profiles go to `regulars`, releases to the `shelf`, from which `releases` takes them over.

A record that makes no sense is passed over and counted: what the cloud says of one customer must not hold up the rest.
What a turn brings goes in pieces of some hundred rows, each with its own mark, since events wait for the same writer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from cloud_sync.inbox import Inbox
from cloud_sync.kafka_reader import Arrived
from cloud_sync.published import Profile as PublishedProfile
from cloud_sync.published import read_published
from cloud_sync.releases import read_key, read_release, targets
from cloud_sync.resume import Mark, Place
from cloud_sync.topics import PROFILES, RELEASES
from gateway import consents, regulars, shelf
from gateway.clock import Clock
from gateway.regulars import Regular
from gateway.store import Store
from gateway.transaction import Transaction
from heat.errors import DataError
from heat.identity import SAFE_INTEGER, check_subject, is_session
from heat.profile import profile_of_rows

BREATH = 4
"""Records that are decoded before the event loop gets its turn: a customer's pick may be waiting."""
PIECE_ROWS = 500
"""Rows of profiles in one transaction, about: some 5 ms of the writer's time."""
PAUSE_S = 0.02
"""s between two of them: events and picks have most of a core while thousands of customers come down."""
MARK_S = 30.0
"""s after which a mark is written where nothing else was; what was read since then is read again after a kill."""

Change = Callable[[Transaction], bool]
"""What a record does; whether it changed anything."""


def _nobody() -> None:
    """Nobody waits for releases."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a gateway reads down."""

    region: str
    share_percent: int
    """Share of the store's quota that profiles may take."""
    on_release: Callable[[], None] = _nobody
    """Hears of releases, in the event loop's thread."""
    profiles: str = PROFILES.name
    releases: str = RELEASES.name

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are worth reading."""
        return (self.profiles, self.releases) if self.share_percent else (self.releases,)


@dataclass(slots=True)
class _Piece:
    """What goes into one transaction, and the record that it ends with."""

    last: Arrived
    changes: list[Change] = field(default_factory=list)
    rows: int = 0


class StoreInbox(Inbox):
    """Profiles of a region's customers, and releases for a gateway, into the store."""

    def __init__(self, store: Store, clock: Clock, wanted: Wanted) -> None:
        self._passed_over = 0
        self._store = store
        self._clock = clock
        self._wanted = wanted
        self._targets = targets(store.settings.gateway_id, wanted.region)
        self._budget_bytes = store.settings.quota_bytes * wanted.share_percent // 100
        with closing(store.reader()) as connection:
            self._found_bytes = regulars.used_bytes(connection)
        """What profiles took when this start began."""
        self._kept: dict[Place, tuple[Mark, float]] = {}
        """Marks as the store has them, and when they were written (monotonic)."""

    def scope(self, topic: str) -> str:
        """See `Inbox.scope`. A larger share has room for whom a smaller one had none."""
        if topic == self._wanted.releases:
            return " ".join(self._targets)
        return f"{self._wanted.region} {self._wanted.share_percent}"

    def now_ms(self) -> int | None:
        """See `Inbox.now_ms`."""
        now = self._clock.now()
        return now.wall_ms if now.known else None

    async def mark(self, place: Place) -> Mark | None:
        """See `Inbox.mark`."""
        return await asyncio.to_thread(self._read_mark, place)

    def _read_mark(self, place: Place) -> Mark | None:
        with closing(self._store.reader()) as connection:
            row = connection.execute(
                "SELECT cluster, scope, next, witness, witness_ms, read_ms, snapshot, until FROM downlink"
                " WHERE topic = ? AND partition = ?",
                place,
            ).fetchone()
        return Mark(*row) if row else None

    async def take(self, place: Place, records: Sequence[Arrived], mark: Mark) -> int:
        """See `Inbox.take`."""
        before = self._passed_over
        pieces = [piece async for piece in self._pieces(place, records, mark)]
        for piece in pieces[:-1]:
            between = mark.after(piece.last.offset + 1, piece.last.offset, piece.last.timestamp_ms)
            await self._commit(place, piece.changes, between, whole=False)
            await asyncio.sleep(PAUSE_S)
        await self._commit(place, pieces[-1].changes if pieces else [], mark, whole=mark.whole)
        return self._passed_over - before

    async def _pieces(self, place: Place, records: Sequence[Arrived], mark: Mark) -> AsyncIterator[_Piece]:
        """The newest record of each key, in their order: what a later one replaces is not written first."""
        newest = {record.key: record for record in records if record.key is not None}
        piece: _Piece | None = None
        for number, record in enumerate(sorted(newest.values(), key=lambda r: r.offset), 1):
            change, rows = self._read(place, record, mark.snapshot)
            if piece is None or piece.rows + rows > PIECE_ROWS:
                if piece is not None:
                    yield piece
                piece = _Piece(record)
            piece.last = record
            piece.rows += rows
            if change is not None:
                piece.changes.append(change)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        if piece is not None:
            yield piece

    def _read(self, place: Place, record: Arrived, snapshot: int) -> tuple[Change | None, int]:
        """What a record does, and how many rows it writes, about."""
        try:
            key = (record.key or b"").decode("ascii")
            if place.topic == self._wanted.releases:
                return self._read_release(key, record.value, place.partition, snapshot)
            return self._read_profile(key, record.value, place.partition, snapshot)
        except (DataError, UnicodeDecodeError):
            self._passed_over += 1
            return None, 0

    def _read_profile(self, key: str, value: bytes | None, partition: int, snapshot: int) -> tuple[Change | None, int]:
        if is_session(check_subject(key)):
            return None, 0
        if value is None:
            return lambda tx: regulars.remove(tx, key), 1
        said = _profile(value)
        regular = _regular(key, said, self._wanted.region)
        rows = 1 if regular is None else len(regular.profile.buckets) + len(regular.profile.flavours) + 1

        def take(tx: Transaction) -> bool:
            heard = False
            if said.consent_ms is not None:
                heard = consents.hear(tx, key, "none" if said.opted_out else "profile", said.consent_ms)
            if regular is None or consents.opted_out(tx.connection, key):
                return regulars.remove(tx, key) or heard
            return regulars.take(tx, regular, partition, snapshot) or heard

        return take, rows

    def _read_release(self, key: str, value: bytes | None, partition: int, snapshot: int) -> tuple[Change | None, int]:
        kind, target = read_key(key)
        if target not in self._targets:
            return None, 0
        if value is None:
            return lambda tx: shelf.withdraw(tx, kind, target), 1
        release = read_release(key, value)
        return lambda tx: shelf.keep(tx, release, partition, snapshot), PIECE_ROWS

    async def _commit(self, place: Place, changes: Sequence[Change], mark: Mark, *, whole: bool) -> None:
        of_releases = place.topic == self._wanted.releases
        kept, written_s = self._kept.get(place, (None, 0.0))
        due = whole or kept is None or _told(kept) != _told(mark) or time.monotonic() - written_s >= MARK_S

        def work(tx: Transaction) -> bool:
            changed = sum([change(tx) for change in changes])
            if whole:
                remove = shelf.withdraw_unnamed if of_releases else regulars.remove_unnamed
                changed += remove(tx, place.partition, mark.snapshot)
            if not changed and not due:
                return False
            _write_mark(tx, place, mark, whole=whole)
            return True

        if await asyncio.wrap_future(self._store.write(work)):
            if of_releases:
                self._wanted.on_release()
            self._kept[place] = (replace(mark, until=None) if whole else mark), time.monotonic()
            await self._evict()

    async def _evict(self) -> None:
        """Have the share hold again, some customers at a time: there may be many, where it was made smaller."""
        while await asyncio.wrap_future(self._store.write(self._evict_some, upkeep=True)):
            pass

    def _evict_some(self, tx: Transaction) -> int:
        used = shelf.in_use(tx.connection, "configuration")
        if used is not None and used.starts is not None:
            # it may be taken back, and with it the share: nobody goes for it
            return regulars.evict(tx, max(self._budget_bytes, self._found_bytes))
        if not self._wanted.share_percent:
            # who goes now is to come again when there is a share again
            tx.connection.execute("UPDATE downlink SET scope = '' WHERE topic = ?", (self._wanted.profiles,))
        return regulars.evict(tx, self._budget_bytes)


def _profile(value: bytes) -> PublishedProfile:
    said = read_published(value)
    if not isinstance(said, PublishedProfile):
        raise DataError("it is no profile")
    return said


def _regular(subject: str, said: PublishedProfile, region: str) -> Regular | None:
    """What a record says of a customer; None for one who was never seen in the region. Raises DataError."""
    last_day = next((seen.last_day for seen in said.regions if seen.region == region), None)
    if last_day is None:
        return None
    profile = profile_of_rows(said.buckets, said.flavours)
    if any(max(sums.n, sums.w, sums.wq, sums.wqq) > SAFE_INTEGER for sums in profile.buckets.values()):
        raise DataError("it has sums that no events add up to")
    return Regular(subject, said.version.generation, said.version.offset, last_day, profile)


def _told(mark: Mark) -> tuple[object, ...]:
    """What of a mark has to be on disk at once: the rest only spares reading again."""
    return mark.cluster, mark.scope, mark.read_ms, mark.snapshot, mark.until


def _write_mark(tx: Transaction, place: Place, mark: Mark, *, whole: bool) -> None:
    tx.connection.execute(
        "INSERT OR REPLACE INTO downlink VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *place,
            mark.cluster,
            mark.scope,
            mark.next,
            mark.witness,
            mark.witness_ms,
            mark.read_ms,
            mark.snapshot,
            None if whole else mark.until,
        ),
    )
