"""The store: a file that is taken away, damaged, or as large as it may be, and a disk that is full.

Each is found by a daemon of its own, in a directory of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from gateway.store import Settings, open_store
from heat.errors import StoreError
from tests.faults.loop_image import skip_without_loop_devices, tmpfs
from tests.faults.test_corruption import spoil_header
from tests.gateway.test_store import append, fill
from tests.gateway.web.conftest import Inside, inside_of
from tests.gateway.web.provoked.registry import WITHIN_S, gone, provokes
from tests.waiting import wait_until_async

HOUR_MS = 3_600_000
QUOTA_MB, ENOUGH_MB = 16, 4_096
"""The least that there may be, and what a day of such events fits into."""
ROWS = 3_800
"""Of a page each: nine tenths of the quota, and some more."""
ROOM_MB, LITTLE_MB = 300, 150
"""Of a disk: above and below 200 MiB."""


@asynccontextmanager
async def daemon(directory: Path, quota_mb: int = 512) -> AsyncIterator[Inside]:
    """Another one, that has been up for a minute."""
    await asyncio.to_thread(directory.mkdir, exist_ok=True)
    async with inside_of(directory, quota_mb=quota_mb) as other:
        other.state.started_s = time.monotonic() - 60
        yield other


@provokes("store_broken")
async def _taken_away(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
    async with daemon(directory / "taken-away") as other:
        file = other.state.store.path
        file.rename(directory / "gateway.db")
        with contextlib.suppress(StoreError):
            await asyncio.wrap_future(other.state.store.write(append(1)))
        yield other
        (directory / "gateway.db").rename(file)
    async with daemon(directory / "taken-away") as again:  # the daemon ends, and systemd starts it
        await gone(again, "store_broken")


@provokes("store_quarantined", "delete")
async def _damaged(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
    data_dir = directory / "damaged" / "gateway"
    with contextlib.closing(open_store(Settings(data_dir, "gw-1"))) as store:
        store.write(append(1)).result(10)
    spoil_header(data_dir / "gateway.db", random.Random(7))
    async with daemon(directory / "damaged") as other:
        yield other


# -- room ---------------------------------------------------------------------------------------------------------


def fills_up(code: str) -> None:
    """Provoke it by an hour of events that nearly fill the quota; a larger one mends it."""

    @provokes(code)
    async def _filled(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
        place = directory / code
        hour_ago_ms = time.time_ns() // 1_000_000 - HOUR_MS
        async with daemon(place, QUOTA_MB) as other:
            rows = (
                f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"  # noqa: S608
                " INSERT INTO events (source, generation, sequence, type, time_ms, boot_ms, day, clock, data)"
                f" SELECT 'bar', 7, i, 'picante.refilled.v1', {hour_ago_ms}, 0, 20717, 'known', zeroblob(3900) FROM n"
            )
            await asyncio.wrap_future(other.state.store.write(lambda tx: tx.connection.execute(rows)))
            yield other
        async with daemon(place, ENOUGH_MB) as again:
            await wait_until_async(lambda: again.web.board.facts, WITHIN_S, "its disk was looked at")
            await gone(again, code)


fills_up("store_filling")
fills_up("disk_fills")


@contextmanager
def disk(at: Path) -> Iterator[Path]:
    """A disk of its own, in memory, that has room."""
    skip_without_loop_devices()
    with tmpfs(at, ROOM_MB) as place:
        yield place


def resize(place: Path, kib: int) -> None:
    """Have the disk be so large."""
    subprocess.run(["mount", "-o", f"remount,size={kib}k", place], check=True)


@provokes("disk_low")
async def _low(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
    with disk(directory / "low") as place:
        async with daemon(place) as other:
            resize(place, LITTLE_MB * 1024)
            yield other
            resize(place, ROOM_MB * 1024)
            await gone(other, "disk_low")


@provokes("store_full")
async def _full(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
    with disk(directory / "full") as place:
        async with daemon(place) as other:
            resize(place, shutil.disk_usage(place).used // 1024 + 256)
            await asyncio.to_thread(fill, other.state.store)
            yield other
            resize(place, ROOM_MB * 1024)
            await gone(other, "store_full")
