"""Frames written down by hand from picante.cddl: what both sides of the wire can be tested against.

They are checked by codecs that share nothing with ours as well.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import zlib
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from cobs import cobs

from firmware_bridge.framing import BadFrame, Frame, FrameDecoder
from firmware_bridge.messages import (
    BadMessage,
    Hello,
    Message,
    Welcome,
    decode_event_body,
    decode_message,
    decode_packet,
    encode_body,
    encode_message,
    encode_packet,
    ready_mac,
    welcome_mac,
)

WIRE = Path(__file__).parents[1] / "vectors/wire"
CDDL = (Path(__file__).parents[2] / "firmware_bridge/picante.cddl").read_text()


def load(name: str) -> Any:
    return json.loads((WIRE / f"{name}.json").read_text())


def cases(name: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in load(name)]


def read(frame: bytes) -> Message | BadMessage | BadFrame:
    [only] = FrameDecoder().feed(frame)
    return only if isinstance(only, BadFrame) else decode_message(only)


def as_json(value: Any) -> Any:
    """A message as the vectors write it: fields by name, bytes as `{"hex": ...}`, keys of maps as text."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, msgspec.Struct) and not value.__struct_config__.array_like:
        return {name: as_json(getattr(value, name)) for name in value.__struct_fields__ if name != "raw"}
    if isinstance(value, msgspec.Struct):
        return [as_json(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("vector", cases("messages"))
def test_the_frame_is_what_other_codecs_make_of_it(vector: dict[str, Any]) -> None:
    content = bytes([1, vector["type"]]) + bytes.fromhex(vector["body"])
    content += zlib.crc32(content).to_bytes(4, "big")
    assert bytes.fromhex(vector["frame"]) == b"\x00" + cobs.encode(content) + b"\x00"


@pytest.mark.parametrize("vector", cases("messages"))
def test_the_body_is_what_the_schema_says(vector: dict[str, Any]) -> None:
    pycddl = pytest.importorskip("pycddl", reason="pycddl has no wheel for this machine")
    pycddl.Schema(f"root = {vector['rule']}\n{CDDL}").validate_cbor(bytes.fromhex(vector["body"]))


@pytest.mark.parametrize("vector", cases("messages"))
def test_reads_and_writes_a_message(vector: dict[str, Any]) -> None:
    message = read(bytes.fromhex(vector["frame"]))
    assert not isinstance(message, BadMessage | BadFrame)
    assert as_json(message) == vector["message"]
    assert encode_message(message).hex() == vector["frame"]
    packet = bytes([1, vector["type"]]) + bytes.fromhex(vector["body"])
    assert decode_packet(packet) == message
    assert encode_packet(message) == packet


@pytest.mark.parametrize("vector", [case for case in cases("messages") if "event_body" in case.values[0]])
def test_reads_and_writes_an_event_body(vector: dict[str, Any]) -> None:
    fields = cbor2.loads(bytes.fromhex(vector["body"]))
    body = decode_event_body(fields[7], fields[8])
    assert not isinstance(body, BadMessage)
    assert as_json(body) == vector["event_body"]
    assert encode_body(body) == cbor2.dumps(fields[8])


@pytest.mark.parametrize("vector", cases("lenient"))
def test_a_reader_is_lenient_here(vector: dict[str, Any]) -> None:
    message = read(bytes.fromhex(vector["frame"]))
    assert not isinstance(message, BadMessage | BadFrame)
    assert as_json(message) == vector["message"]


@pytest.mark.parametrize("vector", cases("bad"))
def test_a_bad_frame_has_its_reason_and_the_next_one_is_read(vector: dict[str, Any]) -> None:
    after = bytes.fromhex(load("messages")[-1]["frame"])
    bad, good = FrameDecoder().feed(bytes.fromhex(vector["frame"]) + after)
    if isinstance(bad, Frame):
        refused = decode_message(bad)
        assert isinstance(refused, BadMessage)
        assert refused.reason == vector["reason"]
    else:
        assert bad.reason == vector["reason"]
    assert isinstance(good, Frame)


def test_every_message_and_every_reason_has_a_vector() -> None:
    reasons = {"cobs", "short", "crc", "oversize", "unknown_version", "unknown_type", "invalid_cbor", "invalid_body"}
    assert {vector["reason"] for vector in load("bad")} == reasons
    module = importlib.import_module("firmware_bridge.messages")
    assert {vector["type"] for vector in load("messages")} == set(module._BY_NUMBER)
    kinds = {vector["message"]["kind"] for vector in load("messages") if "event_body" in vector}
    assert kinds == set(module._BODY_BY_KIND)


def test_the_macs_sign_what_the_protocol_says() -> None:
    macs = load("macs")
    key, nonce_g = bytes.fromhex(macs["key"]), bytes.fromhex(macs["nonce_g"])
    hello = decode_packet(bytes([1, 1]) + bytes.fromhex(macs["hello"]["body"]))
    assert isinstance(hello, Hello)
    for step in ("welcome", "ready"):
        signed = bytes.fromhex(macs[step]["signed"])
        assert hmac.new(key, signed, hashlib.sha256).hexdigest() == macs[step]["mac"]
    given = {name: value for name, value in macs["welcome"].items() if name not in ("signed", "mac")}
    welcome = Welcome(**given, nonce=nonce_g, mac=bytes(32))
    assert welcome_mac(key, hello, welcome).hex() == macs["welcome"]["mac"]
    assert ready_mac(key, hello, nonce_g).hex() == macs["ready"]["mac"]


def test_the_signed_array_lists_the_hello_field_by_field() -> None:
    macs = load("macs")
    hello = decode_packet(bytes([1, 1]) + bytes.fromhex(macs["hello"]["body"]))
    assert isinstance(hello, Hello)
    label, *fields, nonce_g = cbor2.loads(bytes.fromhex(macs["ready"]["signed"]))
    assert (label, nonce_g.hex()) == ("picante ready 1", macs["nonce_g"])
    assert as_json(fields) == list(as_json(hello).values())
