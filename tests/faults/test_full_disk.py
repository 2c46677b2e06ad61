"""A full disk, a used-up quota: what can't be stored stays on its dispenser, all else goes on, it heals by itself."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from firmware_bridge.messages import Ask, Picks
from gateway import housekeeping
from gateway.clock import Now
from gateway.config import LEAST_BALLAST_MB
from gateway.outbox import StoreOutbox
from gateway.space import ROOM_BYTES
from gateway.store import Settings, Store, open_store
from heat.errors import StoreFull
from tests.faults.counter import Counter, at_counter
from tests.faults.loop_image import skip_without_loop_devices, small_disk, tmpfs
from tests.gateway.test_store import append
from tests.waiting import wait_until, wait_until_async

MB = 1024 * 1024
DISK_MB = 16
TRIES = int(os.environ.get("PICANTE_TRIES", "12"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 16 MiB."""
    skip_without_loop_devices()
    with tmpfs(tmp_path / "disk", DISK_MB) as place:
        yield place


@pytest.mark.parametrize("of", ["quota", "disk"])
async def test_a_full_store_takes_upkeep_which_heals_it(disk: Path, of: str) -> None:
    quota_mb = 4 if of == "quota" else 64
    ballast = LEAST_BALLAST_MB * MB
    store = open_store(Settings(disk / "data", "gw-1", quota_mb * MB, ballast))
    stored = fill(store)
    assert store.full is not None
    assert store.full.of == of
    assert (disk / "data" / "ballast").exists() == (of == "quota")
    assert store.sequences.durable("hot-bar-1", 7) == stored

    # what Kafka has is confirmed and goes, all but the last row
    outbox = StoreOutbox(store)
    await outbox.register_instance("some-instance")
    await outbox.read(stored - 1, 1)
    await outbox.confirm(stored)
    with contextlib.closing(store.reader()) as reader:

        async def pruned() -> bool:
            work = housekeeping.due(reader, Now(0, 0, False), 1, full=True)
            if work is not None:
                store.write(work, upkeep=True).result(10)
            return bool(reader.execute("SELECT count(*) = 1 FROM events").fetchone()[0])

        await wait_until_async(pruned, 20, "what Kafka has is pruned")
    assert await outbox.id_at(stored) is not None

    # the file is as large as before, but has room inside
    wait_until(store.has_room, 10, "the store has found the room")
    pages = page_count(store)
    if of == "quota":
        assert fill(store, stored, stored + 100) == stored + 100
    else:
        assert fill(store, stored) > stored + 100
        assert store.full is not None
        assert (store.full.of, page_count(store)) == ("disk", pages), "without a ballast it does not grow"
    store.close()


def test_the_ballast_comes_back_with_the_room(disk: Path) -> None:
    store = open_store(Settings(disk / "data", "gw-1", 64 * MB, 2 * MB))
    leave(disk, 3 * MB)
    stored = fill(store)
    ballast = disk / "data" / "ballast"
    assert not ballast.exists()
    with pytest.raises(StoreFull):
        store.write(append(stored + 1)).result(20)
    (disk / "filler").unlink()
    wait_until(store.has_room, 10, "the store has found the room")
    assert ballast.stat().st_size == 2 * MB
    assert fill(store, stored, stored + 100) == stored + 100
    store.close()


@pytest.mark.parametrize("seed", range(TRIES))
def test_no_write_that_finds_no_space_breaks_anything(disk: Path, seed: int) -> None:
    """From a start with next to nothing left to one that has room for some events."""
    chance = random.Random(seed)
    settings = Settings(disk / "data", "gw-1", 64 * MB, MB)
    stored = 0
    if chance.random() < 0.7:
        store = open_store(settings)
        stored = fill(store, 0, chance.randrange(3_000))
        store.close()
    free = chance.randrange(0, ROOM_BYTES // 4)
    if chance.random() < 0.5:
        (disk / "data" / "ballast").unlink(missing_ok=True)
    leave(disk, free)
    with contextlib.suppress(StoreFull):
        store = open_store(settings)
        stored = fill(store, stored)
        assert store.broken is None
        store.close()
    (disk / "filler").unlink()
    store = open_store(settings)
    assert store.sequences.durable("hot-bar-1", 7) == stored
    assert fill(store, stored, stored + 100) == stored + 100
    assert store.write(lambda tx: tx.connection.execute("PRAGMA integrity_check").fetchall()).result(10) == [("ok",)]
    store.close()


def test_a_gateway_on_a_full_disk_goes_on_and_heals(tmp_path: Path) -> None:
    skip_without_loop_devices()
    with small_disk(tmp_path, DISK_MB) as disk, at_counter(tmp_path / "counter", disk / "data") as counter:
        counter.start_gateway(f"ballast_mb = {LEAST_BALLAST_MB}")
        counter.open_lines()
        counter.serve_until_all_have_more()
        leave(disk, 2 * MB)
        serve_until_full(counter)
        assert not (disk / "data" / "ballast").exists()

        before = counter.acked()
        for dispenser in counter.dispensers:
            dispenser.again()
        counter.serve(0.2)
        assert counter.acked() == before
        assert all(dispenser.sequence > dispenser.acked for dispenser in counter.dispensers)
        for path in ("/healthz", "/metrics", "/", "/api/v1/events"):
            assert counter.console.get(path).is_success, path
        assert httpx.get(f"{counter.url}/readyz", timeout=20).status_code == 503
        asking = counter.dispensers[0]
        asking.send(Ask(session=7, nonce=b"hungry!!", dial=50))
        assert asking.expect(Picks).nonce == b"hungry!!"

        (disk / "filler").unlink()
        wait_until(lambda: not is_full(counter), 10, "the store has found the room")
        assert (disk / "data" / "ballast").stat().st_size == LEAST_BALLAST_MB * MB
        for dispenser in counter.dispensers:
            dispenser.again()
        counter.serve_until_all_have_more()
        counter.check()
        counter.kill()


def serve_until_full(counter: Counter) -> None:
    """Let events flow until the page says that the store is full."""
    counter.serve_until(lambda: is_full(counter), 60, "the store is full")
    counter.serve(0.1)


def is_full(counter: Counter) -> bool:
    """Whether the page says so."""
    repairs = counter.console.get("/api/v1/status").raise_for_status().json()["repairs"]
    return "store_full" in {repair["code"] for repair in repairs}


def page_count(store: Store) -> int:
    """Pages of the database."""
    with contextlib.closing(store.reader()) as reader:
        return int(reader.execute("PRAGMA page_count").fetchone()[0])


def fill(store: Store, stored: int = 0, until: int = 10**6) -> int:
    """Append events above `stored` until the store is full, or they are `until`; the last one that was stored."""
    while stored < until:
        futures = [store.write(append(stored + n)) for n in range(1, min(100, until - stored) + 1)]
        for future in futures:
            try:
                future.result(10)
            except StoreFull:
                return stored
            stored += 1
    return stored


def leave(disk: Path, free: int) -> None:
    """Fill a disk with something else up to `free` bytes."""
    with (disk / "filler").open("wb") as file:
        size = max(shutil.disk_usage(disk).free - free, 0)
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, size or 1)
