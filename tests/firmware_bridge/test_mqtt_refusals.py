"""What the gateway says when the broker and it don't take each other, on a real Mosquitto; and that it mends itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import publish

from cloud_sync.supervisor import Supervisor
from firmware_bridge.mqtt_link import MqttLink
from firmware_bridge.mqtt_settings import Credentials, MqttSettings
from firmware_bridge.topics import ONLINE, topic
from gateway.config import load_config
from gateway.parts import run_mqtt
from gateway.security import load_credentials
from heat.errors import BrokerRefused, BrokerUnreachable
from tests.certificates import Authority, Pair
from tests.firmware_bridge.gate import KeepingGate
from tests.flow.world import Mqtt
from tests.gateway.web.conftest import inside_of
from tests.secure_mosquitto import STORE, SecureMosquitto
from tests.servers import MosquittoServer
from tests.serving import serving
from tests.waiting import wait_until_async


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMosquitto]:
    yield from serving(SecureMosquitto, tmp_path_factory.mktemp("shop"))


@pytest.fixture
def gate() -> KeepingGate:
    return KeepingGate()


@pytest.fixture(scope="module")
def made_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody here trusts."""
    return Authority(tmp_path_factory.mktemp("elsewhere"), "Elsewhere")


async def refusal(gate: KeepingGate, host: str, port: int, credentials: Credentials) -> str:
    """What the link raises as a refusal."""
    link = MqttLink(MqttSettings(host, port, "picante-gw-1", STORE, lambda: credentials), gate, gate)
    with pytest.raises(BrokerRefused) as caught:
        await link.run()
    return str(caught.value)


def trusting(ca: Path, pair: Pair | None = None) -> Credentials:
    tls = ssl.create_default_context(cafile=str(ca))
    if pair is not None:
        tls.load_cert_chain(pair.certificate, pair.key)
    return Credentials(tls)


async def test_whom_the_gateway_does_not_trust(
    broker: SecureMosquitto, made_elsewhere: Authority, gate: KeepingGate
) -> None:
    own = broker.pair("gateway")
    said = await refusal(gate, broker.host, broker.port, trusting(made_elsewhere.certificate, own))
    assert f"MQTT broker 127.0.0.1:{broker.port} is not trusted" in said
    assert "into the file that mqtt.ca names" in said
    said = await refusal(gate, "localhost", broker.port, trusting(broker.ca, own))
    assert "is for another name. Write its name as in the certificate in [mqtt] host" in said


@pytest.mark.parametrize(("kind", "said"), [("expired", "has expired"), ("early", "is not valid yet")])
async def test_a_broker_whose_certificate_is_not_of_today(
    tmp_path: Path, gate: KeepingGate, kind: str, said: str
) -> None:
    authority = Authority(tmp_path / "own", "Own")
    pair = authority.sign("broker", expired=kind == "expired", early=kind == "early")

    class Dated(SecureMosquitto):
        def _install(self) -> Path:
            place = super()._install()
            shutil.copy(pair.certificate, place / "broker.pem")
            shutil.copy(pair.key, place / "broker.key")
            return place

    with Dated(tmp_path / "shop") as broker:
        found = await refusal(gate, broker.host, broker.port, trusting(authority.certificate))
    assert said in found
    assert "clock" in found


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("nobody", "it is missing. Have one made by the broker's authority"),
        ("expired", "it has expired, or this machine's clock is wrong. Have it renewed"),
        ("revoked", "it was revoked. Have a new one made"),
        ("foreign", "it is of an authority that it does not trust"),
    ],
)
async def test_whom_the_broker_does_not_let_in(
    broker: SecureMosquitto, made_elsewhere: Authority, gate: KeepingGate, tmp_path: Path, who: str, said: str
) -> None:
    match who:
        case "nobody":
            pair = None
        case "expired":
            pair = Authority.of(broker.authority / "ca.pem").sign("late", expired=True)
        case "revoked":
            pair = broker.pair("dispenser", "lost-1")
            broker.revoke("lost-1")
            await asyncio.to_thread(broker.restart)
        case _:
            pair = made_elsewhere.sign("picante.gateway")
    found = await refusal(gate, broker.host, broker.port, trusting(broker.ca, pair))
    assert f"MQTT broker 127.0.0.1:{broker.port} refuses the gateway's certificate: " in found
    assert said in found


async def test_tls_with_a_port_that_speaks_none(mqtt: Mqtt, made_elsewhere: Authority, gate: KeepingGate) -> None:
    # Mosquitto takes a ClientHello for a bad CONNECT, and hangs up without a word
    link = MqttLink(
        MqttSettings(mqtt.host, mqtt.port, "gw", STORE, lambda: trusting(made_elsewhere.certificate)), gate, gate
    )
    with pytest.raises(BrokerUnreachable, match=f"{mqtt.port}: .*is this its port for TLS"):
        await link.run()


async def test_a_login(tmp_path: Path, gate: KeepingGate) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("gw-1:$7$101$AAAAAAAAAAAAAAAA$" + "A" * 86 + "==\n")

    class Closed(MosquittoServer):
        def _settings(self, autosave_s: int) -> str:
            text = super()._settings(autosave_s).replace("allow_anonymous true", "allow_anonymous false")
            return f"{text}password_file {passwords}\n"

        def _serves(self) -> bool:
            return "running" in self.log_end()

    with Closed(tmp_path / "mosquitto") as broker:
        found = await refusal(gate, broker.host, broker.port, Credentials(None, "gw-1", "wrong"))
        assert "refuses user gw-1: not authorized. Mend mqtt.username in gateway.toml" in found
        assert "wrong" not in found
        assert "refuses the gateway" in await refusal(gate, broker.host, broker.port, Credentials())


async def test_the_page_says_who_refuses_whom_and_what_to_do(broker: SecureMosquitto, tmp_path: Path) -> None:
    late = Authority.of(broker.authority / "ca.pem").sign("late", expired=True)
    more = (
        f'[mqtt]\nport = {broker.port}\ntls = true\nca = "{broker.ca}"\n'
        f'certificate = "{late.certificate}"\nkey = "{late.key}"\n'
    )
    async with inside_of(tmp_path, more) as inside:
        state, section = inside.state, inside.state.config.mqtt
        assert section is not None
        task = asyncio.create_task(state.supervisor.run("mqtt", lambda: run_mqtt(state, section, None)))
        repair = await inside.repair("part_failing")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    where, why = f"MQTT broker 127.0.0.1:{broker.port}", "it has expired, or this machine's clock is wrong"
    assert repair["what"] == f"mqtt fails: {where} refuses the gateway's certificate: {why}"
    assert repair["steps"][0] == "Have it renewed, and put it where mqtt.certificate and mqtt.key in gateway.toml say"


async def test_a_mended_certificate_counts_without_a_restart(
    broker: SecureMosquitto, gate: KeepingGate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late, good = Authority.of(broker.authority / "ca.pem").sign("late", expired=True), broker.pair("gateway")
    shutil.copy(late.certificate, tmp_path / "own.pem")
    shutil.copy(late.key, tmp_path / "own.key")
    (tmp_path / "gateway.toml").write_text(
        f'[gateway]\nid = "gw-1"\nstore = "{STORE}"\nregion = "r"\n[mqtt]\nport = {broker.port}\ntls = true\n'
        f'ca = "{broker.ca}"\ncertificate = "own.pem"\nkey = "own.key"\n'
    )
    known = functools.partial(load_credentials, load_config(tmp_path / "gateway.toml"))
    settings = MqttSettings(broker.host, broker.port, "gw", STORE, known)
    bar, tls = broker.pair("dispenser", "bar-1"), {"ca_certs": str(broker.ca)}
    publish.single(
        topic(STORE, "bar-1", "state"),
        ONLINE,
        qos=1,
        retain=True,
        hostname=broker.host,
        port=broker.port,
        tls=tls | {"certfile": str(bar.certificate), "keyfile": str(bar.key)},  # type: ignore[arg-type]
    )
    supervisor, links = Supervisor(), [MqttLink(settings, gate, gate)]

    async def run() -> None:
        links.append(MqttLink(settings, gate, gate))
        await links[-1].run()

    with caplog.at_level(logging.INFO, "cloud_sync.supervisor"):
        task = asyncio.create_task(supervisor.run("mqtt", run))
        await wait_until_async(lambda: len(links) > 3, 20, "it was refused, and tried again")
        part = supervisor.parts["mqtt"]
        assert "has expired" in str(part.error)
        shutil.copy(good.key, tmp_path / "own.key")  # for a moment the two don't fit
        await wait_until_async(lambda: "does not fit" in str(part.error), 20, "half of it is new")
        assert part.state == "waiting"
        shutil.copy(good.certificate, tmp_path / "own.pem")
        await wait_until_async(lambda: links[-1].links, 20, "it is connected, and hears a dispenser")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert [record.name for record in caplog.records].count("cloud_sync.supervisor") == 1, "told once"
