"""Frames written down by hand from picante.cddl: what both sides of the wire can be tested against.

They are checked by codecs that share nothing with ours as well.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from cobs import cobs

from firmware_bridge.codec import (
    BadMessage,
    body_map,
    decode_arguments,
    decode_event_body,
    decode_measured,
    decode_message,
    decode_packet,
    encode_body,
    encode_message,
    encode_packet,
)
from firmware_bridge.framing import BadFrame, Frame, FrameDecoder
from firmware_bridge.messages import Hello, Message, Welcome
from firmware_bridge.proofs import key_id, mask_key, ready_mac, welcome_mac
from firmware_bridge.verbs import ARGUMENTS_BY_VERB
from tests.firmware_bridge.schema import CDDL, check, is_taken

RULES: dict[int, str] = {
    int(number, 16): rule for rule, number in re.findall(r"^([a-z-]+) = \{.*type 0x(\w\w)", CDDL, re.MULTILINE)
}
WIRE = Path(__file__).parents[1] / "vectors/wire"


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
        named = {name: getattr(value, name) for name in value.__struct_fields__ if name != "raw"}
        return {name: as_json(field) for name, field in named.items() if field is not None}
    if isinstance(value, msgspec.Struct):
        return [as_json(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value


def given(message: dict[str, Any]) -> dict[str, Any]:
    """A vector's message without the fields that it leaves out."""
    return {name: value for name, value in message.items() if value is not None}


@pytest.mark.parametrize("vector", cases("messages"))
def test_the_frame_is_what_other_codecs_make_of_it(vector: dict[str, Any]) -> None:
    content = bytes([vector.get("version", 1), vector["type"]]) + bytes.fromhex(vector["body"])
    content += zlib.crc32(content).to_bytes(4, "big")
    assert bytes.fromhex(vector["frame"]) == b"\x00" + cobs.encode(content) + b"\x00"


@pytest.mark.parametrize("vector", cases("messages"))
def test_the_body_is_what_the_schema_says(vector: dict[str, Any]) -> None:
    check(vector["rule"], bytes.fromhex(vector["body"]))


@pytest.mark.parametrize("version", [1, 2])
def test_the_hello_that_is_signed_is_what_the_schema_says(version: int) -> None:
    check("hello", bytes.fromhex(load(f"macs{version}")["hello"]["body"]))


STRICTER = {"an unknown key is ignored", "an unknown negative key is ignored", "a key in text is no key of ours"}
"""What a reader takes and a writer may not send: the schema says what is sent."""
LAXER = {"a nonce as text"}
"""What pycddl takes for right, as it looks at a text's size alone where bytes are due. zcbor doesn't."""


@pytest.mark.parametrize("vector", cases("lenient"))
def test_the_schema_takes_what_a_reader_does_but_for_unknown_keys(vector: dict[str, Any]) -> None:
    taken = is_taken(RULES[vector["type"]], bytes.fromhex(vector["body"]))
    assert taken is (vector["name"] not in STRICTER)


@pytest.mark.parametrize("vector", [case for case in cases("bad") if case.values[0]["reason"] == "invalid_body"])
def test_the_schema_refuses_what_a_reader_does(vector: dict[str, Any]) -> None:
    [frame] = FrameDecoder().feed(bytes.fromhex(vector["frame"]))
    assert isinstance(frame, Frame)
    assert is_taken(RULES[frame.type], frame.body) is (vector["name"] in LAXER)


@pytest.mark.parametrize("vector", cases("messages"))
def test_reads_and_writes_a_message(vector: dict[str, Any]) -> None:
    message = read(bytes.fromhex(vector["frame"]))
    assert not isinstance(message, BadMessage | BadFrame)
    assert as_json(message) == given(vector["message"])
    version = vector.get("version", 1)
    assert encode_message(message, version).hex() == vector["frame"]
    packet = bytes([version, vector["type"]]) + bytes.fromhex(vector["body"])
    assert decode_packet(packet) == message
    assert encode_packet(message, version) == packet


@pytest.mark.parametrize("vector", [case for case in cases("messages") if "event_body" in case.values[0]])
def test_reads_and_writes_an_event_body(vector: dict[str, Any]) -> None:
    fields = cbor2.loads(bytes.fromhex(vector["body"]))
    body = decode_event_body(fields[7], fields[8])
    assert not isinstance(body, BadMessage)
    assert as_json(body) == given(vector["event_body"])
    assert encode_body(body) == cbor2.dumps(fields[8])


@pytest.mark.parametrize("vector", [case for case in cases("messages") if "arguments" in case.values[0]])
def test_reads_and_writes_the_arguments_of_a_command(vector: dict[str, Any]) -> None:
    fields = cbor2.loads(bytes.fromhex(vector["body"]))
    arguments = decode_arguments(fields[2], fields[5])
    assert not isinstance(arguments, BadMessage)
    assert as_json(arguments) == vector["arguments"]
    assert cbor2.dumps(body_map(arguments)) == cbor2.dumps(fields[5])


@pytest.mark.parametrize("vector", [case for case in cases("messages") if "measured" in case.values[0]])
def test_reads_and_writes_what_a_command_measured(vector: dict[str, Any]) -> None:
    fields = cbor2.loads(bytes.fromhex(vector["body"]))
    measured = decode_measured(vector["verb"], fields[4])
    assert not isinstance(measured, BadMessage)
    assert as_json(measured) == vector["measured"]
    assert body_map(measured) == fields[4]


@pytest.mark.parametrize("vector", cases("lenient"))
def test_a_reader_is_lenient_here(vector: dict[str, Any]) -> None:
    message = read(bytes.fromhex(vector["frame"]))
    assert not isinstance(message, BadMessage | BadFrame)
    assert as_json(message) == given(vector["message"])


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
    assert {vector["type"] for vector in load("messages")} == set(module.BY_NUMBER)
    kinds = {vector["message"]["kind"] for vector in load("messages") if "event_body" in vector}
    assert kinds == set(importlib.import_module("firmware_bridge.bodies").BODY_BY_KIND)
    assert {vector["message"]["verb"] for vector in load("messages") if "arguments" in vector} == set(ARGUMENTS_BY_VERB)


@pytest.mark.parametrize("version", [1, 2])
def test_the_macs_sign_what_the_protocol_says(version: int) -> None:
    macs = load(f"macs{version}")
    key, nonce_g = bytes.fromhex(macs["key"]), bytes.fromhex(macs["nonce_g"])
    hello = decode_packet(bytes([1, 1]) + bytes.fromhex(macs["hello"]["body"]))
    assert isinstance(hello, Hello)
    for step in ("welcome", "ready"):
        signed = bytes.fromhex(macs[step]["signed"])
        assert hmac.new(key, signed, hashlib.sha256).hexdigest() == macs[step]["mac"]
    named = {name: value for name, value in macs["welcome"].items() if name not in ("signed", "mac")}
    welcome = Welcome(**named, nonce=nonce_g, mac=bytes(32))
    assert welcome_mac(key, hello, welcome).hex() == macs["welcome"]["mac"]
    assert ready_mac(key, hello, welcome).hex() == macs["ready"]["mac"]
    if (confirming := macs.get("confirming")) is not None:
        assert hmac.new(key, bytes.fromhex(confirming["signed"]), hashlib.sha256).hexdigest() == confirming["mac"]
        asking = msgspec.structs.replace(welcome, confirm=tuple(confirming["confirm"]))
        assert welcome_mac(key, hello, asking).hex() == confirming["mac"]
        assert ready_mac(key, hello, asking) == ready_mac(key, hello, welcome)


@pytest.mark.parametrize("version", [1, 2])
def test_the_signed_array_lists_the_hello_field_by_field(version: int) -> None:
    macs = load(f"macs{version}")
    label, *fields, nonce_g = cbor2.loads(bytes.fromhex(macs["ready"]["signed"]))
    assert (label, nonce_g.hex()) == (f"picante ready {version}", macs["nonce_g"])
    hello = cbor2.loads(bytes.fromhex(macs["hello"]["body"]))
    assert fields == [hello.get(number) for number in range(1, {1: 10, 2: 12}[version] + 1)]


def test_the_id_and_the_mask_of_a_key_are_what_the_protocol_says() -> None:
    keys = load("keys")
    key, new, command = (bytes.fromhex(keys[name]) for name in ("key", "new_key", "command"))
    assert hmac.new(key, b"picante key id", hashlib.sha256).hexdigest()[:8] == keys["key_id"] == key_id(key).hex()
    pad = hmac.new(key, b"picante rotate 1" + command, hashlib.sha256).digest()
    assert bytes(a ^ b for a, b in zip(new, pad, strict=True)).hex() == keys["masked"]
    assert mask_key(key, new, command).hex() == keys["masked"]
    assert mask_key(key, bytes.fromhex(keys["masked"]), command) == new
