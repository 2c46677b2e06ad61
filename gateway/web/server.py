"""The web server: uvicorn in the daemon's own event loop; in clear on this machine alone, by HTTPS to the network.

`app` decides when the daemon ends and owns the signals; this part follows `stopping` and its own cancellation, and
ends the event streams of open browsers, so that nobody's page keeps the daemon from stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from cloud_sync.unix_http import short_path
from gateway.config import LOOPBACK, Config, HttpSection
from gateway.web.application import make_applications
from gateway.web.leaf import Leaf
from gateway.web.reach import PLAIN_PORTS, make_reach
from gateway.web.web import Web
from heat.errors import ConfigError, StoreError

log = logging.getLogger("gateway.web")

SOCKET = "gateway.sock"
"""In the data directory: whoever may open it is the console."""
CLOSE_TIMEOUT_S = 1
"""s that answers under way may still take once the daemon stops."""
MAX_CONNECTIONS = 200
"""Connections at a time; whoever comes later gets a 503."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What answers, and until when."""

    config: Config
    page: ASGIApp
    """Answers browsers and programs."""
    console: ASGIApp
    """Answers whoever may open the console's socket."""
    stopping: asyncio.Event
    closing: asyncio.Event
    """Set as soon as it ends: event streams end with it."""


async def serve(web: Web, on_answering: Callable[[], object]) -> None:
    """Serve until the gateway's `stopping` is set or the task is cancelled; either way it ends within 2 s.

    `on_answering` is called once, when requests are answered from then on.

    Raises:
        ConfigError: the configured address can't be listened on.
    """
    web.leaf = await open_leaf(web.state.config)
    page, console = await asyncio.to_thread(make_applications, web)
    doors = Doors(web.state.config, page, console, web.state.stopping, web.closing)
    await serve_doors(doors, web.leaf, on_answering, web.watch.run(), web.board.run())


async def serve_doors(
    doors: Doors, leaf: Leaf | None, on_answering: Callable[[], object], *beside: Coroutine[Any, Any, None]
) -> None:
    """Answer at all doors, and run what is beside, as `serve` does."""
    http, data_dir = doors.config.http, doors.config.path(doors.config.gateway.data_dir)
    up = _Up(2, on_answering)
    try:
        page = _listen(http.host, http.port)
        with contextlib.ExitStack() as made:
            made.callback(page.close)
            console = _listen_console(data_dir / SOCKET)
            made.pop_all()
    except BaseException:
        for each in beside:
            each.close()
        raise
    answering = [
        _answering(doors.page, page, "web:uvicorn", up.one, leaf),
        _answering(doors.console, console, "web:console", up.one, None),
    ]
    log.info("the page is at %s://%s:%s/", "http" if leaf is None else "https", http.host, http.port)
    others: list[asyncio.Task[Any]] = [asyncio.create_task(each, name="web:beside") for each in beside]
    if leaf is not None:
        others.append(asyncio.create_task(leaf.keep(), name="web:leaf"))
        if (plain := _listen_plain(http)) is not None:
            answering.append(_answering(make_reach(doors.config, leaf), plain, "web:plain", lambda: None, None))
    await _until_told(doors, answering, others)


async def _until_told(doors: Doors, answering: Sequence[_Answering], others: Sequence[asyncio.Task[Any]]) -> None:
    """Let all of them work until the daemon stops, or one of them ends; then none of them is left."""
    stopping = asyncio.create_task(doors.stopping.wait(), name="web:stopping")
    serving = [each.task for each in answering]
    try:
        done, _ = await asyncio.wait([*serving, *others, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        for task in others:
            task.cancel()
        doors.closing.set()
        for each in answering:
            each.server.should_exit = True
        await asyncio.wait([*serving, *others])
        for each in answering:
            each.listener.close()
        (doors.config.path(doors.config.gateway.data_dir) / SOCKET).unlink(missing_ok=True)
    for task in done - {stopping}:
        task.result()


class _Up:
    """Tells once, when all servers are up."""

    def __init__(self, waits_for: int, tell: Callable[[], object]) -> None:
        self._waits_for = waits_for
        self._tell = tell

    def one(self) -> None:
        """One of them is."""
        self._waits_for -= 1
        if self._waits_for == 0:
            self._tell()


@dataclass(frozen=True, slots=True)
class _Answering:
    """A server at work on one listening socket."""

    server: _Server
    listener: socket.socket
    task: asyncio.Task[None]


def _answering(
    application: ASGIApp, listener: socket.socket, name: str, on_answering: Callable[[], object], leaf: Leaf | None
) -> _Answering:
    server = _Server(
        uvicorn.Config(
            application,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,  # paths hold pseudonyms
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=CLOSE_TIMEOUT_S,
            ssl_context_factory=None if leaf is None else lambda *_: leaf.context,
        ),
        on_answering,
    )
    return _Answering(server, listener, asyncio.create_task(server.serve([listener]), name=name))


async def open_leaf(config: Config) -> Leaf | None:
    """The certificate that the page is served with; None on this machine alone, where there is no need of one.

    Raises:
        ConfigError: the issuer's files can't be used.
        StoreError: there is no certificate yet, and no room for one.
    """
    if config.http.issuer is None:
        return None
    leaf = Leaf(config)
    try:
        await asyncio.to_thread(leaf.look, datetime.now(UTC))
    except OSError as error:
        if not leaf.names:
            where = config.path(config.gateway.data_dir)
            raise StoreError(
                f"the page's certificate can't be written: {error}", hint=f"Free space in {where}"
            ) from error
        log.warning("the page's certificate can't be made anew: %s", error)  # the one before does meanwhile
    return leaf


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_answering: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_answering = on_answering

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._on_answering()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError."""
    try:
        return _bound(host, port)
    except OSError as error:
        raise ConfigError(f"can't listen on {host}:{port}: {error.strerror}", hint=_remedy(error, port)) from error


def _listen_plain(http: HttpSection) -> socket.socket | None:
    """Where the one page in clear is served; None where it is not wanted, or not to be had."""
    if http.plain_port is None and http.host in LOOPBACK:
        return None
    for port in PLAIN_PORTS if http.plain_port is None else [http.plain_port] if http.plain_port else []:
        try:
            listener = _bound(http.host, port)
        except OSError as error:
            log.info("the page with the root certificate can't be on port %s: %s", port, error.strerror)
        else:
            log.info("the page with the root certificate is at http://%s:%s/", http.host, port)
            return listener
    return None


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named, so that asyncio knows the connections for TCP and turns Nagle's delay off: 40 ms an answer otherwise
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _listen_console(path: Path) -> socket.socket:
    """The console's listening socket, which no other user can open. Raises ConfigError."""
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)  # of a daemon that was killed: the data directory is ours alone
        with short_path(path) as short:
            listener.bind(short)
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{path}: {error.strerror}", hint="[gateway] data_dir has to be writable") from error
    finally:
        os.umask(mask)
    return listener


def _remedy(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Stop the program that has the port (ss -ltnp 'sport = {port}'), or set another [http] port"
    if error.errno == errno.EACCES:
        return "Ports below 1024 are for root: set [http] port to a higher one"
    return "Set [http] host to 127.0.0.1"
