"""Messages to bytes and back; what is not one is a value with a reason, whatever the bytes."""

from __future__ import annotations

from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.bodies import UNREADABLE, EventBody, PouredBody, RatedBody, RefilledBody, StatedBody
from firmware_bridge.codec import (
    BadMessage,
    body_map,
    decode_event_body,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
)
from firmware_bridge.framing import MAX_FRAME_BYTES, Frame, encode_frame
from firmware_bridge.messages import (
    MAX_NOZZLES,
    NAME_BYTES,
    WHY_BYTES,
    Ack,
    Ask,
    EventMessage,
    Hello,
    HelloRequest,
    Message,
    NozzleInfo,
    PickInfo,
    Picks,
    Ping,
    Pong,
    Ready,
    Reject,
    Welcome,
    fit,
)

U8, U32, U53 = st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**53 - 1)
SEQUENCE = st.integers(1, 2**53 - 1)
NAMES = st.text(min_size=1, max_size=8)
"""At most 32 bytes of UTF-8."""
NONCES = st.binary(min_size=8, max_size=16)
MACS = st.binary(min_size=32, max_size=32)
PICK_IDS = st.none() | NAMES

HELLO = Hello(
    dispenser="bar-1",
    firmware="1",
    versions=(1,),
    nozzles=(),
    generation=1,
    lowest=1,
    next=1,
    nonce=bytes(8),
    boot=1,
    uptime_ms=0,
)

event_bodies: st.SearchStrategy[EventBody] = st.one_of(
    st.builds(
        PouredBody,
        nozzle=U8,
        sauce=NAMES,
        volume_ul=st.integers(-(2**40), 2**40),
        duration_ms=U53,
        pick_id=PICK_IDS,
    ),
    st.builds(RatedBody, sauce=NAMES, verdict=st.sampled_from(["too_hot", "just_right", "more"]), pick_id=PICK_IDS),
    st.builds(StatedBody, shu=st.integers(-5, 10**9)),
    st.builds(StatedBody, word=NAMES),
    st.builds(StatedBody, dial=st.integers(0, 100)),
    st.builds(StatedBody, text=st.text(min_size=1, max_size=120)),
    st.builds(RefilledBody, nozzle=U8, sauce=NAMES, volume_ul=U53),
)
events = st.builds(
    lambda body, **header: EventMessage(kind=body.number, body=body_map(body), **header),
    event_bodies,
    generation=U32,
    sequence=SEQUENCE,
    boot=U32,
    uptime_ms=U53,
    sent_uptime_ms=U53,
    session=U32,
)
nozzles = st.lists(st.builds(NozzleInfo, U8, NAMES, U32), max_size=5).map(tuple)
picks = st.lists(st.builds(PickInfo.fitted, U8, NAMES, st.text(), U32, st.text()), max_size=3).map(tuple)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello,
        dispenser=NAMES,
        firmware=NAMES,
        versions=st.lists(U8, min_size=1, max_size=3).map(tuple),
        nozzles=nozzles,
        generation=U32,
        lowest=SEQUENCE,
        next=SEQUENCE,
        nonce=NONCES,
        boot=U32,
        uptime_ms=U53,
    ),
    st.builds(Ready, mac=MACS),
    events,
    st.builds(Ask, session=U32, nonce=NONCES, token=st.none() | NAMES, dial=st.none() | st.integers(0, 100)),
    st.builds(Pong, nonce=NONCES),
    st.builds(
        Welcome,
        version=U8,
        time_ms=U53,
        window=st.integers(1, 1024),
        generation=U32,
        durable=U53,
        nonce=NONCES,
        mac=MACS,
    ),
    st.just(HelloRequest()),
    st.builds(Reject, reason=st.sampled_from(["version", "stale_ring"]), detail=NAMES, nonce=st.none() | NONCES),
    st.builds(Ack, generation=U32, sequence=U53),
    st.builds(Picks, nonce=NONCES, pick_id=NAMES, picks=picks),
    st.builds(Ping, nonce=NONCES),
)


def same(one: Message | BadMessage, other: Message) -> bool:
    """Equal, but for the bytes that a received event remembers."""
    names = [name for name in other.__struct_fields__ if name != "raw"]
    return type(one) is type(other) and all(getattr(one, name) == getattr(other, name) for name in names)


@given(messages)
def test_there_and_back(message: Message) -> None:
    packet = encode_packet(message)
    assert same(decode_packet(packet), message)
    assert encode_message(message) == encode_frame(packet[0], packet[1], packet[2:])


@given(event_bodies)
def test_event_bodies_there_and_back(body: EventBody) -> None:
    fields = cbor2.loads(cbor2.dumps(body_map(body)))
    assert decode_event_body(body.number, fields) == body


def test_the_fullest_messages_fit_into_a_frame() -> None:
    nozzle = NozzleInfo(255, "s" * 24, 2**32 - 1)
    hello = Hello(
        dispenser="d" * 32,
        firmware="f" * 32,
        versions=(1, 2, 3, 4),
        nozzles=(nozzle,) * MAX_NOZZLES,
        generation=2**32 - 1,
        lowest=2**53 - 1,
        next=2**53 - 1,
        nonce=bytes(16),
        boot=2**32 - 1,
        uptime_ms=2**53 - 1,
    )
    pick = PickInfo.fitted(255, "s" * 32, "ñ" * 32, 2**32 - 1, "ñ" * 48)
    for message in (hello, Picks(nonce=bytes(16), pick_id="p" * 32, picks=(pick,) * 3)):
        assert len(encode_packet(message)) + 4 <= MAX_FRAME_BYTES


@pytest.mark.parametrize(("size", "taken"), [(32, True), (33, False), (34, False)])
def test_a_text_is_as_long_as_its_bytes(size: int, taken: bool) -> None:
    text = "ñ" * (size // 2) + "n" * (size % 2)
    assert len(text) < 32
    told = msgspec.structs.replace(HELLO, nozzles=(NozzleInfo(1, "s", 0), NozzleInfo(2, text, 0)))
    for message in (
        msgspec.structs.replace(HELLO, hardware=text),
        told,
        Ask(session=1, nonce=bytes(8), mood=text),
        Picks(nonce=bytes(8), pick_id="p", picks=(PickInfo(1, "s", text, 1, ""),)),
    ):
        decoded = decode_packet(encode_packet(message))
        assert decoded == message if taken else isinstance(decoded, BadMessage)
        assert isinstance(decode_event_body(3, {2: text}), BadMessage) is not taken


def test_a_hello_with_a_nozzle_too_many_is_read_so_that_it_can_be_answered() -> None:
    many = msgspec.structs.replace(HELLO, nozzles=(NozzleInfo(1, "s", 0),) * (MAX_NOZZLES + 1))
    assert decode_packet(encode_packet(many)) == many


@given(st.text(), st.integers(0, 60))
def test_texts_are_cut_between_characters(text: str, size: int) -> None:
    cut = fit(text, size)
    assert text.startswith(cut)
    assert len(cut.encode()) <= size
    if cut != text:
        assert len((cut + text[len(cut)]).encode()) > size


def test_a_fitted_pick_takes_no_more_bytes_than_a_screen_has() -> None:
    pick = PickInfo.fitted(1, "s", "Jalapeño " * 9, 1, "¡muy picante! " * 9)
    assert len(pick.name.encode()) <= NAME_BYTES
    assert len(pick.why.encode()) <= WHY_BYTES


# -- what is no message ----------------------------------------------------------------------------------------------


def reason(body: Any, type_: int = 5) -> str:
    encoded = body if isinstance(body, bytes) else cbor2.dumps(body)
    message = decode_message(Frame(1, type_, encoded))
    return message.reason if isinstance(message, BadMessage) else "none"


@pytest.mark.parametrize("version", [0, 3, 255])
def test_another_version_is_told_apart_before_anything_else(version: int) -> None:
    message = decode_message(Frame(version, 99, b"\xff"))
    assert message == BadMessage("unknown_version", 99, f"version {version}, spoken here: 1, 2")


@pytest.mark.parametrize("type_", [0, 6, 0x7F, 0x80, 0x87, 0xFF])
def test_an_unknown_type_is_told_apart_from_a_bad_body(type_: int) -> None:
    assert reason(b"\xff", type_) == "unknown_type"


@pytest.mark.parametrize("packet", [b"", b"\x01", b"\x01\x05"])
def test_a_packet_of_less_than_three_bytes(packet: bytes) -> None:
    message = decode_packet(packet)
    assert isinstance(message, BadMessage)
    assert message.reason == "invalid_body"


def test_a_packet_holds_no_more_than_a_frame() -> None:
    """As on a serial line: version, type, and a body of at most 1,018 bytes."""
    pong = b"\x01\x05" + cbor2.dumps({1: bytes(8)})[:-8] + bytes(8)
    filler = 1_020 - len(pong) - 4
    fullest = b"\x01\x05\xa2" + pong[3:] + b"\x02\x59" + filler.to_bytes(2, "big") + bytes(filler)
    assert len(fullest) == 1_020
    assert isinstance(decode_packet(fullest), Pong)
    event = EventMessage(generation=1, sequence=1, boot=1, uptime_ms=1, sent_uptime_ms=1, session=0, kind=9, body={})
    for packet in (fullest + b"\x00", encode_packet(msgspec.structs.replace(event, body={1: bytes(15_000)}))):
        bad = decode_packet(packet)
        assert isinstance(bad, BadMessage)
        assert (bad.reason, bad.type) == ("oversize", packet[1])


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x01", b"\xa1\x01\x81"])
def test_deep_nesting(opening: bytes) -> None:
    assert reason(opening * 300 + b"\x01") == "invalid_cbor"


@pytest.mark.parametrize(
    "head", ["9b7fffffffffffffff", "bb7fffffffffffffff", "5b7fffffffffffffff", "7b7fffffffffffffff"]
)
def test_lengths_that_no_memory_holds(head: str) -> None:
    assert reason(bytes.fromhex(head)) == "invalid_cbor"


def test_no_tag_at_all() -> None:
    """Some build dates, patterns, numbers of any size, or structures that contain themselves."""
    nonce = b"\xa2\x01\x48" + bytes(8) + b"\x02"
    assert reason(nonce + b"\x00") == "none"
    for tag in [*range(24, 2**16), 2**16, 2**32 - 1]:
        head = bytes([0xD8, tag]) if tag < 256 else bytes([0xDA]) + tag.to_bytes(4, "big")
        assert reason(nonce + head + b"\x00") == "invalid_cbor", tag
    for tag in range(24):
        assert reason(nonce + bytes([0xC0 | tag]) + b"\x00") == "invalid_cbor", tag


def test_a_structure_that_contains_itself() -> None:
    shared = bytes.fromhex("a2 01 48 0000000000000000 02 d81c 81 d81d 00")
    assert reason(shared) == "invalid_cbor"


def test_only_integers_are_keys() -> None:
    assert reason({"1": bytes(8)}) == "invalid_body"
    assert reason({1.0: bytes(8)}) == "invalid_body"
    assert reason({True: bytes(8)}) == "invalid_body"
    assert reason({b"1": bytes(8), 1: bytes(8)}) == "none"
    assert reason({"raw": 5, "number": 1, 1: bytes(8)}) == "none"


def test_an_event_of_an_unknown_kind_still_has_its_identity() -> None:
    event = EventMessage(
        generation=1, sequence=7, boot=1, uptime_ms=1, sent_uptime_ms=2, session=0, kind=200, body={99: "?"}
    )
    message = decode_packet(encode_packet(event))
    assert isinstance(message, EventMessage)
    assert (message.generation, message.sequence) == (1, 7)
    body = decode_event_body(message.kind, message.body)
    assert isinstance(body, BadMessage)
    assert (body.reason, body.type) == ("unknown_type", 200)


@settings(max_examples=500)
@given(st.sampled_from([1, 2, 3, 4, 5, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86]), st.binary(max_size=80))
def test_any_bytes_are_a_message_or_a_reason(type_: int, body: bytes) -> None:
    decode_message(Frame(1, type_, body))


scalars = st.one_of(st.integers(), st.binary(max_size=20), st.text(max_size=40), st.booleans(), st.none(), st.floats())
any_cbor = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4)
)


@settings(max_examples=500)
@given(st.sampled_from([1, 2, 3, 4, 5, 0x81, 0x83, 0x84, 0x85, 0x86]), st.dictionaries(st.integers(1, 10), any_cbor))
def test_any_map_is_a_message_or_a_reason(type_: int, fields: dict[int, Any]) -> None:
    decode_message(Frame(1, type_, cbor2.dumps(fields)))


@given(st.integers(0, 255), st.dictionaries(any_cbor.filter(lambda key: not isinstance(key, list | dict)), any_cbor))
def test_any_event_body_is_one_or_a_reason(kind: int, fields: dict[Any, Any]) -> None:
    decode_event_body(kind, fields)


@given(messages, st.data())
def test_one_changed_byte_of_a_body_is_a_message_or_a_reason(message: Message, drawn: st.DataObject) -> None:
    packet = bytearray(encode_packet(message))
    at = drawn.draw(st.integers(0, len(packet) - 1))
    packet[at] = drawn.draw(st.integers(0, 255))
    decode_packet(bytes(packet))


@pytest.mark.parametrize(
    "fields",
    [
        {7: 1, 8: []},
        {7: 1, 8: "text"},
        {7: 1, 8: None},
        {7: 1},
        {7: 1, 8: {1: 2**70}},
        {7: 1, 8: {1: cbor2.CBORTag(32, "a tag")}},
        {7: -1, 8: {}},
        {7: "p", 8: {}},
        {7: 2**60, 8: {}},
        {3: -5, 7: 1, 8: {}},
    ],
)
def test_an_event_of_which_only_the_identity_can_be_read_is_an_event(fields: dict[int, object]) -> None:
    body = cbor2.dumps({1: 5, 2: 9, 3: 1, 4: 10, 5: 20, 6: 4} | fields)
    message = decode_message(Frame(1, EventMessage.number, body))
    assert isinstance(message, EventMessage)
    assert (message.generation, message.sequence, message.kind, message.raw) == (5, 9, UNREADABLE, body)


def test_without_an_identity_it_is_a_bad_message() -> None:
    for identity in ({1: 5}, {2: 9}, {1: 5, 2: 0}, {1: 2**32, 2: 9}, {1: "5", 2: 9}):
        message = decode_message(Frame(1, EventMessage.number, cbor2.dumps(identity | {7: 1, 8: []})))
        assert isinstance(message, BadMessage)
