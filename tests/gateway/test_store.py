"""The store: group commit, isolation of failures, locks, limits, kills."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.store import DATABASE, KEPT_PIECES, Settings, Store, open_store
from gateway.transaction import Transaction
from heat.errors import StoreError, StoreFull, StoreLocked
from heat.events import Event as StoredFact
from heat.events import Refilled, Stamp
from heat.identity import EventId
from tests.waiting import wait_until

NOBODY = 65_534
"""The user of that name."""
WHEN = Stamp(1_790_000_000_000, 0, 20_717, "known")


def fact(sequence: int, source: str = "hot-bar-1") -> StoredFact:
    data = Refilled(
        store="plaza", region="south", channel="dispenser", consent="none", nozzle=1, sauce="table-red", volume_ul=1
    )
    return StoredFact(EventId(source, 7, sequence), None, WHEN, data)


def append(sequence: int, source: str = "hot-bar-1") -> Callable[[Transaction], int]:
    return lambda tx: tx.append(fact(sequence, source))


def fill(store: Store) -> None:
    """Events of another source until there is no room."""

    def hundred(first: int) -> Callable[[Transaction], None]:
        return lambda tx: [append(n, "other")(tx) for n in range(first, first + 100)].clear()

    with pytest.raises(StoreFull):
        for first in itertools.count(1, 100):
            store.write(hundred(first)).result(10)


def test_rules_of_storage_hold_on_the_writer(store: Store) -> None:
    def pragmas(tx: Transaction) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "max_page_count")
        return {name: tx.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    assert store.write(pragmas).result(20) == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "secure_delete": 1,
        "foreign_keys": 1,
        "max_page_count": 512 * 1024 * 1024 // 4096,
    }


def test_readers_cannot_write(store: Store) -> None:
    reader = store.reader()
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM events")
    reader.close()


def test_what_waits_is_committed_together(store: Store) -> None:
    gate = threading.Event()
    first = store.write(lambda _tx: gate.wait(10))
    futures = [store.write(append(n)) for n in range(1, 101)]
    before = store.figures.commits
    gate.set()
    assert first.result(20)
    assert [future.result(20) for future in futures] == list(range(1, 101))
    assert store.figures.pieces >= 100
    assert store.figures.commits - before <= 3


def test_a_commit_is_counted_before_anybody_is_told_of_it(store: Store) -> None:
    counted: list[tuple[int, int, int, int]] = []

    def done(_position: int | None, _error: BaseException | None) -> None:
        figures = store.figures
        counted.append((figures.commits, figures.pieces, len(figures.commit_s), len(figures.fsync_s)))

    for n in (1, 2):
        store.submit(append(n), done)
        wait_until(lambda n=n: len(counted) == n, 5, "its result is told")  # type: ignore[misc]
    assert counted == [(1, 1, 1, 1), (2, 2, 2, 2)]


def test_what_changes_nothing_fails_or_is_refused_is_no_commit(tmp_path: Path) -> None:
    store = open_store(Settings(tmp_path, "gw-1", quota_bytes=64 * 4096, ballast_bytes=0))
    store.write(lambda _tx: None).result(20)
    store.write(lambda tx: tx.meta("next_sequence")).result(20)
    with pytest.raises(KeyError):
        store.write(lambda tx: (tx.append(fact(1)), tx.meta("nothing of the kind"))).result(20)
    with pytest.raises(StoreFull):
        store.write(lambda tx: tx.set_meta("filler", "x" * 64 * 4096)).result(20)
    with pytest.raises(StoreFull):
        store.write(append(1)).result(20)
    figures = store.figures
    assert (figures.commits, figures.pieces, len(figures.commit_s), len(figures.fsync_s)) == (0, 0, 0, 0)
    assert figures.full == 2
    store.close()


def test_a_result_is_told_when_another_connection_sees_it(store: Store) -> None:
    seen: list[tuple[int | None, int]] = []
    gate = threading.Event()
    waiting = store.write(lambda _tx: gate.wait(10))

    def done(position: int | None, _error: BaseException | None) -> None:
        with closing(store.reader()) as reader:
            seen.append((position, reader.execute("SELECT ifnull(max(position), 0) FROM events").fetchone()[0]))

    for n in range(1, 6):
        store.submit(append(n), done)
    gate.set()
    assert waiting.result(20)
    wait_until(lambda: len(seen) == 5, 5, "all results are told")
    assert seen == [(n, 5) for n in range(1, 6)]


def test_a_piece_that_fails_takes_only_itself_down(store: Store) -> None:
    gate = threading.Event()
    store.write(lambda _tx: gate.wait(10))

    def fail(tx: Transaction) -> None:
        tx.append(fact(2))
        raise RuntimeError("broken piece")

    futures: list[Future[Any]] = [store.write(append(1)), store.write(fail), store.write(append(3))]
    gate.set()
    assert futures[0].result(20) == 1
    with pytest.raises(RuntimeError, match="broken piece"):
        futures[1].result(20)
    assert futures[2].result(20) == 2
    # what failed is not spent, so nothing above it counts as durable
    assert list(store.sequences.get("hot-bar-1", 7)) == [(1, 1), (3, 3)]
    assert store.sequences.durable("hot-bar-1", 7) == 1


def test_sequences_survive_reopening_and_melt_together(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "gw-1")
    store = open_store(settings)
    for n in (1, 2, 5, 6, 3):
        store.write(append(n)).result(20)
    store.close()
    store = open_store(settings)
    assert list(store.sequences.get("hot-bar-1", 7)) == [(1, 3), (5, 6)]
    store.write(append(4)).result(20)
    assert store.sequences.durable("hot-bar-1", 7) == 6
    assert store.write(lambda tx: tx.connection.execute("SELECT first, last FROM sequences").fetchall()).result(20) == [
        (1, 6)
    ]
    store.close()


def test_a_directory_has_one_owner(store: Store) -> None:
    with pytest.raises(StoreLocked, match="in use by another gateway"):
        open_store(store.settings)


def test_full_quota_refuses_writes_and_keeps_reads(tmp_path: Path) -> None:
    store = open_store(Settings(tmp_path, "gw-1", quota_bytes=64 * 4096, ballast_bytes=0))
    stored = 0
    with pytest.raises(StoreFull, match="full"):
        for n in range(1, 100_000):
            store.write(append(n)).result(20)
            stored = n
    assert store.broken is None
    reader = store.reader()
    assert reader.execute("SELECT count(*) FROM events").fetchone()[0] == stored
    reader.close()
    assert store.sequences.durable("hot-bar-1", 7) == stored
    with pytest.raises(StoreFull):
        store.write(lambda tx: tx.meta("confirmed")).result(20)
    assert store.full is not None
    assert store.full.of == "quota"
    assert not store.has_room()
    store.write(lambda tx: tx.connection.execute("DELETE FROM events"), upkeep=True).result(20)
    wait_until(store.has_room, 5, "the store has found the room")
    store.write(append(stored + 1)).result(20)
    store.close()


def test_an_unusable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        open_store(Settings(tmp_path / "file", "gw-1"))


_WRITER = """
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from gateway.store import Settings, open_store
from tests.gateway.test_store import append
store = open_store(Settings(Path(sys.argv[1]), "gw-1"))
n = store.sequences.durable("hot-bar-1", 7)
while True:
    n += 1
    store.write(append(n)).result(20)
    print(n, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged = 0
    for _ in range(3):
        command = [sys.executable, "-c", _WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(150):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    store = open_store(Settings(tmp_path, "gw-1"))
    assert store.sequences.durable("hot-bar-1", 7) >= acknowledged >= 450
    reader = store.reader()
    assert (
        reader.execute("SELECT count(*), count(DISTINCT sequence) FROM events").fetchone()
        == (store.sequences.durable("hot-bar-1", 7),) * 2
    )
    reader.close()
    store.close()


def test_own_events_get_rising_sequences_and_every_start_a_generation(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        store = open_store(Settings(tmp_path, "gw-1"))
        ids += [store.write(lambda tx: tx.own_id()).result(20) for _ in range(3)]
        store.close()
    assert [event_id.sequence for event_id in ids] == [1, 2, 3] * 2
    assert len(set(ids)) == 6


@pytest.mark.parametrize("store", [2 * 1024 * 1024], indirect=True)
def test_what_is_kept_while_the_store_is_full_is_done_first_and_bounded(store: Store) -> None:
    fill(store)
    ran: list[int] = []
    refused: list[int] = []

    def submit(number: int, key: str) -> None:
        def done(_result: None, error: BaseException | None) -> None:
            if error is not None:
                refused.append(number)

        store.submit(lambda _tx: ran.append(number), done, keep_as=key)

    for number in range(KEPT_PIECES + 1):
        submit(number, str(number))
    submit(-1, "5")
    wait_until(lambda: len(refused) == 2, 10, "the oldest went for one more, and one for another of its key")
    assert (refused, ran) == ([0, 5], [])
    store.write(lambda tx: tx.connection.execute("DELETE FROM events"), upkeep=True).result(10)
    wait_until(store.has_room, 10, "the store has found the room")
    store.write(lambda _tx: ran.append(-2)).result(20)
    assert ran == [*(n for n in range(1, KEPT_PIECES + 1) if n != 5), -1, -2]


def test_what_is_still_kept_at_the_end_is_refused(tmp_path: Path) -> None:
    full = open_store(Settings(tmp_path / "full", "gw-1", 2 * 1024 * 1024))
    fill(full)
    told: list[BaseException | None] = []
    full.submit(append(1), lambda _result, error: told.append(error), keep_as="x")
    full.close()
    assert [type(error) for error in told] == [StoreFull]


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_database_of_another_user_is_named_with_the_way_out(mode: int) -> None:
    """Root put a backup back, and may do everything: the test does what it can't in another user's name."""
    with tempfile.TemporaryDirectory() as directory:  # which, other than `tmp_path`, anybody reaches
        settings = Settings(Path(directory), "gw-1", ballast_bytes=0)
        open_store(settings).close()
        for path in Path(directory).iterdir():
            if os.geteuid() == 0 and path.name != DATABASE:
                os.chown(path, NOBODY, NOBODY)
        (settings.data_dir / DATABASE).chmod(mode)
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
        with in_the_name_of_nobody(), pytest.raises(StoreError) as caught:
            open_store(settings)
        assert f"chown --reference={directory} {directory}/{DATABASE}" in caught.value.hint


@contextmanager
def in_the_name_of_nobody() -> Iterator[None]:
    """Who isn't root stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
