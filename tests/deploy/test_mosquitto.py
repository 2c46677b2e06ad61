"""The shop's broker with the very configuration of `deploy/mosquitto/`: who comes in, and who may say and hear what."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.broker_refusal import knock
from tests.certificates import Authority as OtherAuthority
from tests.certificates import Pair
from tests.secure_mosquitto import STORE, SecureMosquitto
from tests.serving import serving
from tests.waiting import wait_until

PATIENCE_S = 0.5
"""Seconds; here a refusal comes within milliseconds."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMosquitto]:
    yield from serving(SecureMosquitto, tmp_path_factory.mktemp("shop"))


class Client:
    """A client with a certificate; what it heard, and whether it is still connected."""

    def __init__(self, broker: SecureMosquitto, pair: Pair, *, client_id: str | None = None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._subscribed, self.connected = threading.Event(), threading.Event()
        self.lost = threading.Event()
        name = client_id or f"c-{secrets.token_hex(4)}"
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, reconnect_on_failure=False)
        self.client.tls_set_context(broker.context(pair))
        self.client.on_connect = lambda *_: self.connected.set()
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = lambda _c, _d, message: self.heard.append((message.topic, bytes(message.payload)))
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert self.connected.wait(20)

    def hear(self, *filters: str) -> None:
        for one in filters:
            self._subscribed.clear()
            self.client.subscribe(one, 1)
            assert self._subscribed.wait(20)

    def say(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> None:
        """Publish, and wait for the PUBACK, which the broker gives whether it lets the message through or not."""
        self.client.publish(topic, payload, 1, retain).wait_for_publish(5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def clients(broker: SecureMosquitto, *whom: str) -> Iterator[list[Client]]:
    """Clients by name: `gateway`, `home-assistant`, `auditor` (who hears all), or a dispenser's."""
    made: list[Client] = []
    try:
        for name in whom:
            made.append(Client(broker, pair_of(broker, name)))  # noqa: PERF401 -- closed if the next one fails
        yield made
    finally:
        for one in made:
            one.close()


def pair_of(broker: SecureMosquitto, name: str) -> Pair:
    match name:
        case "gateway" | "home-assistant":
            return broker.pair(name)
        case "auditor":
            return broker.auditor()
        case _:
            return broker.pair("dispenser", name)


def up(dispenser: str, leaf: str = "up", store: str = STORE) -> str:
    return f"picante/v1/{store}/{dispenser}/{leaf}"


# -- who comes in -----------------------------------------------------------------------------------------------------


def refused(broker: SecureMosquitto, pair: Pair | None) -> str:
    """What the broker says to a certificate, in OpenSSL's word; empty if it has nothing against it."""
    met = knock(broker.host, broker.port, broker.context(pair), PATIENCE_S)
    assert met is None or isinstance(met, ssl.SSLError), met
    return met.reason or "" if met is not None else ""


def test_nobody_comes_in_without_a_good_certificate(broker: SecureMosquitto, tmp_path: Path) -> None:
    foreign = OtherAuthority(tmp_path, "Test")  # of the same name, by another key
    assert refused(broker, None) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert refused(broker, foreign.sign("bar-1")).endswith(("UNKNOWN_CA", "DECRYPT_ERROR"))
    assert refused(broker, broker.pair("dispenser", "bar-1")) == ""


def test_an_expired_certificate_is_refused(broker: SecureMosquitto) -> None:
    own = OtherAuthority.of(broker.authority / "ca.pem")
    assert refused(broker, own.sign("bar-9", expired=True)) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"


def test_what_was_revoked_is_out_after_a_restart_and_a_new_one_is_in(tmp_path: Path) -> None:
    with SecureMosquitto(tmp_path / "shop") as broker:
        lost, other = broker.pair("dispenser", "bar-1"), broker.pair("dispenser", "bar-2")
        kept = Pair(tmp_path / "kept.pem", tmp_path / "kept.key")
        kept.certificate.write_bytes(lost.certificate.read_bytes())
        kept.key.write_bytes(lost.key.read_bytes())
        thief = Client(broker, kept)
        broker.revoke("bar-1")
        broker.restart()
        assert thief.lost.wait(20), "its open connection ended, too"
        thief.close()
        assert refused(broker, kept) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
        assert refused(broker, other) == ""
        assert refused(broker, broker.pair("dispenser", "bar-1")) == "", "its successor is another certificate"


# -- who may say and hear what ----------------------------------------------------------------------------------------


def test_a_dispenser_says_its_own_and_nothing_else(broker: SecureMosquitto) -> None:
    with clients(broker, "auditor", "bar-1") as (auditor, bar):
        auditor.hear("#")
        for topic in (
            up("bar-2"),
            up("bar-2", "state"),
            up("bar-1", "down"),
            up("bar-2", "down"),
            up("bar-1", store="shop-2"),
            "homeassistant/device/shop-1/bar-1/config",
            "picante/home/shop-1/bar-1/state",
            "anything",
        ):
            bar.say(topic, b"forged")
        bar.say(up("bar-1"), b"own")
        bar.say(up("bar-1", "state"), b"online")
        wait_until(lambda: len(auditor.heard) >= 2, 5, "its own came")
        assert auditor.heard == [(up("bar-1"), b"own"), (up("bar-1", "state"), b"online")]


def test_a_dispenser_hears_what_is_for_it_and_nothing_else(broker: SecureMosquitto) -> None:
    with clients(broker, "gateway", "bar-1", "bar-2") as (gateway, bar, other):
        bar.hear("#", up("bar-2", "down"), "picante/v1/+/+/down", up("+", "state"), up("+"))
        other.say(up("bar-2"), b"secret")
        other.say(up("bar-2", "state"), b"online")
        gateway.say(up("bar-2", "down"), b"not for bar-1")
        gateway.say("picante/home/shop-1/bar-2/state", b"not for bar-1")
        gateway.say(up("bar-1", "down"), b"for bar-1")
        wait_until(lambda: bar.heard, 5, "its own came")
        assert set(bar.heard) == {(up("bar-1", "down"), b"for bar-1")}


def test_the_gateway_can_not_speak_as_a_dispenser(broker: SecureMosquitto) -> None:
    with clients(broker, "gateway") as (gateway,):
        gateway.hear(up("+"))
        gateway.say(up("bar-1"), b"forged")
        gateway.hear("homeassistant/device/shop-1/+/config")
        gateway.say("homeassistant/device/shop-1/bar-1/config", b"{}")
        wait_until(lambda: gateway.heard, 5, "what it may say came")
        assert gateway.heard == [("homeassistant/device/shop-1/bar-1/config", b"{}")]


def test_nobody_takes_over_the_session_of_another(broker: SecureMosquitto) -> None:
    gateway = Client(broker, broker.pair("gateway"), client_id="picante-gw-1")
    thief = Client(broker, broker.pair("dispenser", "bar-1"), client_id="picante-gw-1")
    try:
        gateway.hear(up("+"))
        thief.say(up("bar-1"), b"still there")
        wait_until(lambda: gateway.heard, 5, "the gateway goes on")
        assert not gateway.lost.is_set()
        # it is the name in the certificate that counts
        again = Client(broker, broker.pair("gateway"), client_id="another")
        assert gateway.lost.wait(20)
        again.close()
    finally:
        gateway.close()
        thief.close()


def test_what_is_too_large_ends_its_sender_alone(broker: SecureMosquitto) -> None:
    with clients(broker, "gateway", "bar-1") as (gateway, bar):
        gateway.hear(up("+"))
        bar.client.publish(up("bar-1"), bytes(20_000), 1)
        assert bar.lost.wait(20)
        assert not gateway.lost.is_set()
        assert gateway.heard == []
