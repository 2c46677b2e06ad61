"""What systemd is told: READY=1, STATUS=, WATCHDOG=1 and STOPPING=1, as sd_notify(3) has it. Without systemd, nothing.

Each WATCHDOG=1 stands for a piece of work that went the way of an event: from the event loop through the store's queue
to its writer's thread and back. If the loop is blocked, the writer hangs or the disk does, the beats stop, and systemd
restarts the daemon. What is only away (Kafka, ports, space on the disk) doesn't stop them: a restart would not help.

A message is a datagram of lines NAME=VALUE to the socket in NOTIFY_SOCKET; WATCHDOG_USEC says how far apart two beats
may lie. Made and started by `app`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping

from gateway.store import Store
from heat.errors import StoreBusy, StoreError, StoreFull

BEATS = 2
"""Beats within the time that systemd allows for one, as sd_watchdog_enabled(3) advises."""
STATUS_EVERY_S = 15.0
"""s between two of our lines in `systemctl status` where no watchdog asks for more."""


class Notifier:
    """The way to systemd, by the environment that it gave us."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # an abstract socket
            self._address = "\0" + self._address[1:]
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._limit_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 if watched else 0.0

    @property
    def every_s(self) -> float:
        """Seconds between two beats."""
        return min(self._limit_s / BEATS or STATUS_EVERY_S, STATUS_EVERY_S)

    def tell(self, *lines: str) -> None:
        """Send a message. One that can't be sent at once is dropped: the next beat says the same."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.setblocking(False)
            way.sendto("\n".join(lines).encode(), self._address)

    async def run(self, store: Store, ready: asyncio.Event, status: Callable[[], str]) -> None:
        """Say READY=1 once `ready` is set and the writer answers, then go on with beats until cancelled."""
        if not self._address:
            return
        await ready.wait()
        word = "READY=1"
        while True:
            if await _writer_answers(store):
                self.tell(word, f"STATUS={status()}")
                word = "WATCHDOG=1"
            await asyncio.sleep(self.every_s)


async def _writer_answers(store: Store) -> bool:
    """Whether a piece of work went through the store; as long as the writer hangs, this hangs with it."""
    try:
        answered = store.write(lambda _transaction: None)
    except StoreError:  # its queue is full, so nothing gets through; or it broke, and the daemon ends
        return False
    try:
        await asyncio.wrap_future(answered)
    except (StoreFull, StoreBusy):
        return True
    except StoreError:
        return False
    return True
