"""Lines: serial ports that are real PTYs, and a broker that is away. A real Kafka is in test_repairs_page.py."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_bridge import serial_link
from gateway.config import MqttSection, SerialSection
from gateway.parts import ports, run_mqtt
from heat.errors import ConfigError, PortForbidden
from tests.gateway.web.conftest import Inside
from tests.gateway.web.provoked.registry import WITHIN_S, gone, provokes
from tests.servers import MosquittoServer, free_port
from tests.waiting import wait_until_async

NOISE = b"login: \r\n" * 1_000

# -- serial ports ---------------------------------------------------------------------------------------------------


@dataclass
class Cable:
    """A PTY: `name` leads to the end that the gateway opens."""

    name: Path
    master: int
    slave: int

    def pull(self) -> None:
        """Take it out."""
        self.name.unlink(missing_ok=True)


@asynccontextmanager
async def served(inside: Inside, port: str) -> AsyncIterator[None]:
    """The gateway looks after this port, until somebody took it out."""
    looking = asyncio.create_task(ports(inside.state, SerialSection(ports=(port,))).run())
    try:
        yield
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        inside.state.serial.clear()


@asynccontextmanager
async def cable(inside: Inside, directory: Path) -> AsyncIterator[Cable]:
    """A cable whose other end the test has."""
    master, slave = os.openpty()
    tty.setraw(slave)
    plugged = Cable(directory / "usb-picante-7", master, slave)
    plugged.name.symlink_to(os.ttyname(slave))
    try:
        async with served(inside, str(plugged.name)):
            yield plugged
            plugged.pull()
            await wait_until_async(lambda: not inside.state.serial, WITHIN_S, "the gateway has let go of it")
    finally:
        plugged.pull()
        for end in (master, slave):
            os.close(end)


@provokes("port_in_use")
async def _in_use(inside: Inside, directory: Path) -> AsyncIterator[None]:
    master, slave = os.openpty()
    tty.setraw(slave)
    name = directory / "usb-picante-8"
    name.symlink_to(os.ttyname(slave))
    with os.fdopen(os.open(os.ttyname(slave), os.O_RDWR | os.O_NOCTTY), "rb+", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        async with served(inside, str(name)):
            yield
            fcntl.flock(other, fcntl.LOCK_UN)
            open_now = lambda: any(link.connected for link in inside.state.serial.values())  # noqa: E731
            await wait_until_async(open_now, WITHIN_S, "it is taken")
    name.unlink()
    for end in (master, slave):
        os.close(end)


@provokes("port_silent")
async def _silent(inside: Inside, directory: Path) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serial_link, "DUMB_S", 0.5)
        async with cable(inside, directory):
            yield


@provokes("port_foreign")
async def _foreign(inside: Inside, directory: Path) -> AsyncIterator[None]:
    async with cable(inside, directory) as plugged:
        await wait_until_async(lambda: inside.state.serial, WITHIN_S, "it is opened")
        await asyncio.to_thread(os.write, plugged.master, NOISE[:4_000])
        yield


@provokes("port_unusable")
async def _unusable(inside: Inside, directory: Path) -> AsyncIterator[None]:
    (directory / "no-tty").touch()
    async with served(inside, str(directory / "no-tty")):
        yield
        (directory / "no-tty").unlink()
        await wait_until_async(lambda: not inside.state.serial, WITHIN_S, "the gateway has let go of it")


@provokes("port_unreachable")
async def _unreachable(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    port = free_port()
    async with served(inside, f"socket://127.0.0.1:{port}"):
        yield
        async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", port):
            open_now = lambda: any(link.connected for link in inside.state.serial.values())  # noqa: E731
            await wait_until_async(open_now, WITHIN_S, "it is taken")


@provokes("port_forbidden")
async def _forbidden(inside: Inside, directory: Path) -> AsyncIterator[None]:
    # the tests' user may be root, whom no port refuses
    async with cable(inside, directory):
        await wait_until_async(lambda: inside.state.serial, WITHIN_S, "it is opened")
        [link] = inside.state.serial.values()
        link.failure = PortForbidden("it may not be opened", hint="dialout")
        yield


@provokes("port_missing")
async def _missing(_inside: Inside, directory: Path) -> AsyncIterator[None]:
    (directory / "ttyUSB7").unlink()
    yield
    (directory / "ttyUSB7").touch()


@provokes("no_serial_port")
async def _none(inside: Inside, directory: Path) -> AsyncIterator[None]:
    yield
    async with cable(inside, directory):
        await wait_until_async(lambda: inside.state.serial, WITHIN_S, "it is opened")
        await gone(inside, "no_serial_port")
    # at the end of the test there is none again: what it asks for is in the line above


# -- the broker -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def mqtt(inside: Inside, section: MqttSection) -> AsyncIterator[None]:
    """The gateway serves this broker."""
    before = inside.state.config
    inside.state.config = before.model_copy(update={"mqtt": section})
    supervisor = inside.state.supervisor
    running = asyncio.create_task(supervisor.run("mqtt", lambda: run_mqtt(inside.state, section, None)))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])
        supervisor.parts.pop("mqtt", None)
        inside.state.config, inside.state.mqtt = before, None


@provokes("part_failing")
async def _broker_away(inside: Inside, directory: Path) -> AsyncIterator[None]:
    broker = MosquittoServer(directory / "mosquitto")
    async with mqtt(inside, MqttSection(port=broker.port)):
        yield
        await asyncio.to_thread(broker.start)
        try:
            await gone(inside, "part_failing")
        finally:
            broker.kill()


@provokes("part_stopped")
async def _stopped(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    # what would stop a part is refused at the start already: this is for what nobody foresees
    supervisor = inside.state.supervisor

    async def run() -> None:
        raise ConfigError("the password is none", hint="Mend gateway.toml")

    await supervisor.run("mqtt", run)
    yield
    del supervisor.parts["mqtt"]  # as after a restart
