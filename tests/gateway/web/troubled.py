"""A shop that opens with a dozen things wrong at it, and what a test breaks and mends there. All parts are real.

Kafka is a secured one behind a door that is shut at first. The gateway's clock waits for the network's word, its bundle
is damaged, a port is silent, a dispenser is new, and of the night before there are readings of a leak and of a drift.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import shutil
import socket
import socketserver
import threading
import time
import tty
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.uplink import Uplink
from firmware_bridge.messages import Hello, NozzleInfo
from gateway.clock import Clock
from gateway.judge import Limits
from gateway.sample_file import FILE, SampleFile
from gateway.samples import Samples
from models.bundle import pretrained
from tests.cloud_sync.examples import pours
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import confirmed, running, settings
from tests.gateway.conftest import HandClock
from tests.gateway.web.conftest import Shop, open_shop
from tests.gateway.web.provoked.cabinet import Cabinet
from tests.gateway.web.provoked.of_machine import GOOD_UNTIL, THROTTLED, certified, put_back
from tests.secure_kafka import PASSWORD, USER, SecureKafka
from tests.servers import free_port

SCENARIO = """\
store = "mercado-12"

[[dispensers]]
id = "hot-bar-1"
nozzles = ["garden-green", "table-red", "chipotle-honey", "serrano-verde", "miso-piri", "reaper-raw"]

[[dispensers]]
id = "hot-bar-2"
nozzles = 12

[[dispensers]]
id = "bar-new"
nozzles = 3
factory_new = true
"""
CONFIG = """
[system]
root = "machine"

[clock]
trust = "ntp"
synchronised = "synchronized"

[picks]
bundle = "bundle"

[kafka]
bootstrap = "127.0.0.1:{port}"
tls = true
ca = "ca.pem"
username = "{user}"
password_file = "password"
"""
NIGHT_MS = 4 * 3_600_000
CHUNK_BYTES = 65_536


@dataclass
class Troubled:
    """The shop, and what is around it."""

    shop: Shop
    kafka: SecureKafka
    door: int
    """The port at which the gateway looks for Kafka."""
    silent: Path
    """The port at which nobody speaks."""
    gateway: str
    """Its name: Kafka is not this shop's alone."""

    @property
    def directory(self) -> Path:
        """Where gateway.toml is."""
        return self.shop.directory

    def power(self, bits: str) -> None:
        """What the firmware of the machine says of its supply."""
        (self.directory / "machine" / THROTTLED).write_text(f"{bits}\n")

    def authority(self, pem: bytes | None = None) -> None:
        """The certificate of whom the gateway trusts; left out: the one of Kafka's authority."""
        (self.directory / "ca.pem").write_bytes(pem or self.kafka.authority.certificate.read_bytes())

    def restored(self) -> None:
        """A backup was put back here."""
        put_back(self.directory / "gateway")

    def let_in(self) -> None:
        """Give the gateway the right password."""
        (self.directory / "password").write_text(PASSWORD)


@contextmanager
def open_troubled(directory: Path, kafka: SecureKafka) -> Iterator[Troubled]:
    """The shop; its door to Kafka is shut."""
    gateway, door = f"gw-{uuid.uuid4().hex[:8]}", free_port()
    kafka.let(gateway)
    _in_thread(_clone(directory, kafka.bootstrap, gateway))
    (directory / "machine" / THROTTLED).parent.mkdir(parents=True)
    shutil.copytree(pretrained(), directory / "bundle")
    damage(directory / "bundle")
    password = directory / "password"
    password.touch(0o600)
    password.write_text("correct horse buttery")
    (directory / "ca.pem").write_bytes(certified(GOOD_UNTIL))
    (directory / "gateway").mkdir()
    _in_thread(_night(directory / "gateway"))
    master, slave = os.openpty()
    tty.setraw(slave)
    silent = directory / "sim" / "ports" / "usb-picante-silent"
    try:
        with open_shop(directory, CONFIG.format(port=door, user=USER), SCENARIO, gateway=gateway) as shop:
            opened = Troubled(shop, kafka, door, silent, gateway)
            opened.power("50005")
            silent.symlink_to(os.ttyname(slave))
            yield opened
    finally:
        for end in (master, slave):
            os.close(end)


def damage(bundle: Path) -> None:
    """The last byte of its largest file is missing."""
    model = max(bundle.iterdir(), key=lambda file: file.stat().st_size)
    model.write_bytes(model.read_bytes()[:-1])


def _in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, whatever loop this thread has."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _clone(directory: Path, bootstrap: str, gateway: str) -> None:
    """A gateway of the same name sends an event."""
    with closing(SqliteOutbox(directory / "clone.db")) as outbox:
        outbox.append(pours(1, origin=gateway))
        async with running(Uplink(outbox, settings(bootstrap, gateway))):
            await confirmed(outbox, 1)


async def _night(data_dir: Path) -> None:
    """What the gateway stored of sensors before it was started: hot-bar-2 drifts, hot-bar-1 leaks."""
    hand = HandClock(time.time_ns() // 1_000_000 - NIGHT_MS)
    clock = Clock("system", hand, hand.boot_ns, data_dir / "nobody-says-so")
    clock.now()
    samples = Samples(SampleFile(data_dir / FILE, 2**24, "the boot before"), clock, Limits())
    drifting = Cabinet(samples, hand, _hello("hot-bar-2"))
    await drifting.go_on(60, pour_ml=20.0)
    drifting.plant.meters[1].pulses_per_ml *= 0.8
    await drifting.go_on(60, pour_ml=20.0)
    leaking = Cabinet(samples, hand, _hello("hot-bar-1"))
    await leaking.go_on(15)
    leaking.plant.nozzles[1].leak_ul_s = 1_500
    await leaking.go_on(2)
    leaking.plant.empty_tray(leaking.now_ms)  # or it would be told of, too
    await leaking.go_on(2)
    leaking.plant.empty_tray(leaking.now_ms)
    await leaking.go_on(1)
    samples.close()


def _hello(name: str) -> Hello:
    nozzles = (NozzleInfo(1, "table-red", 500),)
    return Hello(
        dispenser=name, firmware="1", versions=(1, 2), nozzles=nozzles, generation=1, lowest=1, next=1,
        nonce=bytes(8), boot=1, uptime_ms=0,
    )  # fmt: skip


# -- the door -----------------------------------------------------------------------------------------------------


class _Through(socketserver.BaseRequestHandler):
    """Carries bytes both ways, until either end is over."""

    def handle(self) -> None:
        assert isinstance(self.server, _Door)
        with socket.create_connection(self.server.to) as inner, selectors.DefaultSelector() as ready:
            other = {self.request: inner, inner: self.request}
            for end in other:
                ready.register(end, selectors.EVENT_READ)
            with contextlib.suppress(OSError):
                while True:
                    for key, _ in ready.select():
                        if not (data := key.fileobj.recv(CHUNK_BYTES)):  # type: ignore[union-attr]
                            return
                        other[key.fileobj].sendall(data)


class _Door(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    to: tuple[str, int]


@contextmanager
def opened(troubled: Troubled) -> Iterator[None]:
    """Kafka can be reached."""
    host, port = troubled.kafka.at("LOGIN").split(":")
    with _Door(("127.0.0.1", troubled.door), _Through) as door:
        door.to = host, int(port)
        carrying = threading.Thread(target=door.serve_forever, args=(0.05,))
        carrying.start()
        try:
            yield
        finally:
            door.shutdown()
            carrying.join()
