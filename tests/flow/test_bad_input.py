"""What is wrong on the line, in an event, in a file: each ends in a counter, a dead letter, or an error that helps.

Nothing else is lost, and the link goes on. The gateway is a process, Kafka is real, the device is driven by hand.
"""

from __future__ import annotations

import base64
import secrets
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody, RefilledBody, StatedBody
from firmware_bridge.codec import encode_body, encode_message
from firmware_bridge.framing import cobs_encode, encode_frame
from firmware_bridge.messages import VERSIONS, Ready, Reject, Welcome
from tests.flow.world import Kafka, Mqtt, World, world
from tests.hand_device import HandDevice
from tests.waiting import wait_until

KEY = bytes(range(1, 33))
POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=4_000, duration_ms=700)
SAUCES = ("table-red", "garden-green", "cayenne-classic", "garlic-ghost")


@pytest.fixture
def shop(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> Iterator[World]:
    with world(tmp_path, kafka, mqtt, "", f"gw-bad-{secrets.token_hex(3)}") as shop:
        keys = tmp_path / "sim" / "keys.toml"
        keys.parent.mkdir()
        keys.touch(0o600)
        keys.write_text(f'[dispensers]\nhand-1 = "{KEY.hex()}"\n')
        shop.start_gateway()
        yield shop


@pytest.fixture
def device(shop: World) -> Iterator[HandDevice]:
    port = shop.directory / "sim" / "ports" / "usb-picante-hand-1"
    generation = secrets.randbits(32)
    with HandDevice(port, "hand-1", KEY, generation=generation, sauces=SAUCES) as device:
        yield device


def counter(shop: World, family: str, **labels: str) -> float:
    """The sum of a counter's samples with these labels."""
    total = 0.0
    for line in shop.get_text("/metrics").splitlines():
        if line.startswith(family + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def frame(type_: int, body: bytes, version: int = 1) -> bytes:
    return encode_frame(version, type_, body)


def wrong_crc(good: bytes) -> bytes:
    content = bytes((1, 3)) + b"\xa0"
    return b"\x00" + cobs_encode(content + (zlib.crc32(content) ^ 1).to_bytes(4, "big")) + b"\x00" + good[:0]


BAD_BYTES = [
    ("crc", wrong_crc(b"")),
    ("oversize", b"\x00" + b"\x01" * 3_000 + b"\x00"),
    ("cobs", b"\x00\x09\x01\x00"),
    ("short", b"\x00\x02\x01\x00"),
    ("unknown_version", frame(3, encode_body(POUR), version=9)),
    ("unknown_type", frame(0x7F, b"\xa0")),
    ("invalid_cbor", frame(3, b"\xbf\xff\xff")),
    ("invalid_cbor", frame(3, b"\x81" * 900)),
    ("invalid_body", frame(3, b"\xa1\x01\x18\x2a")),
]


def test_bad_bytes_are_counted_and_the_link_goes_on(shop: World, device: HandDevice) -> None:
    device.open()
    for reason, data in BAD_BYTES:
        before = counter(shop, "picante_bad_frames_total", reason=reason)
        device.write(data)
        device.send(device.event(POUR))
        device.expect_ack(device.sequence)
        assert counter(shop, "picante_bad_frames_total", reason=reason) == before + 1, reason
    device.write(b"\x55\xaa" * 500)  # noise with no end, then a good frame
    device.send(device.event(POUR))
    device.expect_ack(device.sequence)
    stored = shop.query("SELECT count(*) FROM events WHERE source = 'hand-1' AND reason IS NULL")
    assert stored == [(device.sequence,)]


BAD_EVENTS: list[tuple[str, Any]] = [
    ("impossible_heat", StatedBody(shu=99_000_000)),
    ("impossible_volume", PouredBody(nozzle=1, sauce="table-red", volume_ul=-40, duration_ms=700)),
    ("unknown_sauce", PouredBody(nozzle=1, sauce="ketchup", volume_ul=4_000, duration_ms=700)),
    ("unknown_sauce", RefilledBody(nozzle=1, sauce="mayonnaise", volume_ul=4_000)),
    ("unknown_word", StatedBody(word="lukewarm")),
]


def test_refused_events_become_dead_letters_with_their_bytes(shop: World, device: HandDevice) -> None:
    device.open()
    sent = {}
    for reason, body in BAD_EVENTS:
        event = device.event(body)
        sent[event.sequence] = (reason, encode_body(event))
        device.send(event)
        device.send(device.event(POUR))
    future = device.event(kind=77, fields={1: "a kind of the future"})
    sent[future.sequence] = ("unknown_type", encode_body(future))
    device.send(future)
    device.send(future)
    device.expect_ack(device.sequence)
    wait_until(shop.everything_confirmed, 30, "Kafka has everything")
    letters = {}
    for record in shop.read_topic("picante.dlq.v1"):
        headers = record["headers"]
        identity = next((v for v in headers.values() if v.startswith(f"hand-1:{device.generation:08x}:")), None)
        if identity is not None:
            assert identity not in letters, "twice"
            letters[identity] = (headers, base64.b64decode(record["bytes"]))
    assert len(letters) == len(sent)
    for sequence, (reason, raw) in sent.items():
        headers, content = letters[f"hand-1:{device.generation:08x}:{sequence}"]
        assert reason in headers.values()
        assert content == raw
        assert any("ketchup" in v for v in headers.values()) or sequence != 5
    good = {
        r["value"]["id"]
        for r in shop.read_topic("picante.events.v1")
        if r["value"]["id"].startswith(f"hand-1:{device.generation:08x}:")
    }
    assert good == {f"hand-1:{device.generation:08x}:{n}" for n in range(1, device.sequence + 1)} - letters.keys()


def test_who_has_no_key_or_another_one_is_told_so_and_keeps_its_events(shop: World, device: HandDevice) -> None:
    assert device.greet(device.hello(dispenser="stranger"), Reject).reason == "unadopted"
    rejection = device.greet(device.hello(versions=(7,)), Reject)
    assert (rejection.reason, rejection.versions) == ("version", VERSIONS)
    device.greet(device.hello(), Welcome)
    device.send(Ready(mac=bytes(32)))
    assert device.expect(Reject).reason == "bad_mac"
    device.send(device.event(POUR))
    device.sequence = 0
    device.open()
    device.send(device.event(POUR))
    device.expect_ack(1)
    assert shop.query("SELECT count(*) FROM events WHERE source = 'hand-1'") == [(1,)]


def test_a_ring_that_went_back_is_told_to_start_anew(shop: World, device: HandDevice) -> None:
    device.open()
    for _ in range(3):
        device.send(device.event(POUR))
    device.expect_ack(3)
    device.sequence = 1
    assert device.greet(device.hello(), Reject).reason == "stale_ring"


def test_an_overflowed_ring_leaves_a_gap_that_is_told_and_no_jam(shop: World, device: HandDevice) -> None:
    device.open()
    device.send(device.event(POUR))
    device.expect_ack(1)
    device.sequence = 40
    device.open()
    device.send(device.event(POUR))
    device.expect_ack(41)
    ((data,),) = shop.query("SELECT data FROM events WHERE type = 'picante.gap.v1'")
    assert b'"first":2' in data
    assert b'"last":40' in data


def check_config(directory: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "picante", "gateway", "check-config", "--config", str(directory / "gateway.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_a_typo_in_the_configuration_is_named(shop: World) -> None:
    path = shop.directory / "gateway.toml"
    path.write_text(path.read_text().replace("bootstrap =", "bootstarp ="))
    status, said = check_config(shop.directory)
    assert status == 2
    assert "unknown key 'kafka.bootstarp': did you mean 'bootstrap'?" in said
    assert "Traceback" not in said


def test_a_bundle_with_a_wrong_hash_is_refused_and_the_rule_takes_over(shop: World, device: HandDevice) -> None:
    from models.bundle import pretrained

    bundle = shop.directory / "bundle"
    bundle.mkdir()
    for file in pretrained().iterdir():
        if file.is_file():
            (bundle / file.name).write_bytes(file.read_bytes())
    with (bundle / "model.onnx").open("ab") as model:
        model.write(b"\x00")
    path = shop.directory / "gateway.toml"
    path.write_text(path.read_text() + '\n[picks]\nbundle = "bundle"\n')
    status, said = check_config(shop.directory)
    assert status == 2
    assert "model.onnx" in said
    assert shop.gateway is not None
    shop.gateway.stop()
    shop.start_gateway()
    device.open()
    device.send(device.event(POUR))
    device.expect_ack(1)
    answer = shop.get("/api/v1/picks?dispenser=hand-1")
    assert answer["ranker"] == "rule"
    assert answer["picks"]
    assert any("model.onnx" in str(repair) for repair in shop.get("/api/v1/status")["repairs"])


def test_frames_that_were_cut_or_joined_are_put_together(shop: World, device: HandDevice) -> None:
    device.open()
    line = b"".join(encode_message(device.event(POUR)) for _ in range(5))
    for byte in line:
        device.write(bytes((byte,)))
    device.expect_ack(5)
