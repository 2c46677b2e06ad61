"""An uplink to be killed: python -m tests.cloud_sync.uplink_process FILE BOOTSTRAP GATEWAY kafka|sqlite."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, cast

from cloud_sync.settings import UplinkSettings
from cloud_sync.uplink import Uplink
from heat.errors import SinkUnavailable
from tests.cloud_sync.sqlite_outbox import SqliteOutbox

BACKOFF_S = 0.1


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


async def main(path: str, bootstrap: str, gateway: str, position: str) -> None:
    """Send what the file holds until killed, or ended by SIGTERM."""
    settings = UplinkSettings(
        bootstrap, gateway, position=cast(Literal["kafka", "sqlite"], position), batch=500, interval_s=0.05
    )
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.closing(SqliteOutbox(Path(path))) as outbox:
        await supervise(Uplink(outbox, settings))


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(*sys.argv[1:]))
