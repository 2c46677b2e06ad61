"""An MQTT dispenser: its firmware behind a broker, through paho-mqtt (MQTT 3.1.1, a persistent session).

paho's network loop has its own thread and reconnects by itself; everything else happens in the event loop's. The link
counts as up once the broker has confirmed the subscription, so that no WELCOME can be missed. A PUBACK makes room for
the next message and says nothing else: events are freed by the gateway's ACK.

An unplugged cable is a socket that ends without a DISCONNECT, so the broker publishes the last will. Plugging it in
again is another boot of the network chip: what the old client had queued is gone, and the firmware sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.codec import BadMessage, decode_packet
from firmware_bridge.topics import OFFLINE, ONLINE, Leaf, topic
from heat.errors import ConfigError
from hw_sim.faults import Faults
from hw_sim.firmware import Talker

KEEPALIVE_S = 15
IN_FLIGHT = 64
"""Messages that may wait for their PUBACK: enough for a round trip, few enough that an ASK is not held up."""
RECONNECT_S = (1, 8)
"""Seconds before the first and between later attempts to reach the broker."""

BABBLE_S = 0.02
"""s between two packets of garbage."""
CONNECT_TIMEOUT_S = 3.0
GOODBYE_S = 1.0
"""Seconds that a goodbye may take; a broker that is slower finds out by itself."""


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where the broker is, and who we are there."""

    host: str
    port: int
    store: str
    dispenser: str
    tls: Callable[[], ssl.SSLContext] | None = None
    """Asked at each plugging; None: in clear."""


class MqttLine:
    """The firmware's network chip. All methods belong to the event loop's thread, but for those marked."""

    def __init__(self, firmware: Talker, settings: MqttSettings, faults: Faults) -> None:
        self.bad_frames = 0
        self._firmware = firmware
        self._settings = settings
        self._faults = faults
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: mqtt.Client | None = None
        self._connected = False
        self._in_flight: set[int] = set()
        self._babbles_until_s = 0.0

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._client is not None

    def plug(self) -> None:
        """Connect, and keep connecting."""
        if self._client is None:
            self._loop = asyncio.get_running_loop()
            self._client = self._new_client()
            self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
            self._client.loop_start()

    def unplug(self) -> None:
        """End the connection as a pulled cable does."""
        client = self._client
        if client is None:
            return
        self._forget()
        with contextlib.suppress(OSError):
            if isinstance(connection := client.socket(), socket.socket):
                connection.shutdown(socket.SHUT_RDWR)
        # joins paho's thread, which may sleep between two attempts
        threading.Thread(target=client.loop_stop, daemon=True).start()

    async def aclose(self) -> None:
        """Say `offline`, and disconnect."""
        client, connected = self._client, self._connected
        self._babbles_until_s = 0.0
        if client is None:
            return
        self._forget()
        left = asyncio.Event()
        client.on_disconnect = lambda *_: self._in_loop(left.set)
        if connected:
            client.publish(self._topic("state"), OFFLINE, qos=1, retain=True)
        client.disconnect()
        if connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await left.wait()

    def babble(self, seconds: float) -> None:
        """Publish noise for so long, and nothing else."""
        self._babbles_until_s = asyncio.get_running_loop().time() + seconds
        self._babble()

    def _babble(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._babbles_until_s:
            self.wake()
            return
        if self._client is not None and self._connected:
            self._client.publish(self._topic("up"), self._faults.garbage(), 0)
        loop.call_later(BABBLE_S, self._babble)

    def wake(self) -> None:
        """The firmware may have something to say: send it while the broker keeps up."""
        client = self._client
        if self._loop is not None and self._loop.time() < self._babbles_until_s:
            return
        while client is not None and self._connected and len(self._in_flight) < IN_FLIGHT:
            said = self._firmware.next_packet()
            if said is None:
                self._firmware.set_alarm(self.wake)
                return
            payload, qos = said
            for packet in self._faults.pass_on(payload):
                info = client.publish(self._topic("up"), packet, qos)
                if qos:
                    self._in_flight.add(info.mid)

    # -- the connection -----------------------------------------------------------------------------------------------

    def _new_client(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"picante-{settings.store}-{settings.dispenser}"[:64],
            clean_session=False,
        )
        if settings.tls is not None:
            client.tls_set_context(settings.tls())
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.will_set(self._topic("state"), OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(*RECONNECT_S)
        client.max_inflight_messages_set(2 * IN_FLIGHT)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._in_loop(self._note_up, client)
        client.on_disconnect = lambda *_: self._in_loop(self._note_down, client)
        client.on_publish = lambda _client, _userdata, mid, *_: self._in_loop(self._note_puback, client, mid)
        client.on_message = lambda _client, _userdata, message: self._in_loop(self._note_message, message.payload)
        return client

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        """In paho's thread. A broker may have lost the session, so subscribe every time."""
        client.publish(self._topic("state"), ONLINE, qos=1, retain=True)
        client.subscribe(self._topic("down"), qos=1)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        """From paho's thread into the event loop's."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the simulator is ending
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)

    def _note_up(self, client: mqtt.Client) -> None:
        if client is self._client:
            self._connected = True
            self._in_flight.clear()
            self._firmware.link_up()
            self.wake()

    def _note_down(self, client: mqtt.Client) -> None:
        if client is self._client and self._connected:
            self._connected = False
            self._firmware.link_down()

    def _note_puback(self, client: mqtt.Client, mid: int) -> None:
        if client is self._client:
            self._in_flight.discard(mid)
            self.wake()

    def _note_message(self, payload: bytes) -> None:
        message = decode_packet(payload)
        if isinstance(message, BadMessage):
            self.bad_frames += 1
        elif self._connected:
            self._firmware.receive(message)
            self.wake()

    def _forget(self) -> None:
        self._client, self._connected = None, False
        self._firmware.link_down()

    def _topic(self, leaf: Leaf) -> str:
        return topic(self._settings.store, self._settings.dispenser, leaf)


def trust(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """A dispenser's side of TLS: whom it trusts, and who it is. Raises ConfigError."""
    try:
        tls = ssl.create_default_context(cafile=str(ca))
        tls.load_cert_chain(certificate, key)
    except OSError as error:  # of OpenSSL's too
        hint = "mqtt.ca and mqtt.certificates of the scenario name what picante gateway pki makes"
        raise ConfigError(f"{ca}, {certificate} or {key}: {error}", hint=hint) from error
    return tls


def _send_at_once(_client: mqtt.Client, _userdata: object, connection: object) -> None:
    """An ASK right after an EVENT would wait 40 ms for the broker's delayed TCP acknowledgement."""
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
