"""Ports that are not what they should be: held by others, forbidden, silent, babbling, of odd rates."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from firmware_bridge import serial_link
from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import encode_message
from firmware_bridge.framing import MAX_FRAME_BYTES
from firmware_bridge.line import open_line
from firmware_bridge.messages import HelloRequest
from firmware_bridge.serial_link import BABBLE_BYTES, BABBLE_BYTES_S, READ_BYTES, SerialLink
from firmware_bridge.tap import NoTap, Tap
from gateway.config import RATES
from heat.errors import PortBusy, PortForbidden, PortMissing
from tests.firmware_bridge.gate import KEY, KeepingGate
from tests.hand_device import HandDevice
from tests.waiting import wait_until_async

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=4_000, duration_ms=700)
NOBODY = 65_534
TCGETS2 = 0x802C542A
"""asm-generic's, as x86 and ARM have it."""


class Pty:
    """The two ends of a port: `master` is whatever is plugged in."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.name = os.ttyname(self.slave)


@pytest.fixture
def pty() -> Iterator[Pty]:
    made = Pty()
    yield made
    os.close(made.master)
    os.close(made.slave)


@pytest.fixture
def gate() -> KeepingGate:
    return KeepingGate("hand-1")


class Meter(NoTap):
    """Counts the bytes that are read."""

    read = 0

    def serial(self, link: str, way: Literal["up", "down"], data: bytes) -> None:
        """See `Tap.serial`."""
        self.read += len(data) if way == "up" else 0


@contextlib.contextmanager
def serving(port: str, gate: KeepingGate, tap: Tap | None = None) -> Iterator[SerialLink]:
    link = SerialLink(port, 115_200, gate, gate, tap)
    task = asyncio.create_task(link.run())
    yield link
    task.cancel()


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """No rights beyond those of a user whom nothing belongs to; without root it is ours that count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# -- held, forbidden, no port -----------------------------------------------------------------------------------------


LOCK = "import fcntl, sys; f = open(sys.argv[1], 'rb+', 0); fcntl.flock(f, fcntl.LOCK_EX); print(); sys.stdin.read()"


@contextlib.contextmanager
def locked_by_another(port: str) -> Iterator[str]:
    """A program that has locked the port; its name and number."""
    command = [sys.executable, "-c", LOCK, port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield f"{Path(f'/proc/{holder.pid}/comm').read_text().strip()}, process {holder.pid}"
        holder.kill()


async def test_a_port_that_another_program_has_locked(pty: Pty) -> None:
    with locked_by_another(pty.name) as holder, pytest.raises(PortBusy, match=f"{pty.name} is in use by {holder}"):
        await open_line(pty.name, 115_200)
    (await open_line(pty.name, 115_200)).close()


async def test_a_port_that_is_open_for_one_alone(pty: Pty) -> None:
    os.chmod(pty.name, 0o666)  # noqa: PTH101, S103 -- a PTY of this test
    fcntl.ioctl(pty.slave, 0x540C)  # TIOCEXCL: root may open it all the same
    with unprivileged(), pytest.raises(PortBusy, match="in use by another program"):
        await open_line(pty.name, 115_200)


async def test_a_port_that_may_not_be_opened(pty: Pty) -> None:
    os.chmod(pty.name, 0)  # noqa: PTH101 -- a PTY of this test
    with unprivileged(), pytest.raises(PortForbidden, match="into the group (tty|dialout)"):
        await open_line(pty.name, 115_200)


async def test_what_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PortMissing, match=r"file can't be used: .* Check that it is a serial port"):
        await open_line(str(tmp_path / "file"), 115_200)
    with pytest.raises(PortMissing, match=r"none is not there\. Check the cable"):
        await open_line(str(tmp_path / "none"), 115_200)


async def test_no_descriptor_is_left_where_opening_fails(tmp_path: Path, pty: Pty) -> None:
    (tmp_path / "file").touch()
    held = await open_line(pty.name, 115_200)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- numbers
    for port in (str(tmp_path / "file"), str(tmp_path / "none"), pty.name):
        with pytest.raises(PortMissing):
            await open_line(port, 115_200)
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 -- numbers
    held.close()


async def test_an_open_port_is_one_descriptor_and_stays_locked(pty: Pty) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count
    held = await open_line(pty.name, 115_200)
    assert len(os.listdir("/proc/self/fd")) == before + 1  # noqa: PTH208 -- a count
    with pytest.raises(PortBusy):
        await open_line(pty.name, 115_200)
    held.close()


async def test_what_a_device_does_not_take_is_dropped_when_the_port_is_closed(pty: Pty) -> None:
    """On a real UART closing would wait up to 30 s for it, and hold up every other port."""
    line = await open_line(pty.name, 115_200)
    written = 0
    with pytest.raises(BlockingIOError):
        while True:
            written += os.write(line.fd, bytes(4_096))
    line.close()
    os.set_blocking(pty.master, False)
    taken = 0
    with contextlib.suppress(OSError):  # there is no more
        while content := os.read(pty.master, 65_536):
            taken += len(content)
    assert taken < written / 2, "what the kernel had handed over already is all that is left"


@pytest.mark.parametrize("baud", RATES)
async def test_every_rate_reaches_the_port(pty: Pty, baud: int) -> None:
    line = await open_line(pty.name, baud)
    settings = array.array("I", [0] * 11)  # struct termios2: its last two words are the rates
    fcntl.ioctl(pty.slave, TCGETS2, settings)
    line.close()
    assert settings[-2:].tolist() == [baud, baud]


# -- silent, babbling -------------------------------------------------------------------------------------------------


async def test_a_port_on_which_nothing_speaks(pty: Pty, gate: KeepingGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_link, "DUMB_S", 0.3)
    with serving(pty.name, gate) as link:
        await wait_until_async(lambda: link._line is not None, 5, "it is open")
        assert link.complaint is None
        await wait_until_async(lambda: link.complaint == "silent", 5, "it is told of")


async def test_a_console_that_says_a_line(pty: Pty, gate: KeepingGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_link, "DUMB_S", 0.3)
    with serving(pty.name, gate) as link:
        await wait_until_async(lambda: link._line is not None, 5, "it is open")
        os.write(pty.master, b"login: ")
        await wait_until_async(lambda: link.complaint == "foreign", 5, "it is told of")


async def test_an_echo_is_nobody(pty: Pty, gate: KeepingGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_link, "DUMB_S", 0.3)
    with serving(pty.name, gate) as link:
        await wait_until_async(lambda: link._line is not None, 5, "it is open")
        os.write(pty.master, encode_message(HelloRequest()))
        await wait_until_async(lambda: link.complaint == "foreign", 5, "it is told of")


NOISE = {
    "noise": "import os\nwhile True: os.write(1, os.urandom(4096))",
    "zeros": "import os\nwhile True: os.write(1, bytes(4096))",
    "shreds": "import os\nwhile True: os.write(1, bytes(2) + bytes((0, 1)) * 2047)",
    "no end": "import os\nwhile True: os.write(1, b'\\xff' * 4096)",
    "greetings": """
import os, time
from firmware_bridge.codec import encode_message
from firmware_bridge.messages import Hello, Pong
said = dict(firmware="1", versions=(1,), nozzles=(), generation=1, lowest=1, next=1, boot=1, uptime_ms=0)
nonce = bytes(8)
while True:
    hello = Hello(dispenser=f"x-{time.time_ns()}", nonce=nonce, **said)
    os.write(1, encode_message(hello) + encode_message(Pong(nonce=nonce)))
""",
    "boot log": "import os\nwhile True: os.write(1, b'[    0.000000] Booting Linux on physical CPU 0x0\\r\\n')",
}
"""Programs that write as fast as they can."""


@contextlib.contextmanager
def babbling(kind: str) -> Iterator[str]:
    """A port at whose other end such a program is; its name."""
    pty = Pty()
    with subprocess.Popen([sys.executable, "-c", NOISE[kind]], stdout=pty.master) as babbler:
        try:
            yield pty.name
        finally:
            babbler.kill()
            os.close(pty.master)
            os.close(pty.slave)


@pytest.mark.parametrize("kind", NOISE)
async def test_a_port_that_babbles_costs_little_and_is_told_of(kind: str, gate: KeepingGate, tmp_path: Path) -> None:
    good, meter = HandDevice(tmp_path / "good", "hand-1", KEY, sauces=("table-red",)), Meter()
    with good, babbling(kind) as port, serving(port, gate, meter) as bad, serving(str(good.port), gate):
        await wait_until_async(lambda: bad.complaint == "foreign", 10, "the babbler is told of")
        begun_s, begun_bytes = time.monotonic(), meter.read
        await asyncio.to_thread(good.open)
        for count in range(1, 6):
            babbled = meter.read
            good.send(good.event(POUR))
            await wait_until_async(lambda count=count: len(gate.waiting) == count, 5, "the other port is served")  # type: ignore[misc]
            await wait_until_async(lambda babbled=babbled: meter.read > babbled, 5, "the babbler is read on")  # type: ignore[misc]
        gate.store_all()
        await asyncio.to_thread(good.expect_ack, 5)
        took_s = time.monotonic() - begun_s
        assert meter.read - begun_bytes <= BABBLE_BYTES_S * took_s + 2 * READ_BYTES
        assert len(bad._decoder._pending) <= 2 * MAX_FRAME_BYTES
        assert kind == "zeros" or bad.link.bad.total() + len(gate.refusals) > 0
        assert bad.complaint == "foreign", "all the time"


async def test_a_dispenser_that_waits_for_its_key_is_no_babbler(gate: KeepingGate, tmp_path: Path) -> None:
    """Its HELLOs and what it printed while it booted are, at any length, what a dispenser says."""
    device, meter = HandDevice(tmp_path / "port", "new-1", KEY, sauces=("table-red",) * 12), Meter()
    with device, serving(str(device.port), gate, meter) as link:
        await wait_until_async(lambda: link._line is not None, 5, "it is open")
        device.write(b"rst:0x1 (POWERON_RESET)\r\n" * (BABBLE_BYTES // 20))
        await wait_until_async(lambda: link.complaint == "foreign", 5, "it babbles")
        for count in range(1, 21):
            link._greeted_s -= 1.0  # a second passes
            device.send(device.hello())
            await wait_until_async(lambda count=count: len(gate.refusals) == count, 5, "it is turned away")  # type: ignore[misc]
            assert link.complaint is None or count == 1
        assert meter.read > 2 * BABBLE_BYTES


async def test_a_dispenser_that_babbled_while_it_booted_is_served(gate: KeepingGate, tmp_path: Path) -> None:
    device = HandDevice(tmp_path / "port", "hand-1", KEY, sauces=("table-red",))
    with device, serving(str(device.port), gate) as link:
        await wait_until_async(lambda: link._line is not None, 5, "it is open")
        device.write(b"rst:0x1 (POWERON_RESET)\r\n" * (BABBLE_BYTES // 20))
        await wait_until_async(lambda: link.complaint == "foreign", 5, "it babbles")
        await asyncio.to_thread(device.open)
        await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
        assert link.complaint is None
