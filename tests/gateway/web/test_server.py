"""The server in the daemon's loop: it ends with it, whatever browsers do, and says so when it can't begin."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from pydantic import TypeAdapter

from gateway.web import language
from gateway.web.server import _listen, serve
from gateway.web.web import Web
from heat.errors import ConfigError
from tests.gateway.web.conftest import Inside, Shop, inside_of
from tests.servers import free_port
from tests.waiting import wait_until_async

PROMISED_S = 5.0
"""s from SIGTERM to the end of the daemon, whoever looks at its page."""
ENDS_WITHIN_S = 10.0
"""A second is what answers get; streams that nobody ends are there for ever."""


@asynccontextmanager
async def open_stream(inside: Inside, path: str) -> AsyncIterator[AsyncIterator[str]]:
    """An event stream from which the first event has come."""
    async with inside.client.stream("GET", path, timeout=None) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        await anext(lines)
        yield lines


@pytest.mark.parametrize("path", ["/api/v1/stream", "/live/repairs/once"])
@pytest.mark.parametrize("how", ["stopping", "cancelled"])
async def test_it_ends_in_time_while_streams_are_open(tmp_path: Path, path: str, how: str) -> None:
    async with inside_of(tmp_path) as inside, open_stream(inside, path) as lines:
        if how == "stopping":
            inside.state.stopping.set()
        else:
            inside.serving.cancel()
        done, _ = await asyncio.wait([inside.serving], timeout=ENDS_WITHIN_S)
        assert done, f"not ended after {ENDS_WITHIN_S} s"
        assert inside.serving.cancelled() == (how == "cancelled")
        async for _ in lines:  # the stream was ended, not cut: it reads to its end
            pass


async def test_its_port_is_free_again_afterwards(tmp_path: Path) -> None:
    async with inside_of(tmp_path) as inside:
        port = inside.state.config.http.port
        inside.state.stopping.set()
        await asyncio.wait_for(inside.serving, ENDS_WITHIN_S)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


async def test_a_busy_port_is_a_matter_of_configuration(inside: Inside) -> None:
    port = inside.state.config.http.port
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: Address already in use.*another .http. port"):
        await serve(Web(inside.state), lambda: None)
    assert (await inside.client.get("/healthz")).is_success  # the one who has it goes on


async def test_the_first_to_ask_finds_all_made_that_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_loop: list[str] = []

    def noting(what: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*values: Any, **more: Any) -> Any:
            if asyncio.events._get_running_loop() is not None:
                on_the_loop.append(what)
            return make(*values, **more)

        return made

    monkeypatch.setattr(language, "read_po", noting("messages", read_po))
    monkeypatch.setattr(TypeAdapter, "__init__", noting("what a route takes and gives", TypeAdapter.__init__))
    for cache in (language.language, language._messages):
        cache.cache_clear()
    async with inside_of(tmp_path) as inside:
        for path in ("/", "/dispensers"):
            assert '<html lang="es"' in (await inside.client.get(path, headers={"accept-language": "es"})).text
    assert on_the_loop == []


async def test_it_leaves_the_signals_to_the_daemon(inside: Inside) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    inside.state.stopping.set()
    await inside.serving
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_it_leaves_no_tasks(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with inside_of(tmp_path) as inside:
        async with open_stream(inside, "/live/repairs/once"):
            pass
        inside.state.stopping.set()
        await inside.serving
    await wait_until_async(lambda: asyncio.all_tasks() <= before, 2, "no task is left")


def test_the_daemon_ends_in_time_while_a_stream_is_open(shop: Shop) -> None:
    with shop.client.stream("GET", "/live/repairs/once") as answer:
        next(answer.iter_lines())
        assert shop.gateway.stop(within_s=PROMISED_S) == 0


async def test_answers_do_not_wait_for_the_acknowledgement_of_their_heads() -> None:
    listener = _listen("127.0.0.1", free_port())
    found: asyncio.Queue[int] = asyncio.Queue()

    def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.put_nowait(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(accepted, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        no_delay = await asyncio.wait_for(found.get(), 20)
        writer.close()
        await writer.wait_closed()
    assert no_delay != 0
