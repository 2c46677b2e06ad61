"""A dispenser's life on a real port: new, adopted, named, given another key, forgotten; and its keys are seen nowhere.

Processes all: the simulator, the gateway without a Kafka, and the technician's commands. The gateway is killed between
the steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from firmware_bridge.messages import Ready, Reject, Welcome
from firmware_bridge.proofs import key_id, ready_mac
from gateway.keyring import FILE
from hw_sim.control import call
from hw_sim.eeprom import read_contents
from hw_sim.simulation import eeprom_path
from picante.cli import main
from tests.flow.world import PSEUDONYM_KEY, Process, World
from tests.hand_device import HandDevice
from tests.secure_mosquitto import SecureMosquitto
from tests.servers import free_port
from tests.serving import serving
from tests.waiting import wait_until

SCENARIO = """\
store = "shop-1"
[[dispensers]]
id = "bar-7"
factory_new = true
nozzles = ["table-red", "mango-fresno"]
[load]
events_per_s = 20
total = 40
"""
GATEWAY = """\
[gateway]
id = "gw-1"
store = "shop-1"
region = "south"
data_dir = "gateway"
ballast_mb = 0
[serial]
ports = ["{directory}/sim/ports/usb-picante-*", "{directory}/hand/*"]
[http]
port = {http}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[World]:
    port = free_port()
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    (tmp_path / "gateway.toml").write_text(GATEWAY.format(directory=tmp_path, http=port))
    (tmp_path / "pseudonym.toml").touch(0o600)
    (tmp_path / "pseudonym.toml").write_text(f'version = 1\nkey = "{PSEUDONYM_KEY.hex()}"\n')
    shop = World(tmp_path, "gw-1", "", port)
    try:
        yield shop
    finally:
        for process in (*TRACES, shop.sim, shop.gateway):
            if process is not None:
                process.stop()
        TRACES.clear()


def say(shop: World, *words: str, status: int = 0, typed: str | None = None) -> str:
    """What `picante dispensers` says."""
    arguments = ["dispensers", words[0], "--config", str(shop.directory / "gateway.toml"), *words[1:]]
    result = CliRunner().invoke(main, arguments, input=typed)
    assert result.exit_code == status, result.output
    SAID.append(result.output)
    return result.output


SAID: list[str] = []
"""All that was said, to be looked through for keys."""


def view(shop: World, name: str = "bar-7") -> dict[str, Any]:
    """A dispenser, by the API; nothing, if it does not know it."""
    found: list[dict[str, Any]] = shop.get("/api/v1/dispensers")["dispensers"]
    return next((one for one in found if one["name"] == name), {})


def is_online(shop: World) -> bool:
    return bool(view(shop).get("online"))


def held_key(shop: World) -> bytes:
    """The key in the dispenser's EEPROM."""
    key = read_contents(eeprom_path(shop.directory / "sim", "bar-7")).key
    assert key is not None
    return key


def start(shop: World) -> None:
    """Start the gateway, and record what passes on its links as long as it lives."""
    shop.start_gateway()
    out = shop.directory / f"trace-{len(TRACES)}.jsonl"
    arguments = ("gateway", "trace", "--config", "gateway.toml", "--out", str(out))
    TRACES.append(Process(shop.directory, out.stem, *arguments))
    wait_until(out.exists, 20, "it is recorded")


TRACES: list[Process] = []


def kill(shop: World) -> None:
    """SIGKILL the gateway, and start it again."""
    assert shop.gateway is not None
    shop.gateway.kill()
    start(shop)


def repairs(shop: World) -> dict[str, str]:
    told: list[dict[str, Any]] = shop.get("/api/v1/status")["repairs"]
    return {one["code"]: f"{one['what']}. {' '.join(one['steps'])}" for one in told}


FLEET = """\
[dispensers.bar-7]
name = "Terrace"
planogram = { 2 = "reaper-raw" }
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecureMosquitto]:
    yield from serving(SecureMosquitto, tmp_path / "mosquitto")


def test_over_tls_a_fleet_adopts_itself(shop: World, broker: SecureMosquitto) -> None:
    own, where = broker.pair("gateway"), f'host = "{broker.host}"\nport = {broker.port}\nca = "{broker.ca}"\n'
    broker.pair("dispenser", "bar-7")
    mqtt = f'[mqtt]\n{where}certificates = "{broker.authority / "dispensers"}"\n'
    scenario = SCENARIO.replace('id = "bar-7"', 'id = "bar-7"\nlink = "mqtt"').replace("40", "5")
    (shop.directory / "scenario.toml").write_text(scenario + mqtt)
    (shop.directory / "fleet.toml").touch(0o600)
    (shop.directory / "fleet.toml").write_text(FLEET)
    config = shop.directory / "gateway.toml"
    tls = f'[mqtt]\n{where}tls = true\ncertificate = "{own.certificate}"\nkey = "{own.key}"\n'
    config.write_text(config.read_text() + f'[keys]\nprovisioning = "fleet.toml"\n{tls}')
    shop.start_gateway()
    start_dispensers(shop)
    wait_until(lambda: is_online(shop) and shop.stored() >= 5, 60, "it was let in by itself")
    assert held_key(shop).hex().encode() in (shop.directory / "gateway" / FILE).read_bytes()
    wait_until(lambda: [nozzle["sauce"] for nozzle in view(shop)["nozzles"]] == ["table-red", "reaper-raw"], 30, "told")
    assert view(shop)["label"] == "Terrace"


def test_a_dispenser_s_life(shop: World) -> None:
    SAID.clear()
    start(shop)
    assert "No dispenser has spoken" in say(shop, "list")
    start_dispensers(shop)
    waits(shop)
    first = is_adopted(shop)
    is_named_and_planned(shop)
    second = takes_another_key(shop, first)
    replays_are_refused(shop, first)
    is_forgotten_and_let_in_with_its_key(shop, second)
    third = is_reset(shop)
    assert len({first, second, third}) == 3
    nowhere(shop, first, second, third)


def waits(shop: World) -> None:
    """It is shown, and nothing of it is taken."""
    wait_until(lambda: view(shop).get("waiting"), 20, "it waits")
    assert view(shop)["adopted"] is False
    assert "bar-7 on" in repairs(shop)["dispenser_unadopted"]
    assert "picante dispensers adopt bar-7" in say(shop, "list")
    assert "Did you mean bar-7?" in say(shop, "adopt", "bar-8", status=1)
    assert shop.stored() == 0, "its events wait on it"


def is_adopted(shop: World) -> bytes:
    """It gets a key, though the gateway dies meanwhile; which."""
    assert "10 s at most" in say(shop, "adopt", "bar-7", "--name", "Bar, left")
    kill(shop)
    wait_until(lambda: is_online(shop), 10, "it was let in", promised=True)  # which waits its back-off of 8 s out
    wait_until(lambda: shop.stored() >= 40, 30, "its events come")
    assert "dispenser_unadopted" not in repairs(shop)
    assert re.search(r"Bar, left +bar-7 +online", say(shop, "list"))
    return held_key(shop)


def is_named_and_planned(shop: World) -> None:
    assert "bar-7 is called Terrace" in say(shop, "rename", "bar-7", "Terrace")
    assert "Did you mean table-red?" in say(shop, "planogram", "bar-7", "1=tabel-red", status=1)
    say(shop, "planogram", "bar-7", "2=reaper-raw")
    wait_until(lambda: [nozzle["sauce"] for nozzle in view(shop)["nozzles"]] == ["table-red", "reaper-raw"], 30, "told")


def takes_another_key(shop: World, first: bytes) -> bytes:
    """Its key is changed, though the gateway dies meanwhile; into which."""
    assert "takes a new key now" in say(shop, "rotate-key", "bar-7")
    kill(shop)
    wait_until(lambda: held_key(shop) != first, 30, "it has another key")
    wait_until(lambda: is_online(shop) and not view(shop)["rotating"], 60, "which is proved")
    return held_key(shop)


def is_forgotten_and_let_in_with_its_key(shop: World, held: bytes) -> None:
    assert "is forgotten" in say(shop, "forget", "bar-7", typed="y\n")
    wait_until(lambda: view(shop).get("waiting"), 30, "it is turned away")
    assert "the key of another gateway" in view(shop)["waiting"]["why"]
    assert "reset button" in say(shop, "adopt", "bar-7", status=1)
    key_file = shop.directory / "bar-7.key"
    key_file.touch(0o600)
    key_file.write_text(held.hex())
    say(shop, "adopt", "bar-7", "--key-file", str(key_file))
    key_file.unlink()
    replug(shop)
    wait_until(lambda: is_online(shop), 60, "it is back with its own key")


def replug(shop: World) -> None:
    """Pull the cable and put it back, so that the dispenser need not sit its pause out; once, above, it does."""
    for do in ("unplug", "plug"):
        call(shop.socket, {"do": do, "dispenser": "bar-7"})


def is_reset(shop: World) -> bytes:
    """A reset one is told no key until it was forgotten; the one that it gets then."""
    call(shop.socket, {"do": "reset", "dispenser": "bar-7"})
    wait_until(lambda: view(shop).get("waiting"), 30, "it has no key any more")
    assert "it had a key, and has lost it" in repairs(shop)["dispenser_turned_away"]
    assert "has lost its key" in say(shop, "adopt", "bar-7", status=1)
    say(shop, "forget", "bar-7", "--yes")
    wait_until(lambda: view(shop).get("waiting"), 30, "it waits as a new one")
    say(shop, "adopt", "bar-7")
    replug(shop)
    wait_until(lambda: is_online(shop), 60, "it is let in")
    return held_key(shop)


def start_dispensers(shop: World) -> None:
    """Start the simulator, whose one dispenser has no key."""
    arguments = ("sim", "run", "--scenario", "scenario.toml", "--state", "sim")
    shop.sim = Process(shop.directory, "sim", *arguments)


def replays_are_refused(shop: World, old: bytes) -> None:
    """Who knows the old key's id, or an old HELLO, gets a REJECT, and the dispenser's link is left alone."""
    with HandDevice(shop.directory / "hand" / "port", "bar-7", old, sauces=("table-red",)) as device:
        hello = device.hello(versions=(1, 2), key_id=key_id(old))
        assert device.greet(hello, Reject).reason == "unadopted"
        recorded = device.hello(versions=(1, 2), key_id=key_id(held_key(shop)), nonce=bytes(16))
        welcome = device.greet(recorded, Welcome)
        device.send(Ready(mac=ready_mac(old, recorded, welcome)))
        assert device.expect(Reject).reason == "bad_mac"
        proof = Ready(mac=ready_mac(held_key(shop), recorded, welcome))  # a good one, as it was recorded
        device.greet(recorded, Welcome)
        device.send(proof)
        assert device.expect(Reject).reason == "bad_mac"
    assert is_online(shop)


def nowhere(shop: World, *keys: bytes) -> None:
    """The keys are in the dispenser and in the keyring, and in no log, answer, database or capture."""
    texts = [path.read_bytes() for path in shop.directory.rglob("*") if path.is_file() and path.name not in OWNERS]
    answers = ("/api/v1/dispensers", "/api/v1/dispensers/bar-7", "/api/v1/status", "/metrics", "/")
    texts += [shop.get_text(path).encode() for path in answers]
    texts += [said.encode() for said in SAID]
    assert len(texts) > 15
    for one in keys:
        for written in (one, one.hex().encode(), one.hex().upper().encode()):
            assert not any(written in text for text in texts)
    captured = b"".join(path.read_bytes() for path in shop.directory.glob("trace-*.jsonl"))
    assert b'"provision"' in captured
    assert b'"command"' in captured
    assert keys[-1].hex().encode() in (shop.directory / "gateway" / FILE).read_bytes(), "what would be found is found"


OWNERS = {FILE, "bar-7.eeprom"}
