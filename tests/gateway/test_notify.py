"""What systemd hears from a real daemon, and when it hears nothing any more."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway.notify import STATUS_EVERY_S, Notifier, _writer_answers
from gateway.store import QUEUE_LIMIT, Settings, Store, open_store
from gateway.transaction import Transaction
from heat.errors import StoreFull
from tests.flow.world import Process
from tests.gateway.systemd import Systemd
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until

LIMIT_S = 2.0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """A service manager that allows 2 s without a beat."""
    with closing(Systemd(tmp_path, LIMIT_S)) as manager:
        yield manager


@pytest.fixture
def page(tmp_path: Path) -> str:
    """Where the daemon's page will be."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def daemon(tmp_path: Path, systemd: Systemd, page: str) -> Iterator[Process]:
    """A daemon without dispensers, started by this service manager."""
    config = write_config(tmp_path, int(page.rpartition(":")[2]))
    process = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config), environment=systemd.environment)
    yield process
    process.kill()


def test_an_idle_daemon_says_when_it_is_ready_beats_and_says_when_it_stops(
    daemon: Process, systemd: Systemd, page: str
) -> None:
    wait_until(lambda: systemd.count("READY"), 90, daemon.said())
    assert httpx.get(f"{page}/readyz").is_success
    assert systemd.told[0] == {"READY": "1", "STATUS": "0 dispensers online, Kafka: none"}
    wait_until(lambda: systemd.count("WATCHDOG") >= 3 or systemd.expired(), 90, daemon.said())
    assert not systemd.expired()
    assert daemon.stop() == 0
    assert systemd.count("STOPPING") == systemd.count("READY") == 1


@pytest.mark.parametrize("freeze", [signal.SIGUSR1, signal.SIGUSR2], ids=["loop", "writer"])
def test_what_is_frozen_beats_no_more(daemon: Process, systemd: Systemd, page: str, freeze: signal.Signals) -> None:
    wait_until(lambda: systemd.count("WATCHDOG"), 90, daemon.said())
    daemon.process.send_signal(freeze)
    wait_until(systemd.expired, 4 * LIMIT_S, "the beats stop")
    assert daemon.process.poll() is None
    if freeze is signal.SIGUSR2:
        assert httpx.get(f"{page}/healthz").is_success, "the loop was to go on"


def test_a_socket_may_have_no_file() -> None:
    name = f"picante-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{name}")
        ear.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1", "STATUS=well")
        assert ear.recv(100) == b"READY=1\nSTATUS=well"


def test_a_socket_that_is_gone_or_full_holds_nothing_up(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.tell("WATCHDOG=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        for _ in range(10_000):
            notifier.tell("WATCHDOG=1")


def test_the_interval_is_half_of_what_is_allowed_to_this_process() -> None:
    assert Notifier({"WATCHDOG_USEC": "30000000"}).every_s == 15
    assert Notifier({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}).every_s == 1
    assert Notifier({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}).every_s == STATUS_EVERY_S
    assert Notifier({}).every_s == STATUS_EVERY_S


async def test_without_systemd_there_is_nothing_to_do(store: Store) -> None:
    await asyncio.wait_for(Notifier({}).run(store, asyncio.Event(), str), 20)


async def test_a_queue_that_stays_full_is_no_sign_of_life(store: Store) -> None:
    gate = threading.Event()
    assert await _writer_answers(store)
    store.write(lambda _transaction: gate.wait())
    with pytest.raises(StoreFull):
        while True:
            store.write(lambda _transaction: None)
    assert store._queue.qsize() == QUEUE_LIMIT
    assert not await _writer_answers(store)
    gate.set()


async def test_a_full_disk_is_nothing_that_a_restart_mends(tmp_path: Path) -> None:
    def fill(transaction: Transaction) -> None:
        transaction.set_meta("filler", "x" * 20_000_000)

    store = open_store(Settings(tmp_path / "data", "gw-1", quota_bytes=16 * 1024 * 1024, ballast_bytes=0))
    try:
        gate = threading.Event()
        store.write(lambda _transaction: gate.wait())
        refused, answers = store.write(fill), asyncio.create_task(_writer_answers(store))
        await asyncio.sleep(0)  # it has queued its work, which now fails with what fills the disk
        gate.set()
        with pytest.raises(StoreFull):
            await asyncio.wrap_future(refused)
        assert await answers
    finally:
        store.close()
