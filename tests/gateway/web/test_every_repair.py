"""Every repair is provoked, seen within 10 s, mended by its button or its steps, and gone within 10 s.

`PROVOKED` has one entry a code, and the last test holds its codes equal to the registry's. Each is a context: inside it
the thing is wrong, at its end somebody has mended it by hand, unless the repair's own button does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import namedtuple
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from firmware_bridge.bodies import PouredBody, RefilledBody
from firmware_bridge.link import Link
from firmware_bridge.messages import Hello, NozzleInfo
from firmware_bridge.serial_link import Complaint
from firmware_bridge.verbs import Identify
from gateway.adoption import STUBBORN, _Handing
from gateway.backup import restoring
from gateway.backup.archive import Header
from gateway.clock import Clock
from gateway.config import KeysSection, own_pseudonym_path
from gateway.forecast import Forecast
from gateway.lots import Bottle, Recall
from gateway.menus import Menus
from gateway.plausibility import Finding
from gateway.quarantine import copy_journal, quarantined
from gateway.releases import Report
from gateway.setup_file import MARK
from gateway.web.mending.fixes import FIXES
from gateway.web.repairs.kinds import KINDS
from heat.errors import (
    BrokerUnreachable,
    ConfigError,
    ForeignInstance,
    ModelError,
    PortBusy,
    PortForbidden,
    PortMissing,
    PortUnreachable,
    SinkRefused,
    SinkUnavailable,
    StoreError,
)
from tests.flow.world import ROOT
from tests.gateway.web.conftest import Down, Inside, inside_of
from tests.waiting import wait_until_async

WITHIN_S = 10.0
CONFIG = """\
[system]
root = "machine"

[kafka]
bootstrap = "kafka.example:9092"
tls = true
ca = "ca.pem"

[serial]
ports = ["/dev/serial/by-id/none-*", "{directory}/ttyUSB7"]
"""
Provoke = Callable[[Inside, Path], AbstractAsyncContextManager[None]]
PROVOKED: dict[str, Provoke] = {}
BUTTONS: dict[str, str] = {}
"""The button that mends it, by code."""
ELSEWHERE = {
    "config_invalid": "tests/gateway/test_safe_mode.py",
    "store_unusable": "tests/gateway/test_safe_mode.py",
    "daemon_down": "tests/gateway/test_doctor.py",
}
"""What a gateway that runs never tells: the files whose tests provoke it."""


def provokes(code: str, button: str | None = None) -> Callable[[Callable[[Inside, Path], AsyncIterator[None]]], None]:
    """Note a context as the one that provokes this code."""

    def note(make: Callable[[Inside, Path], AsyncIterator[None]]) -> None:
        PROVOKED[code] = asynccontextmanager(make)
        if button is not None:
            BUTTONS[code] = button

    return note


def setting(code: str, what: Callable[[Inside], Any], name: str, value: Any) -> None:
    """Provoke it by an attribute of the daemon's state, as whoever finds it out sets it."""

    @provokes(code)
    async def _set(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        owner = what(inside)
        before = getattr(owner, name)
        setattr(owner, name, value)
        yield
        setattr(owner, name, before)


# -- the store ------------------------------------------------------------------------------------------------------

setting("store_broken", lambda inside: inside.state.store, "broken", StoreError("disk I/O error", hint="Change it"))
setting("store_filling", lambda inside: inside.state.store.settings, "quota_bytes", 80_000)
setting("model_fallback", lambda inside: inside.state, "model_error", ModelError("model.onnx is not there"))
setting("home_untold", lambda inside: inside.state, "untold", {"hot-bar-1"})
setting("samples_held", lambda inside: inside.state.samples.file, "held", "disk")


@provokes("store_full")
async def _full(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    space = inside.state.store._space
    space._has_room = lambda: False  # type: ignore[method-assign]
    await asyncio.wrap_future(inside.state.store.write(lambda _tx: space.run_out(), upkeep=True))
    yield
    del space._has_room

    async def room() -> bool:
        with contextlib.suppress(StoreError):
            await asyncio.wrap_future(inside.state.store.write(lambda _tx: None, upkeep=True))
        return inside.state.store.full is None

    await wait_until_async(room, WITHIN_S, "the store has room")


@provokes("store_quarantined", "delete")
async def _aside(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    store = inside.state.store
    await asyncio.wrap_future(store.write(lambda tx: None))
    copy_journal(store.path, 3)
    store.quarantined = quarantined(store.settings.data_dir)
    yield


@provokes("dead_letters")
async def _refused(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello = inside.hello()
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="ketchup", volume_ul=5_000, duration_ms=900))
    yield
    [letter] = (await inside.json("/api/v1/dead-letters"))["letters"]
    path = f"/api/v1/dead-letters/{letter['position']}/dismiss"
    (await inside.client.post(path, json={"why": "a bottle of the cook's"})).raise_for_status()


@provokes("events_lost")
async def _lost(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    sql = "INSERT OR REPLACE INTO losses (dispenser, events, last_ms) VALUES ('hot-bar-1', 7, ?)"

    async def say(ms: float) -> None:
        await asyncio.wrap_future(inside.state.store.write(lambda tx: tx.connection.execute(sql, (int(ms),))))

    await say(time.time() * 1000)
    yield
    await say((time.time() - 2 * 86_400) * 1000)


# -- the machine ----------------------------------------------------------------------------------------------------


def machine(code: str, file: str, wrong: str, right: str) -> None:
    """Provoke it by a file of the kernel's."""

    @provokes(code)
    async def _say(_inside: Inside, directory: Path) -> AsyncIterator[None]:
        path = directory / "machine" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wrong)
        yield
        path.write_text(right)


THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
machine("under_voltage", THROTTLED, "50001\n", "50000\n")
machine("throttled", THROTTLED, "4\n", "0\n")


@provokes("flash_worn")
async def _worn(inside: Inside, directory: Path) -> AsyncIterator[None]:
    number = inside.state.store.settings.data_dir.stat().st_dev
    block = directory / "machine/sys/devices/mmcblk0"
    (block / "device").mkdir(parents=True)
    (block / "stat").write_text("1 0 8 1 1 0 8 1 0 1 1\n")
    (block / "size").write_text("60000000\n")
    (block / "device/type").write_text("MMC\n")
    (block / "device/life_time").write_text("0x0a 0x01\n")
    link = directory / f"machine/sys/dev/block/{number >> 8}:{number & 0xFF}"
    link.parent.mkdir(parents=True)
    link.symlink_to(block)
    yield
    (block / "device/life_time").write_text("0x01 0x01\n")


usage = namedtuple("usage", "total used free")  # noqa: PYI024 -- as shutil returns it


@provokes("disk_low")
async def _low(_inside: Inside, _directory: Path) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.web.repairs.facts.shutil.disk_usage", lambda _path: usage(0, 0, 50 * 1024**2))
        yield


@provokes("disk_fills")
async def _fills(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    looks = inside.web.board._reader._disk.looks
    looks.appendleft((time.monotonic() - 3_600, 10**15))
    yield
    looks.clear()


def certified(until: datetime) -> bytes:
    """A certificate that is good until then."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(until)
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM)


GOOD_UNTIL = datetime.now(UTC) + timedelta(days=400)


def certificate(code: str, days: int) -> None:
    """Provoke it by the date of a certificate that gateway.toml names."""

    @provokes(code)
    async def _dated(_inside: Inside, directory: Path) -> AsyncIterator[None]:
        (directory / "ca.pem").write_bytes(certified(datetime.now(UTC) + timedelta(days=days)))
        yield
        (directory / "ca.pem").write_bytes(certified(GOOD_UNTIL))


certificate("certificate_expires", 20)
certificate("certificate_expired", -1)


@provokes("access_broken")
async def _locked_out(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    access = inside.state.access
    (access.directory / MARK).touch(0o600)  # it had an owner before
    role = "UPDATE people SET role = ? WHERE role = ?"
    await access.file.write(lambda connection: connection.execute(role, (1, 3)))
    yield
    await access.file.write(lambda connection: connection.execute(role, (3, 1)))


@provokes("restored", "seen")
async def _restored(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    data_dir = inside.state.store.settings.data_dir
    header = Header("gw-1", "mercado-12", "south", "1", 1_700_000_000_000, 0, 0, (), {})
    plan = restoring.Plan("backup", header, "maria", 1_700_000_000_000)
    restoring.incoming(data_dir)
    (data_dir / restoring.DIRECTORY / restoring._DONE).write_bytes(msgspec.json.encode(plan))
    yield


@provokes("setup_incomplete")
async def _own_key(inside: Inside, directory: Path) -> AsyncIterator[None]:
    config = inside.state.config
    keys = KeysSection(dispensers=config.keys.dispensers, provisioning=config.keys.provisioning)
    inside.state.config = config.model_copy(update={"keys": keys})  # it names no pseudonym key
    brand, own = directory / "pseudonym.toml", own_pseudonym_path(config)
    own.write_bytes(brand.read_bytes())
    brand.rename(directory / "aside.toml")
    yield
    (directory / "aside.toml").rename(brand)


# -- time, parts, Kafka ---------------------------------------------------------------------------------------------


@provokes("clock_unknown")
async def _no_time(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    before, inside.state.clock = inside.state.clock, Clock(wall_ns=lambda: 0)
    yield
    inside.state.clock = before


@provokes("clock_jumped", "right")
async def _jumped(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    ahead_s = 0
    before, inside.state.clock = (
        inside.state.clock,
        Clock(wall_ns=lambda: time.time_ns() + ahead_s * 1_000_000_000),
    )
    inside.state.clock.now()
    ahead_s = 3_600
    yield
    inside.state.clock = before


def part(code: str, error: Exception) -> None:
    """Provoke it by a part that raises, until it does no more."""

    @provokes(code)
    async def _fail(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        mended = asyncio.Event()

        async def run() -> None:
            if not mended.is_set():
                raise error
            await asyncio.Event().wait()

        running = asyncio.create_task(inside.state.supervisor.run("mqtt", run))
        yield
        mended.set()
        running.cancel()
        await asyncio.wait([running])
        inside.state.supervisor.parts.pop("mqtt", None)


part("part_failing", BrokerUnreachable("MQTT broker: refused", hint="Is it running?"))
part("part_stopped", ConfigError("the password is none", hint="Mend gateway.toml"))


def kafka(code: str, error: Any, button: str | None = None) -> None:
    """Provoke it by what the way to Kafka meets."""

    @provokes(code, button)
    async def _meet(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        uplink = inside.state.uplink
        assert uplink is not None
        uplink._tell(error)
        uplink.status.foreign_instance = "ab12" if button else None
        yield
        if button is None:
            uplink._enter("idle")


kafka("sync_unreachable", SinkUnavailable("kafka.example: no route", hint="Check the network"))
kafka("sync_refused", SinkRefused("kafka.example refuses user gw-1", hint="Mend password_file"))
kafka("sync_foreign", ForeignInstance("written by ab12", hint="Let this one go on"), "go-on")


@provokes("heartbeat_failing")
async def _unheard(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    uplink = inside.state.uplink
    assert uplink is not None
    uplink._enter("idle")
    uplink.pulse.failed(SinkRefused("no Write on picante.gateways.v1"))
    yield
    uplink.pulse.sent()


@provokes("release_refused")
async def _release(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        refused = Report("bundle", "gateway:gw-1", 7, "ab" * 32, "refused", "made for other features")
        patch.setattr(inside.state.releases, "report", lambda: [refused])
        yield


# -- dispensers -----------------------------------------------------------------------------------------------------


def stranger(name: str = "bar-7", versions: tuple[int, ...] = (1, 2)) -> Hello:
    """One that is not known."""
    return Hello(
        dispenser=name, firmware="1", versions=versions, nozzles=(NozzleInfo(1, "table-red", 500),), generation=1,
        lowest=1, next=1, nonce=bytes(8), boot=1, uptime_ms=0,
    )  # fmt: skip


@provokes("dispenser_unadopted", "adopt")
async def _waits(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    gate = inside.state.dispensers
    Link("/dev/ttyUSB7", Down(), gate, gate).receive(stranger(), 0)
    yield


@provokes("dispensers_wait")
async def _many_wait(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    gate = inside.state.dispensers
    for number in range(9):
        Link(f"/dev/ttyUSB{number}", Down(), gate, gate).receive(stranger(f"bar-{number}"), 0)
    yield
    for one in list(gate.strangers):
        one.last_s = time.monotonic() - 100


@provokes("dispenser_turned_away")
async def _turned_away(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    port = inside.state.serial["/dev/ttyUSB0"] = Port(inside)  # type: ignore[assignment]
    port.link.receive(stranger(versions=(99,)), 0)
    yield
    del inside.state.serial["/dev/ttyUSB0"]


@provokes("dispenser_offline")
async def _offline(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello = inside.hello()
    gone = inside.state.dispensers.known["hot-bar-1"].link
    assert gone is not None
    inside.state.dispensers.closed(gone, hello, "silent")
    yield
    inside.hello()


@provokes("command_failed")
async def _failed(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello, commands = inside.hello(), inside.state.commands
    order = await commands.enqueue(hello.dispenser, Identify(seconds=1), 60, asked_by="test")
    commands.unhappy[hello.dispenser] = replace(order, state="failed", ended_ms=order.created_ms)
    yield
    await commands.look(inside.state.dispensers.reach)  # another one to it ends


@provokes("planogram_differs", "as-it-is")
async def _differs(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello = inside.hello((1, "table-red", 500))
    await inside.state.adoption.place(hello.dispenser, {1: "miso-piri"})
    yield


@provokes("key_not_taken")
async def _stubborn(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    inside.hello()
    handings = inside.state.adoption._handings
    handings["hot-bar-1", bytes] = _Handing(bytes(32), tries=STUBBORN)
    yield
    del handings["hot-bar-1", bytes]


@provokes("limit_unconfirmed")
async def _hot(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    inside.hello((2, "reaper-raw", 500))
    before = inside.state.recommender.menus
    inside.state.recommender.menus = Menus(inside.state.catalog, 50_000)
    yield
    inside.state.recommender.menus = before


def nozzle(code: str, wrong: tuple[int, str, int]) -> None:
    """Provoke it by what is on a nozzle."""

    @provokes(code)
    async def _has(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        inside.hello(wrong)
        yield
        hello = inside.hello((1, "table-red", 500))
        await inside.deliver(hello, RefilledBody(nozzle=1, sauce="table-red", volume_ul=750_000))


nozzle("unknown_sauce", (1, "ketchup", 500))
nozzle("bottle_low", (1, "table-red", 40))


async def hang(inside: Inside) -> int:
    """A bottle whose lot is known; now, Unix time, ms."""
    inside.hello()
    now_ms = inside.state.clock.now().wall_ms
    bottle = Bottle("hot-bar-1", 1, "table-red", "L-1", date(2099, 1, 1), 750, "Ada", now_ms)
    await inside.state.lots.hang(bottle)
    return now_ms


@provokes("bottle_recalled")
async def _recalled(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    await inside.state.lots.recall(Recall("L-1", await hang(inside), "Ada", "glass"))
    yield
    await inside.state.lots.lift("L-1")


@provokes("bottle_expired")
async def _expired(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    await hang(inside)
    before, inside.state.lots._today = inside.state.lots._today, lambda: date(2099, 1, 2)
    yield
    inside.state.lots._today = before


@provokes("bottle_ending")
async def _ending(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    inside.hello()
    inside.state.samples.forecasts = {("hot-bar-1", 1): Forecast(5.2, 3.9, 8.1)}
    yield
    inside.state.samples.forecasts = {}


def sensor(code: str, finding: Finding) -> None:
    """Provoke it by what the judge of readings finds (how it does is tested with simulated sensors)."""

    @provokes(code)
    async def _found(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        inside.hello()
        inside.state.samples.findings = {"hot-bar-1": [finding]}
        yield
        inside.state.samples.findings = {}


sensor("bottle_leaks", Finding("leak", 1, 0, 2.3))
sensor("meter_drifts", Finding("drift", 1, 0, 0.06))
sensor("level_sensor_stuck", Finding("stuck_level", 1, 0))
sensor("thermometer_stuck", Finding("stuck_thermometer", 0, 0, 2006))
sensor("cabinet_too_warm", Finding("too_warm", 0, 0, 3140))
sensor("cabinet_too_cold", Finding("too_cold", 0, 0, 210))
sensor("door_open", Finding("door_open", 0, 0))
sensor("drip_tray_full", Finding("tray_full", 0, 0))


@provokes("samples_begun_anew", "seen")
async def _anew(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    inside.state.samples.file.begun_anew = 1
    yield


@provokes("provisioning_invalid")
async def _provisioning(inside: Inside, directory: Path) -> AsyncIterator[None]:
    provisioning, file = inside.state.provisioning, directory / "fleet.toml"
    assert provisioning is not None
    good = file.read_text()
    file.write_text("[dispensers.bar-3]\nnaem = 1\n")
    await provisioning.look()
    yield
    file.write_text(good)
    await provisioning.look()


# -- ports ----------------------------------------------------------------------------------------------------------


class Port:
    """A serial port whose link is all that is looked at."""

    def __init__(self, inside: Inside) -> None:
        self.link = inside.link
        self.baud = 115_200
        self.failure: PortMissing | None = None
        self.complaint: Complaint | None = None


def port(code: str, failure: PortMissing | None = None, complaint: Complaint | None = None) -> None:
    """Provoke it by what opening a port, or what comes from it, says (real ports are in test_repairs)."""

    @provokes(code)
    async def _on_port(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        made = Port(inside)
        made.failure, made.complaint = failure, complaint
        inside.state.serial["/dev/ttyUSB0"] = made  # type: ignore[assignment]
        yield
        made.failure = made.complaint = None


port("port_in_use", PortBusy("it is in use by minicom", hint="End it"))
port("port_forbidden", PortForbidden("it may not be opened", hint="dialout"))
port("port_unreachable", PortUnreachable("Connection refused", hint="Its power"))
port("port_unusable", PortMissing("Not a tty", hint="Is it one?"))
port("port_silent", None, "silent")
port("port_foreign", None, "foreign")


@provokes("port_missing")
async def _missing(_inside: Inside, directory: Path) -> AsyncIterator[None]:
    (directory / "ttyUSB7").unlink()
    yield
    (directory / "ttyUSB7").touch()


@provokes("no_serial_port")
async def _none(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    yield
    inside.state.serial["/dev/ttyUSB0"] = Port(inside)  # type: ignore[assignment]


# -- the tests ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def settled(directory: Path) -> AsyncIterator[Inside]:
    """A daemon that has been up for a minute, with all files that may be wrong."""
    (directory / "machine").mkdir()
    (directory / "ca.pem").write_bytes(certified(GOOD_UNTIL))
    (directory / "ttyUSB7").touch()
    (directory / "fleet.toml").write_text("")
    (directory / "fleet.toml").chmod(0o600)
    more = CONFIG.format(directory=directory)
    async with inside_of(directory, more, provisioning="fleet.toml") as inside:
        inside.state.started_s = time.monotonic() - 60
        yield inside


async def found(inside: Inside, code: str, *, look: bool = True) -> dict[str, Any] | None:
    if look:
        await inside.look()  # as after a press on Check again; one test below waits
    repairs: list[dict[str, Any]] = (await inside.json("/api/v1/repairs"))["repairs"]
    return next((repair for repair in repairs if repair["code"] == code), None)


@pytest.mark.parametrize("code", sorted(KINDS.keys() - ELSEWHERE.keys()))
async def test_it_is_seen_mended_and_gone(tmp_path: Path, code: str) -> None:
    async with settled(tmp_path) as inside:
        began = code == "no_serial_port"
        assert began or await found(inside, code) is None or code == "sync_unreachable"

        async def told() -> dict[str, Any] | None:
            return await found(inside, code)

        async def gone() -> bool:
            return await found(inside, code) is None

        async with PROVOKED[code](inside, tmp_path):
            repair = await wait_until_async(told, WITHIN_S, f"{code} is told of", promised=True)
            assert repair is not None
            assert (repair["urgent"], repair["cost"]) == (KINDS[code].urgent, str(KINDS[code].cost))
            assert repair["what"]
            assert all(repair["steps"])
            buttons = {(code, each["name"]) for each in repair["fixes"] if each["method"] == "POST"}
            assert buttons <= FIXES.keys(), "each does something"
            assert repair["since"]
            await press(inside, repair)
            if code in BUTTONS:
                await wait_until_async(gone, WITHIN_S, f"{code} is gone", promised=True)
        await wait_until_async(gone, WITHIN_S, f"{code} is gone", promised=True)


async def test_nobody_has_to_ask_for_a_look(tmp_path: Path) -> None:
    async with settled(tmp_path) as inside:
        async with PROVOKED["under_voltage"](inside, tmp_path):
            seen = functools.partial(found, inside, "under_voltage", look=False)
            await wait_until_async(seen, WITHIN_S, "it is told of", promised=True)

        async def gone() -> bool:
            return await found(inside, "under_voltage", look=False) is None

        await wait_until_async(gone, WITHIN_S, "it is gone", promised=True)


async def press(inside: Inside, repair: dict[str, Any]) -> None:
    """Press the button that mends it, if there is one."""
    code, path = repair["code"], f"/api/v1/repairs/{repair['key']}"
    if code == "store_quarantined":
        tar = await inside.client.get(f"{path}/quarantined.tar")
        assert tar.is_success
        assert b"gateway.db-wal" in tar.content
        repair = await inside.json(path)  # what was taken away may be deleted
    if code in BUTTONS:
        fix = next(each for each in repair["fixes"] if each["name"] == BUTTONS[code])
        if fix["hold"]:
            assert (await inside.client.post(fix["path"])).status_code == 422, "it is not said by mistake"
        (await inside.client.post(fix["path"], json={"confirm": "yes"})).raise_for_status()


def test_every_repair_is_provoked() -> None:
    assert PROVOKED.keys() | ELSEWHERE.keys() == KINDS.keys()
    for code, file in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / file).read_text(), (code, file)


def test_every_button_is_pressed() -> None:
    elsewhere = {"key_not_taken", "bottle_recalled", "model_fallback"}  # keys, locks, releases have tests of their own
    assert {code for code, _ in FIXES} == BUTTONS.keys() | elsewhere
