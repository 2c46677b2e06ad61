"""Safe mode: the configuration or the database can't be used, and yet somebody is told why, at the same address.

    start fails -> safe mode: a page with what is wrong -> every 10 s the start is tried -> it works: start anew

systemd sees a daemon that lives and is not ready (STATUS= says why). What another start would not mend (no such file, a
port that is taken, another daemon on the same data) ends the process as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.types import ASGIApp

from gateway import doctor, setup_file
from gateway.access.access import Access, open_access
from gateway.assembly import assemble
from gateway.backup import restoring
from gateway.config import Config, load_config, load_draft
from gateway.notify import Notifier
from gateway.salvage import salvage
from gateway.web.leaf import Leaf, check_issuer
from gateway.web.repairs.repair import Repair, ordered
from gateway.web.safe.application import closed, make_safe_applications
from gateway.web.safe.safe import Safe
from gateway.web.server import Doors, open_leaf, serve_doors
from heat.errors import ConfigError, PicanteError, StoreError

log = logging.getLogger("gateway.safe_mode")

EVERY_S = 10.0
"""s between two tries."""
BEAT_S = 5.0
"""s between two words to systemd, which gives up on a start after its TimeoutStartSec."""
MORE_US = 30_000_000
"""µs that each word asks for."""


async def run(path: Path, error: PicanteError) -> bool:
    """Tell what is wrong until it is mended (True), or until told to stop (False).

    Raises:
        ConfigError: the page can't be served either.
    """
    log.critical("the gateway can't run, and says why on its page: %s", error)
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for told in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(told, stopping.set)
    config, leaf = await _open_leaf(_config(path))
    names = frozenset if leaf is None else lambda: leaf.names
    pages: tuple[ASGIApp, ASGIApp]
    with contextlib.ExitStack() as held:
        access = _access(config)  # in this thread, which reads it
        if access is None:  # nor is there a place for the console's socket
            elsewhere = held.enter_context(TemporaryDirectory(prefix="picante-safe-"))
            gateway = config.gateway.model_copy(update={"data_dir": elsewhere})
            config = config.model_copy(update={"gateway": gateway})
            access = open_access(Path(elsewhere))
            safe, pages = Safe(config, access), (closed, closed)
        else:
            safe = Safe(config, access)
            pages = make_safe_applications(safe, names)
        held.callback(access.close)
        watch = _Watch(path, error, safe, stopping)
        doors = Doors(config, *pages, stopping, asyncio.Event())
        await serve_doors(doors, leaf, lambda: log.warning("safe mode: the page answers"), watch.look(), watch.beat())
    return watch.mended


@dataclass(slots=True)
class _Watch:
    """Looks again and again."""

    path: Path
    error: PicanteError
    safe: Safe
    stopping: asyncio.Event
    mended: bool = False

    async def look(self) -> None:
        """Try to start until it works."""
        while True:
            self.safe.repairs, self.safe.found = await self._found(), datetime.now(UTC)
            async with self.safe.looked:
                self.safe.looked.notify_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self.safe.woken.wait()
            self.safe.woken.clear()
            failed = None if self._ordered() else await asyncio.to_thread(_try, self.path)
            if failed is None:
                log.warning("what was wrong is mended: the gateway starts")
                self.mended = True
                self.stopping.set()
                await asyncio.Event().wait()
            else:
                self.error = failed

    def _ordered(self) -> bool:
        """Whether a backup is to be put back, which the next start does."""
        config = self.safe.config
        return restoring.ordered(config.path(config.gateway.data_dir))

    async def _found(self) -> list[Repair]:
        found = await doctor.examine(self.path, database=False)
        if isinstance(self.error, ConfigError):
            if not any(repair.code == "config_invalid" for repair in found):
                found.append(doctor.invalid("start", self.error))
        else:
            found.append(doctor.unusable(self.error))
        return ordered(found)

    async def beat(self) -> None:
        """Tell systemd that there is somebody, and that it is not the gateway."""
        notifier = Notifier()
        while True:
            why = str(self.error.args[0]).splitlines()[0]
            notifier.tell(f"EXTEND_TIMEOUT_USEC={MORE_US}", "WATCHDOG=1", f"STATUS=Safe mode: {why}")
            await asyncio.sleep(BEAT_S)


def _config(path: Path) -> Config:
    try:
        return load_config(path)
    except ConfigError:
        return salvage(path)


async def _open_leaf(config: Config) -> tuple[Config, Leaf | None]:
    """What the page is served with; on this machine alone where that can't be used."""
    try:
        return config, await open_leaf(config)
    except (ConfigError, StoreError) as error:
        log.error("the page is on this machine alone: %s", error)  # noqa: TRY400 -- a traceback says no more
        http = config.http.model_copy(update={"host": "127.0.0.1", "issuer": None, "issuer_key": None})
        return config.model_copy(update={"http": http}), None


def _access(config: Config) -> Access | None:
    """Who may come in; None where that can't be known."""
    directory = config.path(config.gateway.data_dir)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_access(directory)
    except (OSError, StoreError) as error:
        log.error("nobody can sign in: %s", error)  # noqa: TRY400 -- a traceback says no more
        return None


def _try(path: Path) -> PicanteError | None:
    """Why the gateway can't start; None: it can."""

    async def start() -> None:
        draft, unnamed = load_draft(path)
        if not unnamed or not setup_file.may_ask(draft.path(draft.gateway.data_dir)):  # else the setup is what starts
            config = load_config(path)
            check_issuer(config)
            async with assemble(config):
                pass

    try:
        asyncio.run(start())
    except PicanteError as error:
        return error
    return None
