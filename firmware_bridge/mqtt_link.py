"""An MQTT broker <-> messages, for all dispensers of a store.

A message's PUBACK goes out when its event is on disk, so a broker keeps what a killed gateway had not stored.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import paho.mqtt.client as mqtt

from firmware_bridge.actions import Registry
from firmware_bridge.broker import Broker
from firmware_bridge.codec import MAX_PACKET_BYTES, BadMessage, decode_packet, encode_packet
from firmware_bridge.link import Gate, Link
from firmware_bridge.messages import DownMessage, Picks
from firmware_bridge.mqtt_settings import MqttSettings
from firmware_bridge.session import Terms
from firmware_bridge.tap import NoTap, Tap
from firmware_bridge.topics import ONLINE, parse_topic, subscription, topic
from heat.errors import RemoteProtocolError

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
        self._store = settings.store
        self._companion = companion
        self._registry = registry
        self._gate = gate
        self._links: dict[str, Link] = {}
        self.bad: Counter[str] = Counter()
        """Messages that belong to no dispenser, by reason."""
        self.connected = False
        """Whether the broker serves it now."""
        self._broker = Broker(settings, self._receive, companion.will if companion is not None else None)

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
        try:
            await self._broker.connect()
            for leaf in ("up", "state"):
                self._broker.subscribe(subscription(self._store, leaf))
            self._greet_companion()
            self.connected = True
            while True:
                for link in self.links:
                    link.tick()
                await self._broker.wait_lost(TICK_S)
        finally:
            self.connected = False
            for name in list(self._links):
                self._drop(name, "broker connection closed")
            if self._companion is not None:
                self._companion.disconnected()
            await self._broker.aclose()

    def _greet_companion(self) -> None:
        if self._companion is not None:
            for one in self._companion.filters:
                self._broker.subscribe(one)
            self._companion.connected(self._broker.retain)

    def _receive(self, message: mqtt.MQTTMessage, read_ns: int) -> None:
        done = functools.partial(self._broker.acknowledge, message)
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
        self._tap.packet(link.name, "up", payload[: MAX_PACKET_BYTES + 1])  # one more shows that it was too long
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
        terms = Terms(private=self._broker.private)
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
        self._broker.publish(topic(self._store, to, "down"), payload, 0 if isinstance(message, Picks) else 1, written)


def _name(dispenser: str) -> str:
    """What the link of a dispenser is called."""
    return f"mqtt:{dispenser}"


class _Down:
    """The way down to one dispenser."""

    def __init__(self, owner: MqttLink, to: str) -> None:
        self._owner = owner
        self._to = to

    def send(self, message: DownMessage, version: int, written: Callable[[], None] | None = None) -> None:
        """See `Transport.send`."""
        self._owner.publish(self._to, message, version, written)
