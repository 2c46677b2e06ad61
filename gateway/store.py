"""The gateway's memory: one SQLite database, one writer thread, read-only readers.

Work is submitted as a function of a `Transaction`; the writer takes all that is queued (at most 100 pieces), runs it in
one SQLite transaction with `synchronous=FULL`, and reports each piece's result only after the commit. A piece that
raises takes only itself down: the batch is rolled back and its pieces are run one by one.

Where disk or quota is used up (`gateway.space`), only upkeep is taken: what makes room, and what costs next to none.

Who calls it: `ingest` (events), `picks` (impressions), `uplink` (positions) through `gateway.outbox`, `web` (reads).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from gateway import database, quarantine
from gateway.database import BUSY_TIMEOUT_MS, is_damage, is_full, mended_text
from gateway.space import LOOK_S, Full, Space, drop_ballast
from gateway.transaction import Sequences, Transaction
from heat.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreLocked

T = TypeVar("T")

DATABASE = "gateway.db"
BALLAST = "ballast"
MAX_BATCH = 100
"""Pieces of work a transaction; more gain little (24x write amplification one by one, 2.8x by 100)."""
QUEUE_LIMIT = 4_096
"""Pieces of work that may wait; above it links leave events on their dispensers."""
KEPT_PIECES = 1_000
"""Pieces of work kept until a full store has room again: claims, one a session; the oldest goes for one more."""
KEPT_TIMES = 10_000
"""Times of commits that are kept until the metrics take them, which they do every second."""
_PASSING = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT),
    *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CANTOPEN),
}
"""SQLite's results that say: not now."""


@dataclass(slots=True)
class Settings:
    """Where the store lives and how much it may take."""

    data_dir: Path
    gateway_id: str
    quota_bytes: int = 512 * 1024 * 1024
    """Bytes; a month of 33,000 events a day without Internet, every third of them an impression of twelve sauces."""
    ballast_bytes: int = 8 * 1024 * 1024
    """Bytes kept to be given up when the disk is full: SQL can't free a full disk, since DELETE needs space too."""
    min_commit_interval_ms: int = 0
    """ms between commits at least; spares an SD card, costs latency."""


def _times() -> deque[float]:
    return deque(maxlen=KEPT_TIMES)


@dataclass(slots=True)
class Figures:
    """What the writer did, for the metrics. Of times in seconds the last ones, until somebody takes them out.

    What changed nothing is no commit, since nothing reached the disk; what was refused or failed is none, either.
    """

    commits: int = 0
    pieces: int = 0
    full: int = 0
    commit_s: deque[float] = field(default_factory=_times)
    """From BEGIN until it was on disk; one a commit."""
    fsync_s: deque[float] = field(default_factory=_times)
    """Of the COMMIT statement, which is mostly the wait for the WAL's fsync: SQLite tells no more."""

    def count(self, pieces: int, commit_s: float, fsync_s: float) -> None:
        """Note a commit."""
        self.commits += 1
        self.pieces += pieces
        self.commit_s.append(commit_s)
        self.fsync_s.append(fsync_s)


@dataclass(slots=True)
class _Piece:
    work: Callable[[Transaction], Any]
    done: Callable[[Any, BaseException | None], None]
    upkeep: bool
    keep_as: str | None


class Store:
    """The open database. Created by `open_store`; `close` flushes what is queued."""

    def __init__(self, settings: Settings, lock: int, writer: sqlite3.Connection, space: Space) -> None:
        self.path = settings.data_dir / DATABASE
        self.settings = settings
        self.figures = Figures()
        self.broken: StoreError | None = None
        """Set for good on an I/O error: nothing is acknowledged after it, and the daemon ends."""
        self._lock = lock
        self._writer = writer
        self._space = space
        opened = self.path.stat()
        self._file = opened.st_dev, opened.st_ino
        self.quarantined = quarantine.quarantined(settings.data_dir)
        """Damaged databases that were set aside, newest first."""
        self.sequences = Sequences.load(writer)
        found = writer.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        self.held = int(found[0]) if found else 0
        """The last position given out before this process began: what earlier ones sent lies at or below it."""
        self._queue: queue.Queue[_Piece | None] = queue.Queue(QUEUE_LIMIT)
        self._kept: dict[str, _Piece] = {}
        self._thread = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._thread.start()

    # -- writing ----------------------------------------------------------------------------------------------------

    @property
    def full(self) -> Full | None:
        """Set while disk or quota is used up."""
        return self._space.full

    def has_room(self) -> bool:
        """Whether `submit` would take another event now."""
        return self.broken is None and self.full is None and self._queue.qsize() < QUEUE_LIMIT - MAX_BATCH

    def submit(
        self,
        work: Callable[[Transaction], T],
        done: Callable[[T | None, BaseException | None], None],
        *,
        upkeep: bool = False,
        keep_as: str | None = None,
    ) -> None:
        """Queue a piece of work. Upkeep is done on a full store, too: it makes room, or replaces rows that are there.

        What has a key `keep_as` is kept in memory while the store is full, in place of another one of that key, and
        done before all else once there is room.

        `done(result, error)` is called in the writer's thread, after commit or rollback; it must not raise.

        Raises:
            StoreFull: too much is waiting already.
            StoreError: the store is broken or closed.
        """
        if self.broken is not None:
            raise self.broken
        try:
            self._queue.put_nowait(_Piece(work, done, upkeep, keep_as))
        except queue.Full:
            raise StoreFull("the store's queue is full", hint="It drains by itself; is the disk very slow?") from None

    def write(self, work: Callable[[Transaction], T], *, upkeep: bool = False) -> Future[T]:
        """Queue a piece of work, as `submit` does; its future is resolved after the commit."""
        future: Future[T] = Future()

        def done(result: T | None, error: BaseException | None) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(cast("T", result))

        self.submit(work, done, upkeep=upkeep)
        return future

    def reader(self) -> sqlite3.Connection:
        """A new read-only connection. Its owner closes it, and holds no transaction across an await."""
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None, factory=_Reader)
        connection.store = self
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA query_only=ON")
        connection.text_factory = mended_text
        return connection

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Reading that goes beyond an `execute`: damage that it meets breaks the store, too."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if is_damage(error) and self.broken is None:
                self._distrust(error)
            raise

    def close(self) -> None:
        """Write what is queued, checkpoint, and give up the lock."""
        self._queue.put(None)
        self._thread.join()
        self._refuse(list(self._kept.values()))
        self._writer.close()
        os.close(self._lock)

    # -- the writer's thread ----------------------------------------------------------------------------------------

    def _write(self) -> None:
        while True:
            first = self._next()
            if first is None:
                return
            batch, ended = self._take(first)
            started = time.perf_counter()
            self._run_kept()
            self._run(batch)
            if ended:
                return
            rest_s = self.settings.min_commit_interval_ms / 1000 - (time.perf_counter() - started)
            if rest_s > 0:
                time.sleep(rest_s)

    def _next(self) -> _Piece | None:
        """The next piece; while there is too little room, look for more each second."""
        while self.broken is None and self._space.short:
            try:
                self._space.look()
            except sqlite3.Error as error:
                self._judge(error)
            with contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=LOOK_S)
        return self._queue.get()

    def _take(self, first: _Piece) -> tuple[list[_Piece], bool]:
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                piece = self._queue.get_nowait()
            except queue.Empty:
                break
            if piece is None:
                return batch, True
            batch.append(piece)
        return batch, False

    def _refuse(self, pieces: list[_Piece]) -> None:
        for piece in pieces:
            self.figures.full += 1
            piece.done(None, _no_space())

    def _keep_or_refuse(self, pieces: list[_Piece]) -> None:
        for piece in pieces:
            dropped: _Piece | None = piece
            if piece.keep_as is not None:
                dropped = self._kept.pop(piece.keep_as, None)
                self._kept[piece.keep_as] = piece
                if len(self._kept) > KEPT_PIECES:
                    dropped = self._kept.pop(next(iter(self._kept)))
            if dropped is not None:
                self._refuse([dropped])

    def _run_kept(self) -> None:
        while self._kept and self.full is None:
            first = list(self._kept)[:MAX_BATCH]
            self._run([self._kept.pop(key) for key in first])

    def _run(self, batch: list[_Piece]) -> None:
        was_full = self.full is not None
        if was_full:
            self._keep_or_refuse([piece for piece in batch if not piece.upkeep])
            batch = [piece for piece in batch if piece.upkeep]
        if not batch:
            return
        outcomes = self._transact(batch)
        if self.full is not None and not was_full:
            self._run(batch)  # as far as it is upkeep
        elif outcomes is None and len(batch) > 1:
            for piece in batch:
                self._run([piece])
        elif outcomes is not None:
            for piece, (result, error) in zip(batch, outcomes, strict=True):
                piece.done(result, error)

    def _transact(self, batch: list[_Piece]) -> list[tuple[Any, BaseException | None]] | None:
        """Results for all pieces, or None if one of several raised and they must be run one by one."""
        if self.broken is None and not self._still_there():
            self.broken = StoreError(f"{self.path} was removed or replaced", hint="Put it back, and start the gateway")
        if self.broken is not None:
            return [(None, self.broken)] * len(batch)
        transaction = Transaction(self._writer, self.sequences, self.settings.gateway_id)
        began, changes = time.perf_counter(), self._writer.total_changes
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            results: list[tuple[Any, BaseException | None]] = [(piece.work(transaction), None) for piece in batch]
            transaction.finish()
            ready = time.perf_counter()
            self._writer.execute("COMMIT")
            ended = time.perf_counter()
        except Exception as error:  # noqa: BLE001 -- whatever a piece raises belongs to its submitter
            self._roll_back()
            failure = self._judge(error)
            if len(batch) > 1 and not (isinstance(error, sqlite3.Error) and isinstance(failure, StoreError)):
                return None
            return [(None, failure)] * len(batch)
        transaction.committed()
        if self._writer.total_changes != changes:
            self.figures.count(len(batch), ended - began, ended - ready)
        return results

    def _still_there(self) -> bool:
        """Whether the path still leads to the file that is open: what is written to another one is lost."""
        try:
            now = self.path.stat()
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == self._file

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except sqlite3.Error as error:
                self.broken = StoreError(f"rollback failed: {error}", hint="Restart; the database is checked at start")

    def _distrust(self, error: sqlite3.Error) -> StoreError:
        """Nothing is acknowledged from now on; the next start checks the whole database."""
        quarantine.suspect(self.settings.data_dir)
        kind = StoreCorrupt if is_damage(error) else StoreError
        self.broken = kind(f"{self.path}: {error}", hint="The daemon ends; the whole database is checked at its start")
        return self.broken

    def _judge(self, error: Exception) -> BaseException:
        """SQLite's errors as ours. Everything but a full disk is final: an fsync is never tried twice."""
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if is_full(error):
            self._space.run_out()
            return _no_space()
        if isinstance(error, sqlite3.OperationalError) and code in _PASSING:
            return StoreBusy(f"{self.path}: {error}", hint="Close what else has the database open")
        if is_damage(error) or code == sqlite3.SQLITE_IOERR:
            return self._distrust(error)
        if code == sqlite3.SQLITE_READONLY:
            self.broken = StoreError(f"{self.path}: {error}", hint="Let the gateway write it, and start it again")
            return self.broken
        return error


def _no_space() -> StoreFull:
    return StoreFull("disk or quota is full", hint="Free space, or let the outbox drain to Kafka")


class _Reader(sqlite3.Connection):
    """A reading connection that tells the store of damage that it meets."""

    store: Store

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        with self.store.watching():
            return super().execute(*arguments)


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call a function in the event loop's thread soon; nothing happens if the loop has ended meanwhile."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def open_store(settings: Settings) -> Store:
    """Open (or create) the database: lock the directory, check, migrate, make the ballast.

    A damaged database is set aside (`gateway.quarantine`), and a new one begun.

    Raises:
        StoreLocked: another process owns the directory.
        StoreFull: not even what was kept aside leaves room for a start.
        StoreError: the directory can't be used.
    """
    directory = settings.data_dir
    lock = lock_directory(directory)
    try:
        connection = _open_database(settings)
        space = Space(connection, directory / BALLAST, settings.quota_bytes, settings.ballast_bytes)
        return Store(settings, lock, connection, space)
    except BaseException:
        os.close(lock)
        raise


def lock_directory(directory: Path) -> int:
    """Own a data directory, which is made where there is none, until the descriptor is closed.

    Raises:
        StoreLocked: another process owns it.
        StoreError: it can't be used.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{directory}: {error.strerror}", hint="Give the gateway a directory it may write") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreLocked(
            f"{directory} is in use by another gateway", hint="Stop it, or use another data_dir"
        ) from None
    return lock


def _open_database(settings: Settings) -> sqlite3.Connection:
    """The database, or a new one in the place of a damaged one; it is given the ballast's room where it has none."""
    try:
        return _check_and_begin(settings)
    except StoreFull:
        drop_ballast(settings.data_dir / BALLAST)
        return _check_and_begin(settings)


def _check_and_begin(settings: Settings) -> sqlite3.Connection:
    path, mark = settings.data_dir / DATABASE, settings.data_dir / quarantine.SUSPECT
    try:
        connection = _connect(path, thorough=mark.exists())
    except StoreCorrupt as damage:
        quarantine.set_aside(path, damage.args[0], settings.quota_bytes + settings.ballast_bytes)
        connection = _connect(path, thorough=False)
    mark.unlink(missing_ok=True)
    return connection


def _connect(path: Path, *, thorough: bool) -> sqlite3.Connection:
    opened = database.connect(path, thorough=thorough)
    try:
        if opened.lost_commits:
            quarantine.copy_journal(path, opened.lost_commits)
        database.begin(path, opened.connection)
    except BaseException:
        opened.connection.close()
        raise
    return opened.connection
