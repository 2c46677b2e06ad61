"""Dispensers in Home Assistant: what it demands of an announcement, and what it hears on the shop's real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.bodies import PouredBody
from firmware_bridge.broker import Broker
from firmware_bridge.mqtt_settings import Credentials, MqttSettings
from gateway import home_assistant
from gateway.app import run_parts
from gateway.assembly import assemble
from gateway.config import load_config
from gateway.home_assistant import HomeAssistant, Told, config_of, state_of, without_what_is_gone
from gateway.home_gateway import config_of as config_of_gateway
from gateway.home_gateway import state_of as state_of_gateway
from gateway.notify import Notifier
from gateway.plans import NAME_CHARS
from gateway.state import GatewayState
from gateway.web import levels
from gateway.web.language import Text
from gateway.web.repairs import board
from gateway.web.repairs.repair import Repair, snooze
from heat.errors import BrokerUnreachable
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation
from tests.gateway.web.conftest import inside_of, write_config
from tests.secure_mosquitto import STORE, SecureMosquitto
from tests.servers import free_port
from tests.serving import serving
from tests.waiting import wait_until_async

TOLD = Told(
    name="bar-1",
    firmware="1.4.2",
    online=True,
    events=41,
    nozzles=((1, "Table Red", 412), (2, "Reaper, Raw", 0)),
    pour=("2026-11-25T20:31:00+00:00", "Table Red"),
)
CONFIG = f"homeassistant/device/{STORE}/bar-1/config"
STATE = f"picante/home/{STORE}/bar-1/state"
AVAILABILITY = f"picante/home/{STORE}/availability"
OWN_CONFIG = f"homeassistant/device/{STORE}/_gateway/config"
OWN_STATE = f"picante/home/{STORE}/_gateway/state"

# What Home Assistant's mqtt integration demands: discovery.py and schemas.py of 2024.11 and later.
TOPIC = re.compile(r"homeassistant/device/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config")
SHARED = {"device", "origin", "components", "availability", "availability_mode", "state_topic", "qos"}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version"}
ORIGIN = {"name", "sw_version", "support_url"}
ENTITY = {
    *("platform", "unique_id", "name", "value_template", "device_class", "entity_category", "availability"),
    *("state_class", "unit_of_measurement", "payload_on", "payload_off", "json_attributes_topic"),
}
UNITS = {"volume_storage": {"L", "mL", "m³"}}


def demand(topic: str, config: dict[str, Any]) -> None:
    """Fail on what Home Assistant would refuse, or pass over in silence."""
    assert TOPIC.fullmatch(topic)
    assert set(config) <= SHARED
    assert {"device", "origin", "components"} <= set(config)
    assert set(config["device"]) <= DEVICE
    assert config["device"]["identifiers"]
    assert set(config["origin"]) <= ORIGIN
    assert config["origin"]["name"]
    assert config["availability_mode"] in {"all", "any", "latest"}
    assert config["qos"] in {0, 1, 2}
    for entity in config["components"].values():
        assert set(entity) <= ENTITY
        assert entity["platform"] in {"sensor", "binary_sensor"}
        assert entity.get("entity_category", "diagnostic") == "diagnostic", "the only one that a sensor may have"
        if entity.get("device_class") in UNITS:
            assert entity["unit_of_measurement"] in UNITS[entity["device_class"]]
        if "state_class" in entity:
            assert entity["state_class"] in {"measurement", "total", "total_increasing"}
    identities = [entity["unique_id"] for entity in config["components"].values()]
    assert len(set(identities)) == len(identities)
    topics = [config["state_topic"], *(one["topic"] for one in config["availability"])]
    assert not any(mark in topic for topic in topics for mark in "+#")


def shown(config: dict[str, Any], state: dict[str, Any]) -> dict[str, str]:
    """What each entity shows, its template rendered as Home Assistant does: in a sandbox, undefined names empty."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 -- Home Assistant's has none either
    return {
        entity["name"]: environment.from_string(entity["value_template"]).render(value_json=state)
        for entity in config["components"].values()
    }


def test_an_announcement_is_what_home_assistant_demands() -> None:
    config = json.loads(json.dumps(config_of(STORE, TOLD)))
    demand(CONFIG, config)
    assert shown(config, json.loads(json.dumps(state_of(TOLD)))) == {
        "Online": "online",
        "Events": "41",
        "Last pour": "2026-11-25T20:31:00+00:00",
        "Last sauce": "Table Red",
        "Nozzle 1 sauce": "Table Red",
        "Nozzle 1 level": "412",
        "Nozzle 2 sauce": "Reaper, Raw",
        "Nozzle 2 level": "0",
    }
    own = config["availability"][1]
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 -- as above
    assert environment.from_string(own["value_template"]).render(value_json=state_of(TOLD)) == "online"
    assert own["topic"] == config["state_topic"] == STATE
    assert config["components"]["online"]["availability"] == [{"topic": AVAILABILITY}]


def test_before_the_first_pour_nothing_is_made_up() -> None:
    state = state_of(Told(name="bar-1", firmware="1", online=False, events=0, nozzles=(), pour=None))
    # a sensor takes a template's `None` for unknown
    assert shown(config_of(STORE, TOLD), state | {"nozzles": state_of(TOLD)["nozzles"]})["Last pour"] == "None"
    assert state["availability"] == "offline"


def test_of_the_gateway_the_worst_repair_is_told_in_few_words() -> None:
    config = config_of_gateway(STORE, "gw-1", "1.0", OWN_STATE, AVAILABILITY)
    demand(OWN_CONFIG, config)
    let_be = snooze(Repair("under_voltage", Text("too little"), ()), datetime(2099, 1, 1, tzinfo=UTC), "Ada")
    long = Repair("dead_letters", Text("chilli " * 100), ())
    state = state_of_gateway([long, let_be])
    assert shown(config, state) == {"Repairs": "1"}
    assert (state["urgent"], state["code"], len(state["worst"])) == (0, "dead_letters", 200)
    assert state_of_gateway([let_be])["worst"] is None


MANY = tuple((nozzle, "table-red", 100) for nozzle in range(1, 81))
"""More nozzles than HELLO may have, as a database of before may hold."""


def test_the_largest_dispenser_fits_through_the_broker() -> None:
    long = "\N{HOT PEPPER}"  # four bytes, as the longest
    nozzles = tuple((nozzle, long * 64, 10_000) for nozzle in range(244, 256))
    pour = ("x" * 32, long * 64)
    told = Told("b" * 32, long * 32, online=True, events=10**9, nozzles=nozzles, pour=pour, label=long * NAME_CHARS)
    assert len(msgspec.json.encode(config_of("s" * 32, told))) < home_assistant.MAX_BYTES
    assert len(msgspec.json.encode(state_of(told))) < home_assistant.MAX_BYTES


def test_a_nozzle_that_is_gone_is_removed_by_its_platform_alone() -> None:
    before = json.dumps(config_of(STORE, TOLD)).encode()
    config = config_of(STORE, Told("bar-1", "1", True, 0, TOLD.nozzles[:1], None))
    removing = without_what_is_gone(config, before)
    assert removing is not None
    assert removing["components"]["nozzle_2_level"] == {"platform": "sensor"}
    assert removing["components"]["nozzle_1_level"] == config["components"]["nozzle_1_level"]
    assert without_what_is_gone(config_of(STORE, TOLD), before) is None
    for other in (b"", b"[]", b"{}", b'{"components": 7}', b'{"components": {"x": 7}}'):
        assert without_what_is_gone(config, other) is None


async def test_each_connection_is_told_all_of_it_and_a_change_alone_after_that(tmp_path: Path) -> None:
    async with assemble(load_config(write_config(tmp_path, free_port()))) as state:
        home, said = HomeAssistant(state), list[tuple[str, bytes]]()
        config, now, store = home_assistant.config_topic, home_assistant.state_topic, state.config.gateway.store

        def tell(told: Told) -> list[str]:
            said.clear()
            home._tell([told], lambda topic, payload: said.append((topic, payload)))
            return [topic for topic, _ in said]

        for _ in range(2):
            home.connected(lambda topic, payload: None)
            assert tell(TOLD) == [config(store, "bar-1"), now(store, "bar-1")]
            assert tell(TOLD) == []
            assert tell(replace(TOLD, events=42)) == [now(store, "bar-1")]
        assert tell(replace(TOLD, nozzles=TOLD.nozzles[:1])) == [*[config(store, "bar-1")] * 2, now(store, "bar-1")]
        home.heard(config(store, "bar-1"), b"")  # somebody took it back
        assert tell(replace(TOLD, nozzles=TOLD.nozzles[:1])) == [config(store, "bar-1")]
        home.heard(config(store, "Not A Name"), b"{}")
        home.heard(config(store, "bar-9"), b"{}")  # another life's
        tell(replace(TOLD, nozzles=TOLD.nozzles[:1]))
        assert said == [(config(store, "bar-9"), b""), (now(store, "bar-9"), b"")]


async def test_what_is_too_large_is_not_told_and_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with inside_of(tmp_path) as inside:
        state = inside.state
        home, said = HomeAssistant(state), dict[str, bytes]()
        config, store = home_assistant.config_topic, state.config.gateway.store

        def tell(*told: Told) -> None:
            said.clear()
            home._tell(list(told), said.__setitem__)
            assert all(len(payload) <= home_assistant.MAX_BYTES for payload in said.values())

        other = replace(TOLD, name="bar-2")
        tell(TOLD, other)
        for _ in range(2):
            tell(replace(TOLD, nozzles=MANY), replace(other, events=7))
            assert home_assistant.state_topic(store, "bar-2") in said or not said
        assert [record for record in caplog.records if "not told" in record.message] == caplog.records[-1:]
        assert state.untold == {"bar-1"}
        assert "bar-1" in (await inside.repair("home_untold"))["what"]
        assert "picante_home_assistant_untold 1.0" in (await inside.client.get("/metrics")).text
        tell(TOLD)  # its firmware was mended
        assert not state.untold
        assert said[config(store, "bar-1")]
        # what somebody else left there in its name is too much to be taken out piece by piece
        left = {"components": {f"n{number}": {"platform": "sensor"} for number in range(400)}}
        home.heard(config(store, "bar-1"), json.dumps(left).encode())
        published = list[bytes]()
        home._tell([TOLD], lambda _topic, payload: published.append(payload))
        assert published[0] == b""
        assert published[1] == msgspec.json.encode(config_of(store, TOLD))


async def test_many_events_are_caught_up_with_in_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_assistant, "LOOK_BACK", 3)
    monkeypatch.setattr(levels, "ROWS", 1)
    async with inside_of(tmp_path) as inside:
        home = HomeAssistant(inside.state)
        hello = inside.hello((1, "table-red", 500), (2, "reaper-raw", 500))
        for _ in range(6):
            await inside.deliver(hello, PouredBody(nozzle=1, sauce="table-red", volume_ul=10_000, duration_ms=900))
        await inside.deliver(hello, PouredBody(nozzle=2, sauce="reaper-raw", volume_ul=1_000, duration_ms=900))
        await home._catch_up()
        (told,) = home._look()
        assert told.pour is not None
        assert told.pour[1] == inside.state.catalog["reaper-raw"].name
        assert [level for _, _, level in told.nozzles] == [440, 499]


HELLO = "INSERT INTO dispensers VALUES (:dispenser, 1, '1', :nozzles, 'mqtt:' || :dispenser, 1800000000000, NULL)"
"""A stored one."""


# -- on the broker ----------------------------------------------------------------------------------------------------


class Home:
    """Home Assistant: what it has heard, the last of each topic, and how often."""

    def __init__(self, broker: SecureMosquitto) -> None:
        self.last: dict[str, bytes] = {}
        self.heard: list[str] = []
        self.there: list[bytes] = []
        """What was said of the gateway."""
        subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "home")
        self.client.tls_set_context(broker.context(broker.pair("home-assistant")))
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = self._note
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        self.client.subscribe("#", 1)
        assert subscribed.wait(20)

    def _note(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.last[message.topic] = bytes(message.payload)
        self.heard.append(message.topic)
        if message.topic == AVAILABILITY:
            self.there.append(bytes(message.payload))

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.last.get(STATE) or b"{}")
        return found

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecureMosquitto]:
    yield from serving(SecureMosquitto, tmp_path / "mosquitto")


@pytest.fixture
def home(broker: SecureMosquitto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setattr(home_assistant, "EVERY_S", 0.1)
    monkeypatch.setattr(board, "EVERY_S", 0.2)
    home = Home(broker)
    yield home
    home.close()


def write_gateway(directory: Path, broker: SecureMosquitto, keys: str) -> Path:
    own = broker.pair("gateway")
    (directory / "pseudonym.toml").touch(0o600)
    (directory / "pseudonym.toml").write_text(f'version = 1\nkey = "{"ab" * 32}"\n')
    config = directory / "gateway.toml"
    config.write_text(
        f'[gateway]\nid = "gw-1"\nstore = "{STORE}"\nregion = "r"\ndata_dir = "data"\nballast_mb = 0\n'
        f'[keys]\ndispensers = "{keys}"\n[http]\nport = {free_port()}\n'
        f'[mqtt]\nport = {broker.port}\ntls = true\nca = "{broker.ca}"\nhome_assistant = true\n'
        f'certificate = "{own.certificate}"\nkey = "{own.key}"\n'
    )
    return config


@contextlib.asynccontextmanager
async def gateway(config: Path) -> AsyncIterator[GatewayState]:
    async with assemble(load_config(config)) as state:
        parts = asyncio.create_task(run_parts(state, Notifier({})))
        try:
            yield state
        finally:
            parts.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await parts


def cut_off(state: GatewayState) -> None:
    """End the gateway's connection as a cut cable does."""
    assert state.mqtt is not None
    connection = state.mqtt._broker._client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)


async def test_a_dispenser_comes_changes_and_is_forgotten(tmp_path: Path, broker: SecureMosquitto, home: Home) -> None:
    broker.pair("dispenser", "bar-1")
    scenario = parse_scenario(
        f'store = "{STORE}"\n[mqtt]\nport = {broker.port}\nca = "{broker.ca}"\n'
        f'certificates = "{broker.authority / "dispensers"}"\n'
        '[[dispensers]]\nid = "bar-1"\nlink = "mqtt"\nnozzles = ["table-red", "serrano-verde"]\n'
    )
    async with Simulation(scenario, tmp_path / "sim") as simulation:
        unit = simulation.units["bar-1"]
        async with gateway(write_gateway(tmp_path, broker, "sim/keys.toml")) as state:
            await wait_until_async(lambda: home.state().get("availability") == "online", 10, "it is announced")
            demand(CONFIG, json.loads(home.last[CONFIG]))
            assert home.last[AVAILABILITY] == b"online"
            before = home.state()["nozzles"]["n1"]
            assert before["sauce"] == "Table Red"
            assert unit.pour(1, 50_000) is not None
            await wait_until_async(lambda: home.state()["last_sauce"] == "Table Red", 10, "the pour is told")
            await wait_until_async(
                lambda: home.state()["nozzles"]["n1"]["level_ml"] == before["level_ml"] - 50, 10, "and what is left"
            )
            state.started_s -= 60  # a dispenser that goes then is told of at once
            await wait_until_async(lambda: b"certificate_" in home.last.get(OWN_STATE, b""), 10, "the gateway, too")
            demand(OWN_CONFIG, json.loads(home.last[OWN_CONFIG]))
            own = json.loads(home.last[OWN_STATE])  # the broker's certificates are good for ten days
            assert (own["urgent"], own["code"]) == (0, "certificate_expires")
            unit.unplug()
            await wait_until_async(lambda: home.state()["availability"] == "offline", 10, "it is offline")
            worst = {
                "repairs": own["repairs"] + 1,
                "urgent": 1,
                "worst": "bar-1 is offline",
                "code": "dispenser_offline",
            }
            await wait_until_async(lambda: json.loads(home.last[OWN_STATE]) == worst, 10, "that wants repair")
            unit.plug()
            await wait_until_async(lambda: home.state()["availability"] == "online", 10, "it is back")
            await wait_until_async(lambda: json.loads(home.last[OWN_STATE]) == own, 10, "and that is over")
            assert home.heard.count(OWN_CONFIG) == 1
            assert home.heard.count(CONFIG) == 1, "what is as it was is not told again"
            cut_off(state)
            await wait_until_async(lambda: home.there[-2:] == [b"offline", b"online"], 10, "its will, and its return")
        await wait_until_async(lambda: home.last[AVAILABILITY] == b"offline", 10, "the gateway said goodbye")
    # another life of the gateway, which has not adopted it
    (tmp_path / "none.toml").touch(0o600)
    async with gateway(write_gateway(tmp_path, broker, "none.toml")):
        await wait_until_async(lambda: home.last[CONFIG] == b"" == home.last[STATE], 10, "it is taken back")
        assert home.last[AVAILABILITY] == b"online"


async def test_a_dispenser_of_eighty_nozzles_takes_nobody_off_the_broker(
    tmp_path: Path, broker: SecureMosquitto, home: Home
) -> None:
    keys = tmp_path / "keys.toml"
    keys.touch(0o600)
    keys.write_text(f'[dispensers]\nbar-1 = "{"ab" * 32}"\nold-1 = "{"cd" * 32}"\n')
    config = write_gateway(tmp_path, broker, "keys.toml")
    async with assemble(load_config(config)):
        pass  # makes the database
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as database, database:
        for name, nozzles in (("bar-1", MANY[:12]), ("old-1", MANY)):
            database.execute(HELLO, {"dispenser": name, "nozzles": json.dumps(nozzles)})
    async with gateway(config) as state:
        await wait_until_async(lambda: STATE in home.last, 10, "the other one is announced")
        demand(CONFIG, json.loads(home.last[CONFIG]))
        assert state.untold == {"old-1"}
        assert not [topic for topic in home.last if "old-1" in topic]
        assert state.supervisor.parts["mqtt"].restarts == 0


async def test_a_broker_that_takes_less_than_an_announcement_is_told_of_in_words(tmp_path: Path) -> None:
    with SecureMosquitto(
        tmp_path / "mosquitto", edit=lambda text: text.replace("max_packet_size 16384", "max_packet_size 2000")
    ) as broker:
        own = broker.pair("gateway")
        credentials = Credentials(tls=broker.context(own))
        settings = MqttSettings(broker.host, broker.port, "picante.gateway", STORE, lambda: credentials)
        connection = Broker(settings, lambda _message, _read_ns: None, None)
        await connection.connect()
        try:
            connection.retain(CONFIG, bytes(1_200))
            await wait_until_async(lambda: not connection._large, 10, "this one is taken")
            with pytest.raises(BrokerUnreachable, match=r"while it was sent 3,000 bytes at once\. .*max_packet_size"):
                connection.retain(CONFIG, bytes(3_000))
                await connection.wait_lost(10)
        finally:
            await connection.aclose()


async def test_a_broker_that_lost_its_memory_is_told_again(tmp_path: Path, broker: SecureMosquitto, home: Home) -> None:
    broker.pair("dispenser", "bar-1")
    scenario = parse_scenario(
        f'store = "{STORE}"\n[mqtt]\nport = {broker.port}\nca = "{broker.ca}"\n'
        f'certificates = "{broker.authority / "dispensers"}"\n[[dispensers]]\nid = "bar-1"\nlink = "mqtt"\n'
    )
    async with (
        Simulation(scenario, tmp_path / "sim"),
        gateway(write_gateway(tmp_path, broker, "sim/keys.toml")),
    ):
        await wait_until_async(lambda: home.state().get("availability") == "online", 10, "it is announced")
        home.close()  # two with one certificate would push each other out
        await asyncio.to_thread(broker.kill)
        broker.empty()
        await asyncio.to_thread(broker.start)
        late = await asyncio.to_thread(Home, broker)
        try:
            await wait_until_async(lambda: late.state().get("availability") == "online", 20, "it is announced again")
            demand(CONFIG, json.loads(late.last[CONFIG]))
        finally:
            late.close()
