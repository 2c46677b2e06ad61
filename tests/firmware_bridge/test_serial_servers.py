"""Ports of serial servers on the network: bytes alone, RFC 2217 as pyserial serves it, and servers that do neither."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cloud_sync.supervisor import Supervisor
from firmware_bridge import line
from firmware_bridge.bodies import PouredBody
from firmware_bridge.line import open_line
from firmware_bridge.messages import Ask, Picks
from firmware_bridge.serial_link import SerialLink
from gateway.ports import Ports, Rates
from heat.errors import LinkLost, PortUnreachable
from tests.firmware_bridge.gate import KEY, KeepingGate
from tests.hand_device import HandDevice
from tests.serial_servers import SerialServer
from tests.waiting import wait_until_async

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=255, duration_ms=65_535)
"""Its frames hold the byte FF."""
BAUD = 57_600
OPTIONS = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
SERVED_S = 5.0
"""s from the return of a server until its dispenser is served: promised."""


@pytest.fixture
def gate() -> KeepingGate:
    return KeepingGate("hand-1")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[HandDevice]:
    made = HandDevice(tmp_path / "port", "hand-1", KEY, generation=0xFFFFFFFF, sauces=("table-red",))
    with made:
        yield made


@pytest.fixture(params=["socket", "rfc2217"])
def server(device: HandDevice, request: pytest.FixtureRequest) -> Iterator[SerialServer]:
    with SerialServer(str(device.port), rfc2217=request.param == "rfc2217") as serving:
        yield serving


@contextlib.asynccontextmanager
async def served(url: str, gate: KeepingGate) -> AsyncIterator[dict[str, SerialLink]]:
    """The gateway's links, supervised."""
    links: dict[str, SerialLink] = {}
    supervisor = Supervisor()
    ports = Ports([url], Rates(BAUD, {}), supervisor, links, lambda port, baud: SerialLink(port, baud, gate, gate))
    task = asyncio.create_task(ports.run())
    yield links
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_events_and_picks(server: SerialServer, device: HandDevice, gate: KeepingGate) -> None:
    threads = threading.active_count()
    async with served(server.url, gate):
        await asyncio.to_thread(device.open)
        for _ in range(3):
            device.send(device.event(POUR))
        await wait_until_async(lambda: len(gate.waiting) == 3, 5, "three events arrived")
        gate.store_all()
        await asyncio.to_thread(device.expect_ack, 3)
        device.send(Ask(session=1, nonce=b"\xff" * 8))
        picks = await asyncio.to_thread(device.expect, Picks)
        assert picks.nonce == b"\xff" * 8
        assert threading.active_count() <= threads + 3, "none of ours but asyncio's pool"
    assert server.baud == (BAUD if "rfc2217" in server.url else 115_200)


async def test_a_server_that_restarts_is_found_again(
    server: SerialServer, device: HandDevice, gate: KeepingGate
) -> None:
    async with served(server.url, gate) as links:
        await asyncio.to_thread(device.open)
        await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
        descriptors = []
        for _ in range(2):
            await asyncio.to_thread(server.stop)
            await wait_until_async(lambda: links[server.url].failure is not None, 5, "it is told of")
            assert "can't be reached: Connection refused" in str(links[server.url].failure)
            assert gate.open == {}
            server.start()
            back_s = time.monotonic() + SERVED_S
            await wait_until_async(lambda: links[server.url].failure is None, SERVED_S, "it is found", promised=True)
            await asyncio.to_thread(device.open)
            left_s = back_s - time.monotonic()
            await wait_until_async(lambda: "hand-1" in gate.open, left_s, "the link is open again", promised=True)
            descriptors.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 -- a count
        assert descriptors[0] == descriptors[1]


async def test_a_server_that_falls_silent_is_left(server: SerialServer, device: HandDevice, gate: KeepingGate) -> None:
    """It holds the connection, and nothing comes: PING notices, as on any line. The clock is the test's."""
    link = SerialLink(server.url, BAUD, gate, gate)
    task = asyncio.create_task(link.run())
    await asyncio.to_thread(device.open)
    await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
    link.link.session._heard_ms -= 10_000
    with pytest.raises(LinkLost, match="fell silent"):
        await asyncio.wait_for(task, 20)
    assert gate.closings == ["silent"]


async def test_a_key_is_given_on_a_cable_and_not_over_the_network(gate: KeepingGate) -> None:
    given = [
        SerialLink(port, BAUD, gate, gate).link.session._terms.private for port in ("/dev/ttyUSB0", "socket://a:1")
    ]
    assert given == [True, False]


async def test_a_server_that_floods_with_talk_is_read_slowly(gate: KeepingGate) -> None:
    settled = b"\xff\xfd\x2c" + b"\xff\xfa\x2c\x65\x00\x00\xe1\x00\xff\xf0"
    with answering(settled + b"\xff\xf1" * 100_000) as port:
        link = SerialLink(f"rfc2217://127.0.0.1:{port}", BAUD, gate, gate)
        task = asyncio.create_task(link.run())
        await wait_until_async(lambda: link.complaint == "foreign", 5, "no operation is no message")
        assert link._pause is not None
        task.cancel()
        await asyncio.wait([task])


async def test_a_server_that_vanishes_without_a_word_is_noticed_by_tcp(server: SerialServer) -> None:
    """Its power or its network went, and no byte tells: TCP asks after 10 s, and gives up 10 s later."""
    opened = await open_line(server.url, BAUD)
    with socket.socket(fileno=os.dup(opened.fd)) as connection:
        settings = {name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in OPTIONS}
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    opened.close()
    asked_s = settings["TCP_KEEPIDLE"] + settings["TCP_KEEPINTVL"] * settings["TCP_KEEPCNT"]
    assert (asked_s, settings["TCP_USER_TIMEOUT"]) == (20, 20_000)
    assert settings["TCP_NODELAY"] == 1


# -- servers that are none --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A server that takes one connection, says so much, and nothing more; None: it takes none. Its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        if answer is None:
            yield listening.getsockname()[1]
            return

        def say() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(answer)
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=say)
        thread.start()
        yield listening.getsockname()[1]
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


async def test_a_server_without_rfc_2217(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "CONNECT_S", 0.3)
    with answering(b"\xff\xfe\x2c") as port, pytest.raises(PortUnreachable, match=r"it is none\. .* write socket://"):
        await open_line(f"rfc2217://127.0.0.1:{port}", 9600)
    with answering(b"SSH-2.0-OpenSSH_9.2") as port, pytest.raises(PortUnreachable, match="no answer in"):
        await open_line(f"rfc2217://127.0.0.1:{port}", 9600)
    with answering(None) as port, pytest.raises(PortUnreachable, match="no answer in"):
        await open_line(f"rfc2217://127.0.0.1:{port}", 9600)


async def test_a_server_that_sets_another_rate() -> None:
    set_to_19200 = b"\xff\xfa\x2c\x65\x00\x00\x4b\x00\xff\xf0"
    with answering(b"\xff\xfd\x2c" + set_to_19200) as port, pytest.raises(PortUnreachable, match="to 19200 baud, not"):
        await open_line(f"rfc2217://127.0.0.1:{port}", 9600)


async def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(PortUnreachable, match=r"socket://no\.such\.host\.invalid:1 can't be reached"):
        await open_line("socket://no.such.host.invalid:1", 9600)


async def test_what_fails_to_open_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "CONNECT_S", 0.2)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count
    for answer in (b"\xff\xfe\x2c", b"", None):
        with answering(answer) as port, pytest.raises(PortUnreachable):
            await open_line(f"rfc2217://127.0.0.1:{port}", 9600)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 -- a count


async def test_a_cancelled_opening_closes_what_it_opened() -> None:
    with answering(b"") as port:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count
        task = asyncio.create_task(open_line(f"rfc2217://127.0.0.1:{port}", 9600))
        await wait_until_async(lambda: len(os.listdir("/proc/self/fd")) > before, 5, "it is connecting")  # noqa: PTH208
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until_async(lambda: len(os.listdir("/proc/self/fd")) <= before, 5, "it is closed")  # noqa: PTH208
