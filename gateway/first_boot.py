"""A gateway that has no name yet: it serves its setup, and nothing else, until somebody answered."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Collection
from contextlib import closing

from gateway.access.access import open_access
from gateway.config import Config, nameless
from gateway.notify import Notifier
from gateway.setup_code import tell_code
from gateway.web.entry.alone import make_alone
from gateway.web.entry.bare import Entry
from gateway.web.entry.setup import Setup
from gateway.web.server import Doors, open_leaf, serve_doors


async def run_first_boot(config: Config, unnamed: Collection[str]) -> bool:
    """Serve the setup until it is done, or the daemon is told to stop. Returns whether to start anew.

    Raises:
        ConfigError: the configured address can't be listened on, or it had a name, and lost it.
        StoreError: the data directory can't be written.
    """
    with closing(open_access(config.path(config.gateway.data_dir))) as access:
        stopping, done = asyncio.Event(), asyncio.Event()

        def restart() -> None:
            done.set()
            stopping.set()

        setup = Setup(access, config, restart)
        if await setup.go_on():
            return True
        tell_code(access)
        if not access.setup_open:
            raise nameless(config, unnamed)  # setup never comes back by itself
        for told in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(told, stopping.set)
        leaf = await open_leaf(config)
        entry = Entry(access, config)
        names = frozenset if leaf is None else lambda: leaf.names
        page, console = make_alone(entry, setup, names)
        notifier = Notifier()
        doors = Doors(config, page, console, stopping, asyncio.Event())
        await serve_doors(doors, leaf, lambda: None, _beat(notifier))
        return done.is_set()


async def _beat(notifier: Notifier) -> None:
    word = "READY=1"
    while True:
        notifier.tell(word, "STATUS=waits for its setup")
        word = "WATCHDOG=1"
        await asyncio.sleep(notifier.every_s)
