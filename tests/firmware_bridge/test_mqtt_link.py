"""The MQTT link on a real Mosquitto: nothing is acknowledged to the broker before it is on disk."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from typing import TypeVar

import msgspec
import paho.mqtt.client as mqtt_client
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import BadMessage, body_map, decode_packet, encode_packet
from firmware_bridge.messages import (
    Ack,
    Ask,
    EventMessage,
    Hello,
    HelloRequest,
    Message,
    NozzleInfo,
    Picks,
    Provision,
    Ready,
    Reject,
    UpMessage,
    Welcome,
)
from firmware_bridge.mqtt_link import MqttLink
from firmware_bridge.mqtt_settings import MqttSettings
from firmware_bridge.proofs import ready_mac
from firmware_bridge.topics import ONLINE, topic
from heat.errors import BrokerUnreachable
from tests.firmware_bridge.gate import KEY, KeepingGate
from tests.flow.world import Mqtt
from tests.servers import free_port
from tests.waiting import wait_until, wait_until_async

M = TypeVar("M", bound=Message)


class HandClient:
    """A dispenser on the broker, driven by hand."""

    def __init__(self, mqtt: Mqtt, store: str, name: str) -> None:
        self.store, self.name, self.sequence = store, name, 0
        self.generation = secrets.randbits(32)
        self.read: list[Message] = []
        self._subscribed = threading.Event()
        self._client = mqtt_client.Client(CallbackAPIVersion.VERSION2, f"hand-{secrets.token_hex(4)}")
        self._client.on_message = lambda _c, _d, message: self._note(bytes(message.payload))
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect(mqtt.host, mqtt.port)
        self._client.loop_start()
        self._client.subscribe(topic(store, name, "down"), qos=1)
        assert self._subscribed.wait(20)
        self._client.publish(topic(store, name, "state"), ONLINE, qos=1, retain=True).wait_for_publish(5)

    def close(self) -> None:
        self._client.publish(topic(self.store, self.name, "state"), b"", qos=1, retain=True).wait_for_publish(5)
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, payload: bytes) -> None:
        message = decode_packet(payload)
        assert not isinstance(message, BadMessage), message
        self.read.append(message)

    def publish(self, payload: bytes, qos: int = 1, name: str | None = None) -> None:
        to = topic(self.store, name or self.name, "up")
        self._client.publish(to, payload, qos=qos).wait_for_publish(5)

    def send(self, message: UpMessage, qos: int = 1) -> None:
        self.publish(encode_packet(message), qos)

    def expect(self, kind: type[M]) -> M:
        def found() -> M | None:
            return next((message for message in self.read if isinstance(message, kind)), None)

        message = wait_until(found, 10, f"a {kind.__name__}")
        assert message is not None
        self.read.remove(message)
        return message

    def open(self) -> None:
        self.expect(HelloRequest)
        hello = Hello(
            dispenser=self.name,
            firmware="9.9.9",
            versions=(1,),
            nozzles=(NozzleInfo(1, "table-red", 500),),
            generation=self.generation,
            lowest=1,
            next=self.sequence + 1,
            nonce=secrets.token_bytes(8),
            boot=1,
            uptime_ms=1,
        )
        self.send(hello)
        self.send(Ready(mac=ready_mac(KEY, hello, self.expect(Welcome))))

    def event(self) -> EventMessage:
        self.sequence += 1
        return EventMessage(
            generation=self.generation,
            sequence=self.sequence,
            boot=1,
            uptime_ms=1,
            sent_uptime_ms=1,
            session=1,
            kind=1,
            body=body_map(PouredBody(nozzle=1, sauce="table-red", volume_ul=1, duration_ms=1)),
        )


@pytest.fixture
def store() -> str:
    return f"shop-{secrets.token_hex(4)}"


@pytest.fixture
def gate() -> KeepingGate:
    return KeepingGate("hand-1")


@pytest.fixture
def device(mqtt: Mqtt, store: str) -> Iterator[HandClient]:
    client = HandClient(mqtt, store, "hand-1")
    yield client
    client.close()


def serve(mqtt: Mqtt, store: str, gate: KeepingGate) -> tuple[MqttLink, asyncio.Task[None]]:
    link = MqttLink(MqttSettings(mqtt.host, mqtt.port, f"picante-{store}", store), gate, gate)
    return link, asyncio.create_task(link.run())


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_not_stored_comes_again_from_the_broker(
    mqtt: Mqtt, store: str, gate: KeepingGate, device: HandClient
) -> None:
    _, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.open)
    for _ in range(3):
        await asyncio.to_thread(device.send, device.event())
    await wait_until_async(lambda: len(gate.waiting) == 3, 5, "three events arrived")
    assert not [message for message in device.read if isinstance(message, Ack)]
    # the gateway dies with them in memory; its next life finds them at the broker
    await end(task)
    gate.waiting.clear()
    link, task = serve(mqtt, store, gate)
    await wait_until_async(lambda: link.links, 5, "the broker told of the dispenser again")
    await asyncio.to_thread(device.open)
    for sequence in range(1, 4):
        device.sequence = sequence - 1
        await asyncio.to_thread(device.send, device.event())
    await wait_until_async(lambda: len(gate.waiting) == 3, 5, "they arrived again")
    gate.store_all()
    await wait_until_async(lambda: any(isinstance(m, Ack) and m.sequence == 3 for m in device.read), 5, "the ACK")
    await end(task)


def left_at_broker(mqtt: Mqtt, client_id: str, least: int) -> int:
    """How many events the broker still holds for a client that is away; it is looked at in that client's name."""
    kept: list[bytes] = []
    marker = secrets.token_bytes(8)
    client = mqtt_client.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=True)
    client.on_message = lambda _c, _d, message: kept.append(bytes(message.payload))
    client.connect(mqtt.host, mqtt.port)
    client.loop_start()
    client.subscribe(f"marker/{client_id}", qos=1)
    client.publish(f"marker/{client_id}", marker, qos=1)
    wait_until(lambda: marker in kept and len(kept) > least, 5, "the marker came after what was kept")
    client.disconnect()
    client.loop_stop()
    return sum(payload[1:2] == bytes((EventMessage.number,)) for payload in kept)


async def test_the_broker_keeps_an_event_until_it_is_stored(
    mqtt: Mqtt, store: str, gate: KeepingGate, device: HandClient
) -> None:
    _, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.open)
    for _ in range(3):
        await asyncio.to_thread(device.send, device.event())
    await wait_until_async(lambda: len(gate.waiting) == 3, 5, "three events arrived")
    await end(task)
    assert await asyncio.to_thread(left_at_broker, mqtt, f"picante-{store}", 3) == 3


async def test_the_broker_forgets_an_event_once_it_is_stored(
    mqtt: Mqtt, store: str, gate: KeepingGate, device: HandClient
) -> None:
    _, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.open)
    for _ in range(3):
        await asyncio.to_thread(device.send, device.event())
    await wait_until_async(lambda: len(gate.waiting) == 3, 5, "three events arrived")
    gate.store_all()
    await wait_until_async(lambda: any(isinstance(m, Ack) and m.sequence == 3 for m in device.read), 5, "the ACK")
    await end(task)
    assert await asyncio.to_thread(left_at_broker, mqtt, f"picante-{store}", 0) == 0


async def test_an_ask_is_answered(mqtt: Mqtt, store: str, gate: KeepingGate, device: HandClient) -> None:
    _, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.open)
    await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
    await asyncio.to_thread(device.send, Ask(session=1, nonce=bytes(8)), 0)
    assert (await asyncio.to_thread(device.expect, Picks)).nonce == bytes(8)
    await end(task)


async def test_a_dispenser_speaks_for_itself_alone(
    mqtt: Mqtt, store: str, gate: KeepingGate, device: HandClient
) -> None:
    gate.names = ("hand-1", "hand-2")
    link, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.expect, HelloRequest)
    hello = Hello(
        dispenser="hand-2",
        firmware="9",
        versions=(1,),
        nozzles=(),
        generation=1,
        lowest=1,
        next=1,
        nonce=bytes(8),
        boot=1,
        uptime_ms=1,
    )
    await asyncio.to_thread(device.send, hello)
    rejection = await asyncio.to_thread(device.expect, Reject)
    assert (rejection.reason, "hand-1" in rejection.detail) == ("malformed", True)
    assert link.links[0].bad["wrong_topic"] == 1
    await end(task)


class AdoptingGate(KeepingGate):
    """Somebody has adopted everybody: who has no key is to be given one."""

    def key_to_provision(self, dispenser: str) -> bytes | None:
        return KEY


async def test_no_key_travels_in_clear(mqtt: Mqtt, store: str, device: HandClient) -> None:
    gate = AdoptingGate()
    _, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.expect, HelloRequest)
    hello = Hello(
        dispenser="hand-1",
        firmware="9",
        versions=(1, 2),
        nozzles=(),
        generation=1,
        lowest=1,
        next=1,
        nonce=bytes(16),
        boot=1,
        uptime_ms=1,
    )
    await asyncio.to_thread(device.send, hello)
    answer = await wait_until_async(
        lambda: next((message for message in device.read if isinstance(message, Reject | Provision)), None), 10, "No"
    )
    assert isinstance(answer, Reject), "the key was told to whoever listens at the broker"
    assert (answer.reason, "over TLS only" in answer.detail) == ("unadopted", True)
    await end(task)


async def test_rubbish_is_counted(mqtt: Mqtt, store: str, gate: KeepingGate, device: HandClient) -> None:
    link, task = serve(mqtt, store, gate)
    await asyncio.to_thread(device.open)
    large = encode_packet(msgspec.structs.replace(device.event(), sequence=1, body={9: bytes(15_000)}))
    device.sequence = 0
    for payload in (b"", b"\x01\x03\xff", b"\x01\x7f\xa0", b"\x09\x03\xa0", b"\x01\x03\xa0", large):
        await asyncio.to_thread(device.publish, payload)
    bad = {"oversize": 1, "invalid_body": 2, "invalid_cbor": 1, "unknown_type": 1, "unknown_version": 1}
    await wait_until_async(lambda: link.links[0].bad == bad, 5, "all were counted")
    await asyncio.to_thread(device.send, device.event())
    await wait_until_async(lambda: len(gate.waiting) == 1, 5, "the link goes on")
    await end(task)


async def test_a_broker_that_is_away_is_named(gate: KeepingGate) -> None:
    port = free_port()
    link = MqttLink(MqttSettings("127.0.0.1", port, "picante-x", "nowhere"), gate, gate)
    with pytest.raises(BrokerUnreachable, match=str(port)):
        await link.run()
