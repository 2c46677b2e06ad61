"""A dispenser behind a real broker: its last will, its persistent session, and that only our ACK frees an event."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt_client
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.capture import Entry, read_capture
from firmware_bridge.codec import BadMessage, decode_packet, encode_packet
from firmware_bridge.messages import Ask, DownMessage, Hello
from firmware_bridge.topics import topic
from hw_sim.faults import FaultRates, Faults
from hw_sim.keys import ensure_keys, load_keys
from hw_sim.mqtt_device import IN_FLIGHT, MqttLine, MqttSettings
from hw_sim.sampling import keep_sampling
from hw_sim.stage import Stage, replay
from hw_sim.unit import Unit
from tests.firmware_bridge.pair import NAME, Disk
from tests.hw_sim.desk import TICK_S, Gateway, make_unit
from tests.servers import MosquittoServer, ServerElsewhere
from tests.waiting import wait_until_async

Broker = MosquittoServer | ServerElsewhere
CAPTURES = Path(__file__).parents[1] / "captures"


@pytest.fixture
def store() -> str:
    """A store of this test's own on the broker that all share."""
    return f"store-{secrets.token_hex(4)}"


class Ears:
    """A client on the broker that hears one dispenser and, with a disk, is its gateway."""

    def __init__(self, broker: Broker, store: str, disk: Disk | None) -> None:
        self.states: list[bytes] = []
        self.qos: dict[str, set[int]] = {}
        self.subscribed = asyncio.Event()
        self.gateway = Gateway(disk, self._send) if disk is not None else None
        self._store = store
        self._loop = asyncio.get_running_loop()
        self.client = mqtt_client.Client(CallbackAPIVersion.VERSION2, client_id=f"ears-{secrets.token_hex(4)}")
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()

    async def tick(self) -> None:
        """Let the gateway's timers run, for ever."""
        while True:
            if self.gateway is not None:
                self.gateway.tick()
            await asyncio.sleep(TICK_S)

    def _send(self, message: DownMessage) -> None:
        self.client.publish(topic(self._store, NAME, "down"), encode_packet(message), qos=1)

    def _hear(self, name: str, payload: bytes, qos: int) -> None:
        if name.endswith("/state"):
            self.states.append(payload)
            return
        decoded = decode_packet(payload)
        self.qos.setdefault(type(decoded).__name__, set()).add(qos)
        assert not isinstance(decoded, BadMessage)
        if self.gateway is not None:
            self.gateway.take(decoded)

    # in paho's thread

    def _on_connect(self, *_: object) -> None:
        self.client.subscribe([(topic(self._store, NAME, "up"), 1), (topic(self._store, NAME, "state"), 1)])

    def _on_subscribe(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.subscribed.set)

    def _on_message(self, _client: object, _userdata: object, message: mqtt_client.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._hear, message.topic, bytes(message.payload), message.qos)


@contextlib.asynccontextmanager
async def listening(broker: Broker, store: str, disk: Disk | None = None) -> AsyncIterator[Ears]:
    """Listen to the dispenser's topics; with a disk, as its gateway."""
    ears = Ears(broker, store, disk)
    await asyncio.wait_for(ears.subscribed.wait(), 10)
    ticking = asyncio.create_task(ears.tick())
    try:
        yield ears
    finally:
        ticking.cancel()
        ears.client.disconnect()
        await asyncio.to_thread(ears.client.loop_stop)


@contextlib.asynccontextmanager
async def dispenser(
    directory: Path, broker: Broker, store: str, rates: FaultRates | None = None
) -> AsyncIterator[Unit]:
    """A dispenser that is plugged in."""
    settings = MqttSettings(broker.host, broker.port, store, NAME)
    faults = Faults(rates or FaultRates(), "seed")
    unit = make_unit(directory, lambda firmware: MqttLine(firmware, settings, faults))
    unit.line.plug()
    try:
        yield unit
    finally:
        await unit.aclose()


def pour(unit: Unit, count: int) -> None:
    for number in range(count):
        unit.pour(1, 100 + number)


async def drained(unit: Unit, deadline_s: float = 60) -> None:
    await wait_until_async(lambda: unit.header.held == 0, deadline_s, "the ring is empty")


async def test_events_arrive_and_free_the_ring(tmp_path: Path, mqtt: Broker, store: str) -> None:
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, Disk()) as ears:
        unit.begin_session()
        pour(unit, 400)
        await drained(unit)
        assert ears.gateway is not None
        assert [event.sequence for event in ears.gateway.arrived] == list(range(1, 401))
        assert ears.qos["EventMessage"] == {1}
        assert ears.qos["Hello"] == {1}


async def test_an_ask_goes_unstored_and_is_answered(tmp_path: Path, mqtt: Broker, store: str) -> None:
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, Disk()) as ears:
        unit.begin_session()
        picks = await unit.ask(token="loyal-1")
        assert picks is not None
        assert ears.qos["Ask"] == {0}
        assert "mango-fresno" in unit.twin.render_screen()


async def test_what_sensors_read_goes_unstored(tmp_path: Path, mqtt: Broker, store: str) -> None:
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, Disk()) as ears:
        await wait_until_async(lambda: unit.online, 10, "it is online")
        unit.twin.open_valve(1, 5_000, unit.firmware.now_ms())  # and so it reads fast
        sampling = asyncio.create_task(keep_sampling(unit, 50))
        await wait_until_async(lambda: "Sample" in ears.qos, 10, "a first SAMPLE")
        sampling.cancel()
        assert ears.qos["Sample"] == {0}


async def test_nothing_waits_for_the_kernel_to_gather_more(tmp_path: Path, mqtt: Broker, store: str) -> None:
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, Disk()):
        await wait_until_async(lambda: unit.online, 10, "the link is open")
        line = unit.line
        assert isinstance(line, MqttLine)
        assert line._client is not None
        connection = line._client.socket()
        assert isinstance(connection, socket.socket)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_brokers_word_frees_nothing(tmp_path: Path, mqtt: Broker, store: str) -> None:
    """PUBACKs keep coming while the gateway says nothing."""
    disk = Disk()
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, disk) as ears:
        await wait_until_async(lambda: unit.online, 10, "the link is open")
        assert ears.gateway is not None
        ears.gateway.session.committed = lambda generation, sequence, *, room=True: []  # type: ignore[method-assign]
        pour(unit, 2 * IN_FLIGHT)
        await wait_until_async(lambda: len(disk.stored) == 2 * IN_FLIGHT, 10, "all events came")
        line = unit.line
        assert isinstance(line, MqttLine)
        await wait_until_async(lambda: not line._in_flight, 10, "the broker has acknowledged all")
        assert unit.header.held == 2 * IN_FLIGHT


async def test_no_more_than_so_many_wait_for_the_broker(tmp_path: Path, mqtt: Broker, store: str) -> None:
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, Disk()):
        await wait_until_async(lambda: unit.online, 10, "the link is open")
        line = unit.line
        assert isinstance(line, MqttLine)
        pour(unit, 5 * IN_FLIGHT)
        assert len(line._in_flight) == IN_FLIGHT
        await drained(unit)


async def test_states_are_retained_and_the_last_will_says_offline(tmp_path: Path, mqtt: Broker, store: str) -> None:
    async with listening(mqtt, store) as ears:
        async with dispenser(tmp_path, mqtt, store) as unit:
            await wait_until_async(lambda: ears.states == [b"online"], 10, "online")
            async with listening(mqtt, store) as late:
                await wait_until_async(lambda: late.states == [b"online"], 10, "the state is retained")
            unit.line.unplug()
            await wait_until_async(lambda: ears.states == [b"online", b"offline"], 10, "the will was published")
            unit.line.plug()
            await wait_until_async(lambda: ears.states[2:] == [b"online"], 10, "online again")
        await wait_until_async(lambda: ears.states[3:] == [b"offline"], 10, "it said goodbye")


async def test_a_pulled_cable_loses_nothing(tmp_path: Path, mqtt: Broker, store: str) -> None:
    disk = Disk()
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, disk):
        await wait_until_async(lambda: unit.online, 10, "the link is open")
        for _ in range(5):
            pour(unit, 50)
            unit.line.unplug()
            assert not unit.online
            pour(unit, 10)
            unit.line.plug()
            await wait_until_async(lambda: unit.online, 10, "the link is open again")
        await drained(unit)
    assert sorted(sequence for _, sequence in disk.stored) == list(range(1, 301))


async def test_waits_for_a_broker_that_comes_later_and_comes_back(
    tmp_path: Path, killable_mqtt: MosquittoServer
) -> None:
    broker, disk = killable_mqtt, Disk()
    await asyncio.to_thread(broker.stop)
    async with dispenser(tmp_path, broker, "store-1") as unit:
        pour(unit, 20)
        await asyncio.to_thread(broker.start)
        async with listening(broker, "store-1", disk):
            await drained(unit, 30)
            await asyncio.to_thread(broker.kill)
            await wait_until_async(lambda: not unit.online, 10, "the link is down")
            pour(unit, 20)
            await asyncio.to_thread(broker.start)
            await drained(unit, 30)
    assert sorted(sequence for _, sequence in disk.stored) == list(range(1, 41))


async def test_what_was_sent_down_meanwhile_changes_nothing(tmp_path: Path, mqtt: Broker, store: str) -> None:
    """The broker keeps what went down to a dispenser that was away: old WELCOMEs, old ACKs, old picks."""
    disk = Disk()
    async with dispenser(tmp_path, mqtt, store) as unit, listening(mqtt, store, disk) as ears:
        await wait_until_async(lambda: ears.gateway and ears.gateway.session.hello, 10, "the link is open at both ends")
        unit.line.unplug()
        await wait_until_async(lambda: ears.states[-1:] == [b"offline"], 10, "it is gone")
        assert ears.gateway is not None
        hello = ears.gateway.session.hello
        assert hello is not None
        ears.gateway.take(hello)
        ears.gateway.take(Ask(session=1, nonce=bytes(8)))
        pour(unit, 3)
        unit.line.plug()
        await drained(unit)
        assert unit.answers.shown == 0
    assert sorted(sequence for _, sequence in disk.stored) == [1, 2, 3]


async def test_a_line_that_loses_and_doubles_delivers_each_event_once(tmp_path: Path, mqtt: Broker, store: str) -> None:
    rates = FaultRates(drop=0.01, duplicate=0.05)
    async with dispenser(tmp_path, mqtt, store, rates) as unit, listening(mqtt, store, Disk()) as ears:
        pour(unit, 400)
        await drained(unit, 60)
        assert ears.gateway is not None
        assert [event.sequence for event in ears.gateway.arrived] == list(range(1, 401))


async def test_leaving_without_a_broker_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hw_sim.mqtt_device.GOODBYE_S", 60.0)
    loop = asyncio.get_running_loop()
    nowhere = ServerElsewhere("127.0.0.1", 9)
    async with dispenser(tmp_path, nowhere, "store-1") as unit:
        begun_s = loop.time()
        assert unit.line.plugged
    assert loop.time() - begun_s < 30.0


@pytest.fixture(autouse=True)
def _no_thread_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is raised in paho's thread fails the test."""
    raised: list[object] = []
    monkeypatch.setattr("threading.excepthook", lambda arguments: raised.append(arguments.exc_value))
    yield
    assert raised == []


async def test_a_capture_is_played_to_the_broker(state: Path, mqtt: Broker, store: str) -> None:
    """What was on MQTT is played there: the same events, and questions that nobody keeps."""

    def renamed(entry: Entry) -> Entry:
        hello = decode_packet(entry.data) if entry.is_ == "hello" else None
        if not isinstance(hello, Hello):
            return entry
        return msgspec.structs.replace(entry, hex=encode_packet(msgspec.structs.replace(hello, dispenser=NAME)).hex())

    entries = [renamed(entry) for entry in read_capture(CAPTURES / "customers-on-mqtt.jsonl")]
    ensure_keys(state / "keys.toml", [NAME])
    disk = Disk(keys=load_keys(state / "keys.toml"))
    async with listening(mqtt, store, disk) as ears:
        stage = Stage(state, (mqtt.host, mqtt.port), store, speed=0)
        [told] = (await asyncio.wait_for(replay(entries, stage, lambda _: None), 30)).values()
        await wait_until_async(lambda: ears.states[-1:] == [b"offline"], 10, "it has left")
    assert (told.failed, told.unacked, len(told.asked & told.answered)) == (None, 0, 9)
    assert sorted(sequence for _, sequence in disk.stored) == list(range(1, 11))
    assert ears.qos["Ask"] == {0}
    assert ears.qos["EventMessage"] == {1}
