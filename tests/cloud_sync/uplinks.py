"""Uplinks at work, here or in a process: python -m tests.cloud_sync.uplinks FILE BOOTSTRAP GATEWAY MODE.

MODE says who keeps the position: kafka, or sqlite.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from cloud_sync.settings import UplinkSettings
from cloud_sync.uplink import Uplink
from heat.errors import SinkUnavailable
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.waiting import wait_until_async

BACKOFF_S = 0.1
PATIENCE_S = 90.0


def settings(bootstrap: str, gateway: str, **changes: object) -> UplinkSettings:
    """Settings that make tests short."""
    members = {"interval_s": 0.05, "batch": 500, **changes}
    return UplinkSettings(bootstrap, gateway, **members)  # type: ignore[arg-type]


async def supervise(uplink: Uplink) -> None:
    """Run it again and again, as the gateway's supervisor does."""
    while True:
        with contextlib.suppress(SinkUnavailable):
            await uplink.run()
        await asyncio.sleep(BACKOFF_S)


@contextlib.asynccontextmanager
async def running(uplink: Uplink) -> AsyncIterator[asyncio.Task[None]]:
    """The uplink at work; cancelled at the end, as at SIGTERM."""
    task = asyncio.create_task(supervise(uplink), name="uplink")
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def process(
    outbox: SqliteOutbox, bootstrap: str, gateway: str, mode: str = "kafka"
) -> Iterator[subprocess.Popen[bytes]]:
    """An uplink of the same file, in a process of its own; killed at the end."""
    file = outbox.db.execute("PRAGMA database_list").fetchone()[2]
    command = [sys.executable, "-m", "tests.cloud_sync.uplinks", file, bootstrap, gateway, mode]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def progress(outbox: SqliteOutbox) -> int:
    """The confirmed position."""
    return int(outbox.db.execute("SELECT position FROM confirmed").fetchone()[0])


async def confirmed(outbox: SqliteOutbox, position: int) -> None:
    """Wait until a position is confirmed."""
    await wait_until_async(lambda: progress(outbox) >= position, PATIENCE_S, f"position {position} is confirmed")


async def connected(uplink: Uplink) -> None:
    """Wait until it has reached Kafka and has nothing to do."""
    await wait_until_async(lambda: uplink.status.state == "idle", PATIENCE_S, "the uplink is idle")


async def _main(file: str, bootstrap: str, gateway: str, mode: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.closing(SqliteOutbox(Path(file))) as outbox:
        await supervise(Uplink(outbox, settings(bootstrap, gateway, position=mode)))


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_main(*sys.argv[1:]))
