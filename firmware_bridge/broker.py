"""One connection to an MQTT broker, through paho-mqtt: credentials, TLS, and what ends it, in our words.

paho's network loop runs in its own thread; everything else happens in the event loop's. The session is persistent
(clean session off, one client id) and acknowledgement is manual: a message's PUBACK goes out when its owner says so, so
a broker keeps what a killed gateway had not stored. MQTT 3.1.1, which every broker speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from firmware_bridge.broker_refusal import knock, login_refused, refusal
from firmware_bridge.mqtt_settings import Credentials, MqttSettings
from heat.errors import BrokerRefused, BrokerUnreachable, ConfigError

CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 15
MAX_AWAITED = 500
"""Messages whose sending somebody waits to be told of."""
LARGE_BYTES = 1_100
"""Bytes of a payload from which on a broker may take it for too large: no frame has as many."""

Receive = Callable[[mqtt.MQTTMessage, int], None]
"""Takes a message, and `time.monotonic_ns()` when it was read. It must be acknowledged, sooner or later."""


class Broker:
    """A connection, to be used once. Its methods belong to the event loop's thread, but for those marked."""

    def __init__(self, settings: MqttSettings, receive: Receive, will: tuple[str, bytes] | None) -> None:
        self.private = False
        """Whether nobody can read along."""
        self._settings = settings
        self._receive = receive
        self._will = will
        self._where = f"MQTT broker {settings.host}:{settings.port}"
        self._credentials = Credentials()
        self._written: dict[int, Callable[[], None]] = {}
        self._large: dict[int, int] = {}
        """Bytes of large messages that the broker has not taken yet, by their number."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] | None = None
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._client.max_queued_messages_set(10_000)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_socket_open = _send_at_once
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)

    async def connect(self) -> None:
        """Connect, and log in.

        Raises:
            BrokerUnreachable: it does not answer.
            BrokerRefused: it and the gateway don't take each other, or a file of the credentials can't be used.
        """
        settings, self._loop = self._settings, asyncio.get_running_loop()
        self._connected, self._lost = self._loop.create_future(), self._loop.create_future()
        await self._prove()
        try:
            await asyncio.to_thread(self._client.connect, settings.host, settings.port, KEEPALIVE_S)
            self._client.loop_start()
            await asyncio.wait_for(self._connected, CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError, BrokerUnreachable) as error:
            if isinstance(error, BrokerRefused):
                raise
            raise await self._reason(error) from error

    async def wait_lost(self, timeout_s: float) -> None:
        """Wait so long at most. Raises what `connect` raises, once the connection is lost."""
        assert self._lost is not None  # connected first
        await asyncio.wait([self._lost], timeout=timeout_s)
        if self._lost.done():
            self._lost.result()

    async def aclose(self) -> None:
        """Leave; what is left in good order leaves no will, so it is said before."""
        if self._will is not None:
            self.retain(*self._will)

        def stop() -> None:
            self._client.disconnect()
            self._client.loop_stop()

        await asyncio.to_thread(stop)

    def subscribe(self, topics: str) -> None:
        """Hear what fits a filter, at QoS 1."""
        self._client.subscribe(topics, qos=1)

    def publish(self, to: str, payload: bytes, qos: int, written: Callable[[], None] | None = None) -> None:
        """Send a message. `written` is called once it is out (QoS 0) or the broker has it."""
        info = self._client.publish(to, payload, qos=qos)
        if written is not None:
            self._written[info.mid] = written
            if len(self._written) > MAX_AWAITED:
                self._written.pop(next(iter(self._written)))

    def retain(self, to: str, payload: bytes) -> None:
        """Send a message that the broker keeps for whoever comes later; an empty one takes it back."""
        info = self._client.publish(to, payload, qos=1, retain=True)
        if len(payload) >= LARGE_BYTES and len(self._large) < MAX_AWAITED:
            self._large[info.mid] = len(payload)

    def acknowledge(self, message: mqtt.MQTTMessage) -> None:
        """Let the broker forget a message."""
        self._client.ack(message.mid, message.qos)

    # -- who is who ---------------------------------------------------------------------------------------------------

    async def _prove(self) -> None:
        """Read the credentials, for this connection."""
        try:
            credentials = await asyncio.to_thread(self._settings.credentials)
        except ConfigError as error:  # read well at the start: somebody is at it
            raise BrokerRefused(error.args[0], hint=error.hint) from error
        self._credentials, self.private = credentials, credentials.tls is not None
        if credentials.tls is not None:
            credentials.tls.sslsocket_class = _ClosedIfRefused
            self._client.tls_set_context(credentials.tls)
        if credentials.username is not None:
            self._client.username_pw_set(credentials.username, credentials.password)

    async def _reason(self, error: BaseException) -> BrokerUnreachable:
        """Why there is no connection; with TLS, somebody may have been refused."""
        met: BaseException | None = error
        settings, tls = self._settings, self._credentials.tls
        if tls is not None and not isinstance(error, ssl.SSLError):
            met = await asyncio.to_thread(knock, settings.host, settings.port, tls)
        refused = refusal(met, self._where) if met is not None else None
        return refused or (error if isinstance(error, BrokerUnreachable) else self._away(str(error) or "no answer"))

    def _cut(self, reason: ReasonCode) -> BrokerUnreachable:
        """The connection was ended; a broker of MQTT 3.1.1 does not say why."""
        if not self._large:
            return self._away(f"disconnected: {reason}")
        hint = "If this comes again and again, raise its limit (max_packet_size), or set home_assistant = false"
        size = max(self._large.values())
        return BrokerUnreachable(f"{self._where}: disconnected while it was sent {size:,} bytes at once", hint=hint)

    def _away(self, reason: str) -> BrokerUnreachable:
        tls = ", and is this its port for TLS" if self._credentials.tls is not None else ""
        return BrokerUnreachable(f"{self._where}: {reason}", hint=f"Is it running, and reachable{tls}?")

    # -- in paho's thread ---------------------------------------------------------------------------------------------

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

    # -- in the event loop --------------------------------------------------------------------------------------------

    def _note_connected(self, reason: ReasonCode) -> None:
        if reason.is_failure:
            refused = login_refused(reason, self._where, self._credentials.username)
            self._end(refused or self._away(f"refused: {reason}"))
        elif self._connected is not None and not self._connected.done():
            self._connected.set_result(None)

    def _note_lost(self, reason: ReasonCode) -> None:
        self._end(self._cut(reason))

    def _note_subscribed(self, reasons: Sequence[ReasonCode]) -> None:
        if any(reason.is_failure for reason in reasons):
            hint = f"Grant it there what deploy/mosquitto/acl grants it, with the store {self._settings.store}"
            self._end(BrokerRefused(f"{self._where} lets the gateway hear no dispenser", hint=hint))

    def _end(self, error: BrokerUnreachable) -> None:
        for future in (self._connected, self._lost):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # seen, even if nobody waits any more

    def _note_written(self, mid: int) -> None:
        self._large.pop(mid, None)
        if (written := self._written.pop(mid, None)) is not None:
            written()


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
