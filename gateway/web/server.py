"""The web server: uvicorn in the daemon's own event loop, on a loopback address.

`app` decides when the daemon ends and owns the signals; this part follows `stopping` and its own cancellation, and
ends the event streams of open browsers, so that nobody's page keeps the daemon from stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn

from gateway.config import HttpSection
from gateway.web.application import make_application
from gateway.web.web import Web
from heat.errors import ConfigError

log = logging.getLogger("gateway.web")

CLOSE_TIMEOUT_S = 1
"""s that answers under way may still take once the daemon stops."""
MAX_CONNECTIONS = 200
"""Connections at a time; whoever comes later gets a 503."""


async def serve(web: Web, on_answering: Callable[[], object]) -> None:
    """Serve until the gateway's `stopping` is set or the task is cancelled; either way it ends within 2 s.

    `on_answering` is called once, when requests are answered from then on.

    Raises:
        ConfigError: the configured address can't be listened on.
    """
    http = web.state.config.http
    listener = _listen(http)
    server = _Server(
        uvicorn.Config(
            make_application(web),
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
        ),
        on_answering,
    )
    log.info("the page is at http://%s:%s/", http.host, http.port)
    answering = asyncio.create_task(server.serve([listener]), name="web:uvicorn")
    watching = asyncio.create_task(web.watch.run(), name="web:watch")
    stopping = asyncio.create_task(web.state.stopping.wait(), name="web:stopping")
    try:
        done, _ = await asyncio.wait([answering, watching, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        watching.cancel()
        web.closing.set()
        server.should_exit = True
        await asyncio.wait([answering, watching])
        listener.close()
    for task in done - {stopping}:
        task.result()


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


def _listen(http: HttpSection) -> socket.socket:
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    # named, so that asyncio knows the connections for TCP and turns Nagle's delay off: 40 ms an answer otherwise
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((http.host, http.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"can't listen on {http.host}:{http.port}: {error.strerror}", hint=_remedy(error, http.port)
        ) from error
    listener.setblocking(False)
    return listener


def _remedy(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Stop the program that has the port (ss -ltnp 'sport = {port}'), or set another [http] port"
    if error.errno == errno.EACCES:
        return "Ports below 1024 are for root: set [http] port to a higher one"
    return "Set [http] host to 127.0.0.1"
