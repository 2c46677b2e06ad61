"""Each thing that can be wrong is told with what to do about it, and no longer than it is wrong."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import time
import tty
from collections import namedtuple
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from firmware_bridge.bodies import PouredBody, RefilledBody
from firmware_bridge.messages import Hello
from firmware_bridge.serial_link import Complaint, SerialLink
from firmware_bridge.verbs import Identify
from gateway.clock import HOUR_MS, Clock
from gateway.config import ClockSection
from gateway.lots import Bottle, Recall
from gateway.menus import Menus
from gateway.named_certificates import ISSUER, LEAF, Certificate
from gateway.parts import ports
from gateway.releases import Report
from gateway.web.repairs.board import LONGEST_URGENT
from gateway.web.repairs.of_machine import certificate_repairs
from heat.errors import (
    BrokerUnreachable,
    ConfigError,
    ForeignInstance,
    LinkLost,
    ModelError,
    PortBusy,
    PortForbidden,
    PortMissing,
    PortUnreachable,
    SinkUnavailable,
    StoreError,
)
from tests.gateway.web.conftest import Inside, inside_of
from tests.gateway.web.provoked.of_lines import cable
from tests.waiting import wait_until_async

KAFKA = '[kafka]\nbootstrap = "kafka.example:9092"\n'


def settle(inside: Inside) -> None:
    """As if the daemon had been up for a minute."""
    inside.state.started_s = time.monotonic() - 60


async def test_nothing_is_wrong_with_a_new_gateway(inside: Inside) -> None:
    await inside.no_repairs()
    settle(inside)
    await inside.no_repairs()


async def test_a_broken_store(inside: Inside) -> None:
    inside.state.store.broken = StoreError("gateway.db: disk I/O error", hint="Change the SD card")
    repair = await inside.repair("store_broken")
    assert "Change the SD card" in " ".join(repair["steps"])
    alive = await inside.client.get("/healthz")
    assert (alive.status_code, alive.headers["content-type"]) == (503, "application/problem+json")
    assert (alive.json()["detail"], alive.json()["hint"]) == ("gateway.db: disk I/O error", "Change the SD card")
    ready = await inside.client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)


async def test_a_full_store(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside.state.store._space, "_has_room", lambda: False)
    await asyncio.wrap_future(inside.state.store.write(lambda _tx: inside.state.store._space.run_out(), upkeep=True))
    repair = await inside.repair("store_full")
    assert repair["urgent"]
    assert "quota_mb" in " ".join(repair["steps"])
    ready = await inside.client.get("/readyz")
    assert (ready.status_code, ready.json()["parts"][0]["detail"]) == (503, "The quota is used up")
    assert (await inside.client.get("/healthz")).is_success


async def test_a_store_that_fills_up(inside: Inside) -> None:
    inside.state.store.settings.quota_bytes = 80_000
    assert "% full" in (await inside.repair("store_filling"))["what"]


async def test_a_disk_that_fills_up(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 -- as shutil returns it
    monkeypatch.setattr("gateway.web.repairs.facts.shutil.disk_usage", lambda _path: usage(0, 0, 50 * 1024**2))
    assert (await inside.repair("disk_low"))["what"] == "The disk has 50 MB left"


@pytest.mark.parametrize(
    ("hold_ms", "events"),
    [(72 * 3_600_000, "Events wait for it, 3 days at most"), (0, "Events go up without a sure day meanwhile")],
)
async def test_an_unknown_time(inside: Inside, hold_ms: int, events: str) -> None:
    inside.state.clock = Clock(wall_ns=lambda: 0, hold_ms=hold_ms)
    assert (await inside.repair("clock_unknown"))["steps"][1:] == ["Or set its clock", events]


async def test_an_unknown_time_where_the_network_alone_is_trusted(inside: Inside) -> None:
    inside.state.config = inside.state.config.model_copy(
        update={"clock": ClockSection(trust="ntp", synchronised="/word")}
    )
    inside.state.clock = Clock("ntp", synchronised=Path("/nobody/says/so"))
    assert (await inside.repair("clock_unknown"))["steps"][1] == "Or set its clock, and touch /word"


async def test_a_clock_that_was_set_makes_no_start_longer_or_shorter(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.hello()
    await wait_until_async(lambda: _dispensers(inside), 5, "the dispenser is stored")
    inside.state.dispensers.known.clear()
    real = time.time
    for ahead_s in (3600, -3600):
        monkeypatch.setattr("time.time", lambda ahead_s=ahead_s: real() + ahead_s)
        await inside.no_repairs()  # it may still come
    settle(inside)
    await inside.repair("dispenser_offline")


async def test_a_clock_that_jumped(inside: Inside) -> None:
    ahead_s = 0
    clock = inside.state.clock = Clock(wall_ns=lambda: time.time_ns() + ahead_s * 1_000_000_000)
    await inside.no_repairs()
    ahead_s = 3600
    repair = await inside.repair("clock_jumped")
    assert repair["what"] == "The clock jumped ahead by 1 hr: it is not believed yet"
    assert "If it is right, say so here, or touch /run/systemd/timesync/synchronized:" in " ".join(repair["steps"])
    assert " ".join(repair["steps"]).endswith("min it is believed anyway")
    ahead_s = 0
    await inside.no_repairs()
    assert clock.steps == 1
    assert "picante_clock_steps_total 1.0" in (await inside.client.get("/metrics")).text


@pytest.mark.parametrize(
    ("newest_s", "off"), [(364 * 86_400, "12 mths behind"), (-200 * 86_400, "more than half a year ahead of")]
)
async def test_a_clock_that_starts_with_an_odd_date(inside: Inside, newest_s: int, off: str) -> None:
    clock = Clock()
    clock.recall(None, int(time.time() + newest_s) * 1000)
    inside.state.clock = clock
    repair = await inside.repair("clock_jumped")
    assert repair["what"] == f"The clock is {off} the newest event: it is not believed yet"
    assert " ".join(repair["steps"]).endswith("in 3 days it is believed anyway")


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("port_in_use", PortBusy("it is in use by minicom, process 7", hint="End it")),
        ("port_forbidden", PortForbidden("it may not be opened by this user", hint="Put it into the group dialout")),
        ("port_unreachable", PortUnreachable("it can't be reached: Connection refused", hint="Check its power")),
        ("port_unusable", PortMissing("it can't be used: Not a tty", hint="Check that it is a serial port")),
    ],
)
async def test_a_port_that_can_not_be_opened(with_ports: Inside, code: str, failure: PortMissing) -> None:
    port = with_ports.state.serial["/dev/ttyUSB0"] = _Port(with_ports)  # type: ignore[assignment]
    await with_ports.no_repairs()
    port.failure = failure

    async def fail() -> None:
        raise failure

    part = asyncio.create_task(with_ports.state.supervisor.run("serial:/dev/ttyUSB0", fail))
    repair = await with_ports.repair(code)
    assert repair["what"] == f"A serial port can't be opened: {failure.args[0]}"
    assert (repair["steps"], repair["subject"]) == ([failure.hint], "/dev/ttyUSB0")
    repairs = (await with_ports.json("/api/v1/status"))["repairs"]
    assert [repair["code"] for repair in repairs] == [code], "not as a part that fails, too"
    part.cancel()
    port.failure = None
    await with_ports.no_repairs()


async def test_a_port_in_use_is_told_of_and_taken_when_it_is_free(tmp_path: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    other = os.dup(slave)
    fcntl.flock(other, fcntl.LOCK_EX)
    async with inside_of(tmp_path, f'[serial]\nports = ["{os.ttyname(slave)}"]\n') as inside:
        settle(inside)
        assert inside.state.config.serial is not None
        looking = asyncio.create_task(ports(inside.state, inside.state.config.serial).run())
        assert f"{os.ttyname(slave)} is in use by" in (await inside.repair("port_in_use"))["what"]
        fcntl.flock(other, fcntl.LOCK_UN)
        await wait_until_async(lambda: select.select([master], [], [], 0)[0], 6, "the gateway speaks on the port")
        await wait_until_async(
            lambda: _is_gone(inside, "port_in_use"), 5, "the port is free"
        )  # that nobody answers may be
        looking.cancel()
    for end in (master, slave, other):
        os.close(end)


async def _is_gone(inside: Inside, code: str) -> bool:
    await inside.look()
    return code not in {each["code"] for each in (await inside.json("/api/v1/repairs"))["repairs"]}


async def test_a_port_that_is_silent_or_babbles(with_ports: Inside) -> None:
    port = with_ports.state.serial["/dev/ttyUSB0"] = _Port(with_ports)  # type: ignore[assignment]
    port.complaint = "silent"
    repair = await with_ports.repair("port_silent")
    assert ("/dev/ttyUSB0" in repair["what"], repair["urgent"]) == (True, False)
    port.complaint = "foreign"
    repair = await with_ports.repair("port_foreign")
    assert "/dev/ttyUSB0 speaks no Picante" in repair["what"]
    assert "115200 baud" in " ".join(repair["steps"])
    port.complaint = None
    await with_ports.no_repairs()


async def test_the_port_of_an_offline_dispenser_is_told_of_once(with_ports: Inside) -> None:
    hello = with_ports.hello()
    await wait_until_async(lambda: _dispensers(with_ports), 5, "the dispenser is stored")
    port = with_ports.state.serial["/dev/ttyUSB0"] = _Port(with_ports)  # type: ignore[assignment]
    port.complaint = "silent"
    link = with_ports.state.dispensers.known["hot-bar-1"].link
    assert link is not None
    await with_ports.repair("port_silent")
    with_ports.state.dispensers.closed(link, hello, "silent")
    await with_ports.repair("dispenser_offline")
    repairs = (await with_ports.json("/api/v1/status"))["repairs"]
    assert [repair["code"] for repair in repairs] == ["dispenser_offline"]


async def test_a_named_port_that_is_not_there(tmp_path: Path) -> None:
    async with inside_of(tmp_path, f'[serial]\nports = ["{tmp_path}/ttyUSB7"]\n') as inside:
        settle(inside)
        assert (await inside.repair("port_missing"))["what"] == f"{tmp_path}/ttyUSB7 is not there"
        (tmp_path / "ttyUSB7").touch()
        assert (await inside.repair("no_serial_port"))["urgent"], "there, and not looked at yet"


async def test_a_dispenser_that_went(inside: Inside) -> None:
    settle(inside)
    hello = inside.hello()
    await wait_until_async(lambda: _dispensers(inside), 5, "the dispenser is stored")
    await inside.no_repairs()
    gone = inside.state.dispensers.known["hot-bar-1"].link
    assert gone is not None
    inside.state.dispensers.closed(gone, hello, "silent")
    repair = await inside.repair("dispenser_offline")
    assert repair["what"] == "hot-bar-1 is offline"
    assert "cable (ttyUSB0)" in " ".join(repair["steps"])
    assert repair["since"] is not None
    inside.hello()
    await inside.no_repairs()


async def test_a_dispenser_that_has_not_come_back_yet_gets_time_to(inside: Inside) -> None:
    inside.hello()
    await wait_until_async(lambda: _dispensers(inside), 5, "the dispenser is stored")
    inside.state.dispensers.known.clear()  # as after a restart
    await inside.no_repairs()
    settle(inside)
    await inside.repair("dispenser_offline")


async def _dispensers(inside: Inside) -> bool:
    return bool((await inside.json("/api/v1/dispensers"))["dispensers"])


async def test_a_serial_port_that_is_not_there(tmp_path: Path) -> None:
    async with inside_of(tmp_path, '[serial]\nports = ["/dev/serial/by-id/none-*"]\n') as inside:
        settle(inside)
        assert "/dev/serial/by-id/none-*" in str((await inside.repair("no_serial_port"))["steps"])


class _Port:
    """A serial port whose link is all that the web looks at."""

    def __init__(self, inside: Inside) -> None:
        self.link = inside.link
        self.baud = 115_200
        self.failure: PortMissing | None = None
        self.complaint: Complaint | None = None


@pytest.fixture
async def with_ports(tmp_path: Path) -> AsyncIterator[Inside]:
    """A daemon that has been up for a minute, and whose ports the test makes up."""
    async with inside_of(tmp_path, '[serial]\nports = ["/dev/serial/by-id/none-*"]\n') as opened:
        settle(opened)
        yield opened


@pytest.mark.parametrize(
    ("code", "words"), [("dispenser_unadopted", "takes no key"), ("dispenser_turned_away", "another version")]
)
async def test_a_dispenser_that_is_turned_away(inside: Inside, code: str, words: str) -> None:
    port = _Port(inside)
    inside.state.serial["/dev/ttyUSB0"] = port  # type: ignore[assignment]
    versions = (1,) if code == "dispenser_unadopted" else (99,)
    stranger = Hello(
        dispenser="stranger",
        firmware="1",
        versions=versions,
        nozzles=(),
        generation=1,
        lowest=1,
        next=1,
        nonce=bytes(8),
        boot=1,
        uptime_ms=0,
    )
    port.link.receive(stranger, 0)
    repair = await inside.repair(code)
    assert words in repair["what"]
    assert "ttyUSB0" in repair["what"]


async def test_a_part_that_fails_and_works_again(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    works = asyncio.Event()

    async def run() -> None:
        if not works.is_set():
            raise BrokerUnreachable("MQTT broker 127.0.0.1:1883: refused", hint="Is it running?")
        await asyncio.Event().wait()

    part = asyncio.create_task(inside.state.supervisor.run("mqtt", run))
    repair = await inside.repair("part_failing")
    assert repair["what"] == "mqtt fails: MQTT broker 127.0.0.1:1883: refused"
    assert repair["steps"][0] == "Is it running?"
    readiness = await inside.json("/readyz")
    assert readiness["ready"] is True
    assert {part["name"]: part["state"] for part in readiness["parts"]}["mqtt"] == "failing"
    works.set()
    monkeypatch.setattr("gateway.web.watch.FAILING_S", 0.0)
    await inside.no_repairs()
    part.cancel()


async def test_a_part_that_must_not_go_on(inside: Inside) -> None:
    async def run() -> None:
        raise ConfigError("the port is not one", hint="Mend gateway.toml")

    await inside.state.supervisor.run("mqtt", run)
    assert (await inside.repair("part_stopped"))["steps"][0] == "Mend gateway.toml"
    readiness = await inside.json("/readyz")
    assert {part["name"]: part["state"] for part in readiness["parts"]}["mqtt"] == "stopped"


async def test_kafka_is_away(tmp_path: Path) -> None:
    async with inside_of(tmp_path, KAFKA) as inside:
        assert inside.state.uplink is not None
        await inside.no_repairs()  # it may still be on its way
        inside.state.uplink._tell(SinkUnavailable("kafka.example:9092: no route", hint="Check the network"))
        repair = await inside.repair("sync_unreachable")
        assert "kafka.example:9092" in " ".join(repair["steps"])
        assert (await inside.client.get("/readyz")).is_success
        sync = await inside.json("/api/v1/sync")
        assert (sync["mode"], sync["state"], sync["failures"]) == ("kafka", "unreachable", 1)
        assert sync["last_error"] == "kafka.example:9092: no route. Check the network"
        assert (await inside.json("/api/v1/sync"))["since"] == sync["since"]


async def test_kafka_that_never_answers(tmp_path: Path) -> None:
    async with inside_of(tmp_path, KAFKA) as inside:
        settle(inside)
        await inside.repair("sync_unreachable")


async def test_another_gateway_has_our_name(tmp_path: Path) -> None:
    async with inside_of(tmp_path, KAFKA) as inside:
        assert inside.state.uplink is not None
        inside.state.uplink._tell(ForeignInstance("written by ab12", hint="Let this one go on in its place"))
        repair = await inside.repair("sync_foreign")
        assert (repair["what"], " ".join(repair["steps"])) == (
            "Nothing goes to Kafka: written by ab12",
            "Let this one go on in its place",
        )
        inside.state.uplink.status.foreign_instance = "ab12"
        answer = await inside.client.post("/api/v1/uplink/adopt")
        assert (answer.status_code, answer.json()["state"], answer.json()["foreign_instance"]) == (
            *(200, "connecting"),
            None,
        )
        await asyncio.wait_for(inside.state.uplink.wait_for_adoption(), 20)
        assert (await inside.client.post("/api/v1/uplink/adopt")).status_code == 409


async def test_a_model_that_can_not_be_used(inside: Inside) -> None:
    inside.state.model_error = ModelError("model.onnx is not there", hint="Copy the bundle again")
    repair = await inside.repair("model_fallback")
    assert not repair["urgent"]
    assert "model.onnx is not there" in repair["what"]
    assert (await inside.client.get("/readyz")).is_success


async def test_a_released_model_is_taken_back(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.state.model_error = ModelError("model.onnx is not there", hint="Copy the bundle again")
    assert (await inside.repair("model_fallback"))["fixes"] == [], "gateway.toml names it: there is nothing older"
    used = Report("bundle", "region:south", 7, "ab" * 32, "on_trial")
    monkeypatch.setattr(inside.state.releases, "report", lambda: [used])
    [button] = (await inside.repair("model_fallback"))["fixes"]
    assert (button["name"], button["hold"]) == ("take-back", True)
    assert (await inside.client.post(button["path"])).status_code == 422
    answer = await inside.client.post(button["path"], json={"confirm": "yes"})
    assert answer.json()["type"] == "urn:picante:problem:nothing-to-take-back", "as the page Picks says it"


def test_the_pages_own_certificates(tmp_path: Path) -> None:
    now = datetime.now(UTC)

    def one(key: str, days: int) -> Certificate:
        return Certificate(key, tmp_path / key, "", "", now - timedelta(days=9), now + timedelta(days=days))

    def told(*found: Certificate) -> list[tuple[str, str]]:
        return [(each.code, each.subject) for each in certificate_repairs(found, now)]

    assert told(one(LEAF, 21), one(ISSUER, 2_000)) == [], "the gateway still tries"
    assert told(one(LEAF, 19), one(ISSUER, 2_000)) == [("certificate_expires", LEAF)]
    assert told(one(LEAF, -1), one(ISSUER, 2_000)) == [("certificate_expired", LEAF)]
    assert told(one(LEAF, 10), one(ISSUER, 10), one(ISSUER, 2_000)) == [("certificate_expires", ISSUER)]


async def test_a_bottle_that_runs_out_and_is_changed(inside: Inside) -> None:
    hello = inside.hello((3, "table-red", 100))
    await inside.deliver(hello, PouredBody(nozzle=3, sauce="table-red", volume_ul=60_000, duration_ms=9_000))
    repair = await inside.repair("bottle_low")
    assert (repair["what"], " ".join(repair["steps"])) == (
        "Table Red is down to 40 mL",
        "Put a new bottle on nozzle 3 of hot-bar-1",
    )
    assert not repair["urgent"]
    await inside.deliver(hello, PouredBody(nozzle=3, sauce="table-red", volume_ul=60_000, duration_ms=9_000))
    await wait_until_async(lambda: _level(inside, 0), 5, "it is empty, and not less")
    await inside.deliver(hello, RefilledBody(nozzle=3, sauce="table-red", volume_ul=750_000))
    await inside.no_repairs()
    assert await _level(inside, 750)


async def _level(inside: Inside, ml: int) -> bool:
    dispensers = (await inside.json("/api/v1/dispensers"))["dispensers"]
    return bool(dispensers) and dispensers[0]["nozzles"][0]["level_ml"] == ml


async def test_a_bottle_that_must_not_be_poured_from(inside: Inside) -> None:
    inside.hello((1, "table-red", 500))
    lots, now_ms = inside.state.lots, inside.state.clock.now().wall_ms
    await lots.hang(Bottle("hot-bar-1", 1, "table-red", "L-1", date(2099, 1, 1), 750, "Ada", now_ms))
    await inside.no_repairs()
    await lots.recall(Recall("L-1", now_ms, "Ada", "glass"))
    repair = await inside.repair("bottle_recalled")
    assert repair["what"] == "Table Red on nozzle 1 of hot-bar-1 is of lot L-1, which was recalled"
    assert repair["urgent"]
    await lots.lift("L-1")
    await inside.no_repairs()
    lots._today = lambda: date(2099, 1, 2)
    assert (await inside.repair("bottle_expired"))["what"] == "Table Red on nozzle 1 of hot-bar-1 is past its date"


async def test_a_sauce_that_the_catalogue_lacks(inside: Inside) -> None:
    inside.hello((1, "ketchup", 500))
    assert "ketchup on nozzle 1 of hot-bar-1" in (await inside.repair("unknown_sauce"))["what"]


async def test_a_dispenser_that_can_not_ask_whether_it_is_meant(inside: Inside) -> None:
    inside.hello((1, "table-red", 500), (2, "reaper-raw", 500))
    await inside.no_repairs()
    inside.state.recommender.menus = Menus(inside.state.catalog, 50_000)
    assert "hot-bar-1 pours above the store's limit" in (await inside.repair("limit_unconfirmed"))["what"]
    link = inside.state.dispensers.known["hot-bar-1"].link
    assert link is not None
    link.session.version = 2
    await inside.no_repairs()


async def test_what_somebody_lets_be_has_their_name_and_an_end(inside: Inside) -> None:
    inside.hello((1, "ketchup", 500))
    key = (await inside.repair("unknown_sauce"))["key"]
    week = await inside.client.post(f"/api/v1/repairs/{key}/snooze", json={"span": "week"})
    let = week.raise_for_status().json()["snoozed"]
    assert let["by"] == "tests", "whose token it is"
    assert datetime.fromisoformat(let["until"]) - datetime.now(UTC) <= LONGEST_URGENT, "it can't wait so long"
    told = await inside.json("/api/v1/repairs")
    assert (told["urgent"], [one["key"] for one in told["repairs"]]) == (0, [key]), "it is told of, and not counted"
    repair = await inside.web.board.get(key)
    assert repair is not None
    await inside.web.board.snooze(repair, timedelta(seconds=1), "Ada")

    async def awake() -> bool:
        return bool((await inside.json("/api/v1/repairs"))["urgent"] == 1)

    assert not await awake()
    await wait_until_async(awake, 10, "it has an end")


async def test_what_is_urgent_comes_first(inside: Inside) -> None:
    inside.state.model_error = ModelError("no model")
    inside.hello((1, "table-red", 10), (2, "ketchup", 500))
    await inside.repair("bottle_low")
    repairs = (await inside.json("/api/v1/status"))["repairs"]
    assert [repair["urgent"] for repair in repairs] == [True, False, False]


async def test_a_database_that_can_not_be_read_is_told_and_not_fatal(inside: Inside) -> None:
    reader = inside.state.reader
    inside.state.reader = inside.state.store.reader()
    inside.state.reader.close()
    answer = await inside.client.get("/api/v1/sync")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:picante:problem:store-unreadable")
    assert (await inside.client.get("/healthz")).is_success
    inside.state.reader = reader
    assert (await inside.client.get("/api/v1/sync")).is_success
    assert not inside.serving.done()


async def test_a_command_that_failed_is_told_of_until_another_ends_well(inside: Inside) -> None:
    hello = inside.hello()
    commands = inside.state.commands
    order = await commands.enqueue(hello.dispenser, Identify(seconds=1), 60, asked_by="test")
    commands.unhappy[hello.dispenser] = replace(order, state="failed", ended_ms=order.created_ms)
    repair = await inside.repair("command_failed")
    assert repair["what"] == "The command identify at hot-bar-1 failed, or has no answer (failed)"
    assert " ".join(repair["steps"]).startswith("picante dispensers commands hot-bar-1")
    await commands.look(inside.state.dispensers.reach)  # this dispenser speaks version 1
    assert commands.ended["unsupported"] == 1
    await inside.no_repairs()
    commands.unhappy[hello.dispenser] = replace(order, state="failed", ended_ms=order.created_ms - HOUR_MS)
    await inside.no_repairs()


async def test_a_port_that_failed_and_is_open_again_is_told_of_no_more(tmp_path: Path) -> None:
    async with inside_of(tmp_path) as inside, cable(inside, tmp_path) as plugged:
        port = await wait_until_async(lambda: _open_port(inside), 5, "it is opened")
        assert port is not None
        port._fail(LinkLost(f"{plugged.name}: the dispenser fell silent"))
        again = await wait_until_async(lambda: _open_port(inside, but=port), 5, "it is opened again")
        part = inside.state.supervisor.parts[f"serial:{plugged.name}"]
        assert again is not None
        assert (part.state, again.failure) == ("waiting", None), "it is watched for a while"
        inside.web.watch.look()
        assert inside.web.watch.failing(part.name)
        await inside.look()
        assert not any(repair.code == "part_failing" for repair in inside.web.board.repairs)


def _open_port(inside: Inside, but: SerialLink | None = None) -> SerialLink | None:
    return next((link for link in inside.state.serial.values() if link.connected and link is not but), None)
