"""An MQTT broker <-> messages, for all dispensers of a store, through paho-mqtt.

paho's network loop runs in its own thread; everything else happens in the event loop's. The session is persistent
(clean session off, one client id) and acknowledgement is manual: a message's PUBACK goes out when its event is on disk,
so a broker keeps what a killed gateway had not stored. MQTT 3.1.1, which every broker speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from firmware_bridge.actions import Registry
from firmware_bridge.broker_refusal import knock, login_refused, refusal
from firmware_bridge.codec import BadMessage, decode_packet, encode_packet
from firmware_bridge.link import Gate, Link
from firmware_bridge.messages import DownMessage, Picks
from firmware_bridge.mqtt_settings import Credentials, MqttSettings
from firmware_bridge.session import Terms
from firmware_bridge.tap import NoTap, Tap
from firmware_bridge.topics import ONLINE, parse_topic, subscription, topic
from heat.errors import BrokerRefused, BrokerUnreachable, ConfigError, RemoteProtocolError

CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 15
TICK_S = 0.5
MAX_DISPENSERS = 500
"""Dispensers on one broker; a babbling client can't make the gateway hold more."""


class Companion(Protocol):
    """Who shares the gateway's one connection. All calls are made in the event loop's thread."""

    @property
    def filters(self) -> Sequence[str]:
        """Topics that it wants to hear, which are none of dispensers."""

    @property
    def will(self) -> tuple[str, bytes]:
        """What the broker shall retain once the connection is gone: topic and payload."""

    def connected(self, publish: Callable[[str, bytes], None]) -> None:
        """The broker is there; `publish` sends a retained message, topic and payload."""

    def disconnected(self) -> None:
        """It is gone, and nothing may be published any more."""

    def heard(self, topic: str, payload: bytes) -> None:
        """A message on one of its topics."""


class MqttLink:
    """One connection to the broker. Use it once: `run` connects and ends when the connection is lost."""

    def __init__(
        self,
        settings: MqttSettings,
        registry: Registry,
        gate: Gate,
        companion: Companion | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._tap = tap or NoTap()
        self._settings = settings
        self._companion = companion
        self._registry = registry
        self._gate = gate
        self._where = f"MQTT broker {settings.host}:{settings.port}"
        self._credentials = Credentials()
        self._links: dict[str, Link] = {}
        self._written: dict[int, Callable[[], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] | None = None
        self.bad: Counter[str] = Counter()
        """Messages that belong to no dispenser, by reason."""
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._client.max_queued_messages_set(10_000)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_socket_open = _send_at_once
        if companion is not None:
            self._client.will_set(*companion.will, qos=1, retain=True)

    @property
    def links(self) -> list[Link]:
        """The links of all dispensers that the broker told of."""
        return list(self._links.values())

    async def run(self) -> None:
        """Serve the broker until the connection is lost.

        Raises:
            BrokerUnreachable: it can't be reached, or went away.
            BrokerRefused: it and the gateway don't take each other, or a file of the credentials can't be used.
        """
        self._loop = asyncio.get_running_loop()
        self._connected, self._lost = self._loop.create_future(), self._loop.create_future()
        try:
            await self._connect()
            for leaf in ("up", "state"):
                self._client.subscribe(subscription(self._settings.store, leaf), qos=1)
            self._greet_companion()
            while not self._lost.done():
                for link in self.links:
                    link.tick()
                await asyncio.wait([self._lost], timeout=TICK_S)
            self._lost.result()
        except (OSError, TimeoutError, ValueError) as error:
            reason = str(error) or "no answer"
            tls = ", and is this its port for TLS" if self._credentials.tls is not None else ""
            raise BrokerUnreachable(f"{self._where}: {reason}", hint=f"Is it running, and reachable{tls}?") from error
        finally:
            for name in list(self._links):
                self._drop(name, "broker connection closed")
            if self._companion is not None:
                self._retain(*self._companion.will)  # what is left in good order leaves no will
                self._companion.disconnected()
            await asyncio.to_thread(self._stop)

    async def _connect(self) -> None:
        """Connect, and log in. What `run` raises, and OSError, TimeoutError, ValueError."""
        settings = self._settings
        assert self._connected is not None  # of this run
        try:
            credentials = await asyncio.to_thread(settings.credentials)
        except ConfigError as error:  # read well at the start: somebody is at it
            raise BrokerRefused(error.args[0], hint=error.hint) from error
        self._credentials = credentials
        if credentials.tls is not None:
            credentials.tls.sslsocket_class = _ClosedIfRefused
            self._client.tls_set_context(credentials.tls)
        if credentials.username is not None:
            self._client.username_pw_set(credentials.username, credentials.password)
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        try:
            await asyncio.to_thread(self._client.connect, settings.host, settings.port, KEEPALIVE_S)
            self._client.loop_start()
            await asyncio.wait_for(self._connected, CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            met: BaseException | None = error
            if credentials.tls is not None and not isinstance(error, ssl.SSLError):
                met = await asyncio.to_thread(knock, settings.host, settings.port, credentials.tls)
            if met is not None and (refused := refusal(met, self._where)) is not None:
                raise refused from error
            raise

    def _greet_companion(self) -> None:
        if self._companion is not None:
            for one in self._companion.filters:
                self._client.subscribe(one, qos=1)
            self._companion.connected(self._retain)

    def _retain(self, to: str, payload: bytes) -> None:
        self._client.publish(to, payload, qos=1, retain=True)

    def _stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # -- in paho's thread -------------------------------------------------------------------------------------------

    def _on_connect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._in_loop(self._note_connected, reason)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._in_loop(self._note_lost, reason)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        self._in_loop(self._note_subscribed, reasons)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._in_loop(self._receive, message, time.monotonic_ns())

    def _on_publish(self, _client: mqtt.Client, _data: object, mid: int, _reason: object, _properties: object) -> None:
        self._in_loop(self._note_written, mid)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None  # set before the network loop starts
        with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon is ending
            self._loop.call_soon_threadsafe(function, *arguments)

    # -- in the event loop ------------------------------------------------------------------------------------------

    def _note_connected(self, reason: ReasonCode) -> None:
        if self._connected is not None and not self._connected.done():
            if reason.is_failure:
                refused = login_refused(reason, self._where, self._credentials.username)
                self._connected.set_exception(refused or ConnectionRefusedError(str(reason)))
            else:
                self._connected.set_result(None)

    def _note_lost(self, reason: ReasonCode) -> None:
        self._end(ConnectionResetError(f"disconnected: {reason}"))

    def _note_subscribed(self, reasons: Sequence[ReasonCode]) -> None:
        if any(reason.is_failure for reason in reasons):
            hint = f"Grant it reading {subscription(self._settings.store, 'up')} and the like there"
            self._end(BrokerRefused(f"{self._where} lets the gateway hear no dispenser", hint=hint))

    def _end(self, error: Exception) -> None:
        for future in (self._connected, self._lost):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # seen, even if run() is past waiting for it

    def _note_written(self, mid: int) -> None:
        if (written := self._written.pop(mid, None)) is not None:
            written()

    def _receive(self, message: mqtt.MQTTMessage, read_ns: int) -> None:
        def done() -> None:
            self._client.ack(message.mid, message.qos)

        try:
            where = parse_topic(message.topic)
        except RemoteProtocolError:
            self._receive_other(message)
            done()
            return
        except UnicodeDecodeError:
            self.bad["topic"] += 1
            done()
            return
        if where.leaf == "state":
            self._note_state(where.dispenser, message.payload == ONLINE)
            done()
            return
        link = self._link(where.dispenser)
        if link is None:
            self.bad["too_many_dispensers"] += 1
            done()
            return
        payload = bytes(message.payload)
        self._tap.packet(link.name, "up", payload)
        decoded = decode_packet(payload)
        if isinstance(decoded, BadMessage):
            link.receive_bad(decoded)
            done()
        else:
            link.receive(decoded, read_ns, done)

    def _receive_other(self, message: mqtt.MQTTMessage) -> None:
        filters = self._companion.filters if self._companion is not None else ()
        if self._companion is not None and any(mqtt.topic_matches_sub(one, message.topic) for one in filters):
            self._companion.heard(message.topic, bytes(message.payload))
        else:
            self.bad["topic"] += 1

    def _note_state(self, dispenser: str, online: bool) -> None:
        if online:
            self._link(dispenser)
        elif dispenser in self._links:
            self._drop(dispenser, "offline")

    def _link(self, dispenser: str) -> Link | None:
        """The dispenser's link; a closed one is replaced by a new one."""
        link = self._links.get(dispenser)
        if link is not None and link.session.alive:
            return link
        if link is None and len(self._links) >= MAX_DISPENSERS:
            return None
        down = _Down(self, dispenser)
        terms = Terms(private=self._credentials.tls is not None)
        link = Link(_name(dispenser), down, self._registry, self._gate, expect=dispenser, terms=terms)
        self._links[dispenser] = link
        link.tick()
        return link

    def _drop(self, dispenser: str, reason: str) -> None:
        self._links.pop(dispenser).close(reason)

    def publish(self, to: str, message: DownMessage, version: int, written: Callable[[], None] | None) -> None:
        """Publish a message to a dispenser. PICKS are worth nothing later, so they go at QoS 0."""
        payload = encode_packet(message, version)
        self._tap.packet(_name(to), "down", payload)
        down = topic(self._settings.store, to, "down")
        info = self._client.publish(down, payload, qos=0 if isinstance(message, Picks) else 1)
        if written is not None:
            self._written[info.mid] = written
            if len(self._written) > MAX_DISPENSERS:
                self._written.pop(next(iter(self._written)))


def _name(dispenser: str) -> str:
    """What the link of a dispenser is called."""
    return f"mqtt:{dispenser}"


class _ClosedIfRefused(ssl.SSLSocket):
    """A socket that does not outlive a handshake that failed; paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _send_at_once(_client: mqtt.Client, _data: object, connection: object) -> None:
    """Turn Nagle's algorithm off: beside a delayed TCP acknowledgement it holds PICKS back for 40 ms."""
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Down:
    """The way down to one dispenser."""

    def __init__(self, owner: MqttLink, to: str) -> None:
        self._owner = owner
        self._to = to

    def send(self, message: DownMessage, version: int, written: Callable[[], None] | None = None) -> None:
        """See `Transport.send`."""
        self._owner.publish(self._to, message, version, written)
