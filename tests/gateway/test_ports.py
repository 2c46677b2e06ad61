"""Which ports there are: two names of one device, names that lead elsewhere, ports that come and go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_sync.supervisor import Supervisor
from firmware_bridge.serial_link import SerialLink
from gateway import ports
from gateway.ports import Ports, Rates, find
from heat.errors import PortBusy, PortMissing
from tests.waiting import wait_until_async


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A /dev with two devices, each with a name that stays."""
    (tmp_path / "by-id").mkdir()
    for number, name in enumerate(("a", "b")):
        (tmp_path / f"tty{number}").touch()
        (tmp_path / "by-id" / name).symlink_to(tmp_path / f"tty{number}")
    return tmp_path


def test_names_and_their_devices(dev: Path) -> None:
    assert find([f"{dev}/by-id/*"]) == {f"{dev}/by-id/a": f"{dev}/tty0", f"{dev}/by-id/b": f"{dev}/tty1"}
    assert find([f"{dev}/none/*", f"{dev}/none"]) == {}


def test_two_names_of_a_device_are_one_port(dev: Path) -> None:
    assert list(find([f"{dev}/by-id/a", f"{dev}/tty*"])) == [f"{dev}/by-id/a", f"{dev}/tty1"]
    assert list(find([f"{dev}/tty*", f"{dev}/by-id/*", f"{dev}/tty1"])) == [f"{dev}/tty0", f"{dev}/tty1"]


def test_a_name_that_leads_nowhere_is_no_port(dev: Path) -> None:
    (dev / "tty0").unlink()
    assert list(find([f"{dev}/by-id/*", f"{dev}/by-id/a"])) == [f"{dev}/by-id/b"]


def test_a_server_is_always_there() -> None:
    assert find(["socket://a:1", "socket://a:1", "rfc2217://[::1]:2"]) == {
        "socket://a:1": "socket://a:1",
        "rfc2217://[::1]:2": "rfc2217://[::1]:2",
    }


def test_the_first_rate_that_fits() -> None:
    rates = Rates(115_200, {"/dev/by-id/slow": 9_600, "/dev/by-id/*": 57_600, "rfc2217://[::1]:2": 19_200})
    named = ["/dev/by-id/slow", "/dev/by-id/other", "/dev/ttyS0", "rfc2217://[::1]:2"]
    assert [rates.of(port) for port in named] == [9_600, 57_600, 115_200, 19_200]


class Dummy(SerialLink):
    """A link that notes in `seen` when it runs, and when it ends."""

    def __init__(self, port: str, baud: int, seen: list[str]) -> None:
        self.port = port
        self.baud = baud
        self.failure = None
        self._seen = seen

    async def run(self) -> None:
        """Be at a port until cancelled, or fail as a port in use does."""
        name = Path(self.port).name
        if (Path(self.port).parent / f"{name}.used").exists():
            self.failure = PortBusy(f"{name} is in use")
            raise self.failure
        self.failure = None
        self._seen.append(f"+{name}={find([self.port])[self.port].rpartition('/')[2]}@{self.baud}")
        try:
            await asyncio.Event().wait()
        finally:
            self._seen.append(f"-{name}")


@contextlib.asynccontextmanager
async def watched(dev: Path, links: dict[str, SerialLink], supervisor: Supervisor) -> AsyncIterator[list[str]]:
    """Ports that are watched; what their links did."""
    seen: list[str] = []
    rates = Rates(115_200, {"*/a": 9_600})
    watching = Ports([f"{dev}/by-id/*"], rates, supervisor, links, lambda port, baud: Dummy(port, baud, seen))
    task = asyncio.create_task(watching.run())
    yield seen
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_ports_come_and_go_and_lead_elsewhere(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LOOK_EVERY_S", 0.01)
    links: dict[str, SerialLink] = {}
    supervisor = Supervisor()
    a, b = dev / "by-id" / "a", dev / "by-id" / "b"
    async with watched(dev, links, supervisor) as seen:
        await wait_until_async(lambda: seen == ["+a=tty0@9600", "+b=tty1@115200"], 5, "both are served")
        seen.clear()
        for name, device in ((a, "tty1"), (b, "tty0")):  # both adapters come up in the other order
            fresh = dev / f"new-{name.name}"
            fresh.symlink_to(dev / device)
            fresh.replace(name)
        await wait_until_async(lambda: {"+a=tty1@9600", "+b=tty0@115200"} <= set(seen), 5, "both where they are now")
        assert seen.index("-a") < seen.index("+a=tty1@9600"), "a device is closed before it is opened anew"
        assert set(links) == {str(a), str(b)}
        seen.clear()
        a.unlink()
        await wait_until_async(lambda: seen == ["-a"], 5, "one went, the other was left alone")
        assert set(links) == {str(b)}
        assert set(supervisor.parts) == {f"serial:{b}"}
        a.symlink_to(dev / "tty1")
        await wait_until_async(lambda: seen == ["-a", "+a=tty1@9600"], 5, "it came back")
    assert sorted(seen) == ["+a=tty1@9600", "-a", "-a", "-b"]


async def test_a_failure_is_told_until_the_port_is_open(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LOOK_EVERY_S", 0.01)
    links: dict[str, SerialLink] = {}
    used, a = dev / "by-id" / "a.used", str(dev / "by-id" / "a")
    used.touch()
    told: list[PortMissing | None] = []
    async with watched(dev / "", links, Supervisor()) as seen:

        def free_now() -> bool:
            told.append(links[a].failure if a in links else None)
            if links.get(a) is not None and len(told) > 50:
                used.unlink(missing_ok=True)
            return "+a=tty0@9600" in seen

        await wait_until_async(free_now, 8, "the port was taken when it was free")
        assert links[a].failure is None
    first = next(i for i, failure in enumerate(told) if failure is not None)
    assert None not in told[first:-1]
