"""A gateway small enough to read, for dispensers on real ports: link sessions, and a disk in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from firmware_bridge.actions import Action, Arrived, Asked, Opened, Send
from firmware_bridge.codec import BadMessage, decode_message, encode_message
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.messages import Ask, DownMessage, EventMessage, Message, PickInfo, Picks
from firmware_bridge.session import LinkSession
from heat.catalog import default_catalog
from hw_sim.eeprom import Contents, Eeprom
from hw_sim.firmware import Firmware
from hw_sim.journal import Journal, Recorder
from hw_sim.keys import load_keys
from hw_sim.lines import Line
from hw_sim.mcu import Identity
from hw_sim.plant import Nozzle, Plant
from hw_sim.ring import Ring
from hw_sim.simulation import Simulation, port_path
from hw_sim.unit import Unit
from tests.firmware_bridge.pair import KEY, NAME, Disk

TWO = """
[[dispensers]]
id = "bar"
count = 2
baud = 0
ring = 256
nozzles = ["table-red", "mango-fresno", "garlic-ghost"]
"""
"""Two dispensers without a baud rate, as a scenario has them."""
SAUCES = ("table-red", "mango-fresno", "garlic-ghost")
TICK_S = 0.1


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def make_unit(directory: Path, make_line: Callable[[Firmware], Line], capacity: int = 1024) -> Unit:
    """A dispenser called `NAME` with three sauces, its ring and journal in `directory`."""
    ring = Ring.open(directory / "a.ring", capacity, lambda: 7)
    recorder = Recorder(NAME, ring, Journal(directory / "journal.jsonl"))
    nozzles = [Nozzle(number, default_catalog()[sauce]) for number, sauce in enumerate(SAUCES, start=1)]
    eeprom = Eeprom.open(directory / "a.eeprom", Contents(key=KEY))
    plant = Plant(nozzles, calibration=eeprom.pulses_per_ml, tare_ml=eeprom.tare_ml)
    return Unit(Identity(NAME, "1.0.0", KEY), plant, recorder, eeprom, secrets.token_bytes, make_line)


class Gateway:
    """The gateway's end of one line: `write` takes what goes down."""

    def __init__(self, disk: Disk, write: Callable[[DownMessage], None]) -> None:
        self.disk = disk
        self.arrived: list[EventMessage] = []
        self.asks: list[Ask] = []
        self.session = LinkSession(disk, secrets.token_bytes, now_ms())
        self.send = write

    def take(self, message: Message) -> None:
        """Take what came up."""
        self.perform(self.session.feed(message, now_ms()))

    def tick(self) -> None:
        """Let the session's timers run."""
        self.perform(self.session.tick(now_ms()))

    def perform(self, actions: Iterable[Action]) -> None:
        """Do what the session decided; every event is on disk at once."""
        for action in actions:
            match action:
                case Send(message):
                    self.send(message)
                case Arrived(event):
                    self.arrived.append(event)
                    self.disk.store(event)
                    self.perform(self.session.committed(event.generation, self.disk.durable(NAME, event.generation)))
                case Opened(hello, gap) if gap is not None:
                    self.disk.record_gap(hello.generation, *gap)
                case Asked(ask):
                    self.asks.append(ask)
                    picks = tuple(PickInfo.fitted(n, sauce, sauce, 7000, "try it") for n, sauce in [(2, SAUCES[1])])
                    self.send(Picks(nonce=ask.nonce, pick_id=f"p{len(self.asks)}", picks=picks))
                case _:
                    pass


class GatewayPort:
    """A gateway on a serial port, which it opens as any program would."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.gateway = Gateway(disk, self._send)
        self.lost = False
        self.received_bytes = 0
        self.first_s = self.last_s = 0.0
        self.bad = 0
        self.messages: list[Message] = []
        """What went either way."""
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._decoder = FrameDecoder()
        self.read_on()

    def read_on(self) -> None:
        """Read what comes."""
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def stop_reading(self) -> None:
        """Leave everything in the kernel."""
        asyncio.get_running_loop().remove_reader(self._fd)

    def write(self, content: bytes) -> None:
        """Write bytes down, whatever they are."""
        with contextlib.suppress(OSError):
            os.write(self._fd, content)

    def close(self) -> None:
        """Close the port."""
        self.stop_reading()
        os.close(self._fd)

    def _send(self, message: DownMessage) -> None:
        self.messages.append(message)
        self.write(encode_message(message, self.gateway.session.version))

    def _readable(self) -> None:
        try:
            received = os.read(self._fd, 65_536)
        except OSError:
            received = b""
        if not received:
            self.lost = True
            self.stop_reading()
            return
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        self.received_bytes += len(received)
        for frame in self._decoder.feed(received):
            message = frame if isinstance(frame, BadFrame) else decode_message(frame)
            if isinstance(message, BadFrame | BadMessage):
                self.bad += 1
            else:
                self.messages.append(message)
                self.gateway.take(message)


@contextlib.asynccontextmanager
async def gateway_at(path: Path, disk: Disk | None = None) -> AsyncIterator[GatewayPort]:
    """A gateway on a port, its timers running."""
    port = GatewayPort(path, disk or Disk())

    async def tick() -> None:
        while True:
            port.gateway.tick()
            await asyncio.sleep(TICK_S)

    ticking = asyncio.create_task(tick())
    try:
        yield port
    finally:
        ticking.cancel()
        port.close()


@contextlib.asynccontextmanager
async def gateways(simulation: Simulation, disk: Disk | None = None) -> AsyncIterator[tuple[Disk, list[GatewayPort]]]:
    """A gateway at every port."""
    disk = disk or Disk()
    disk.keys = load_keys(simulation.state / "keys.toml")
    async with contextlib.AsyncExitStack() as stack:
        ports = [port_path(simulation.state, name) for name in simulation.units]
        yield disk, [await stack.enter_async_context(gateway_at(port, disk)) for port in ports]


def arrived(ports: list[GatewayPort]) -> list[str]:
    ids = []
    for port in ports:
        hello = port.gateway.session.hello
        assert hello is not None
        ids += [f"{hello.dispenser}:{event.generation:08x}:{event.sequence}" for event in port.gateway.arrived]
    return ids
