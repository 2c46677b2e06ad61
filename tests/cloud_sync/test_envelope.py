"""The envelope: what is written is a CloudEvent that the released schemas accept, what is read is judged strictly."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.envelope import (
    MAX_ENVELOPE_BYTES,
    Received,
    content_hash,
    decode,
    encode,
    fault,
    format_time,
    source_uri,
    traceparent,
    verdict,
)
from cloud_sync.published import read_published
from cloud_sync.schema import DIRECTORY
from cloud_sync.topics import DAY_MS
from heat.events import AnyData, ConsentChanged, SessionClaimed
from heat.identity import EventId
from heat.quality import Refusal
from tests.cloud_sync.examples import CUSTOMER, DAY, EVERY_TYPE, GATEWAY, POURED, TIME_MS, stored, written


def schema(name: str) -> Any:
    return json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def test_the_record_of_a_pour_reads_as_the_contract_says() -> None:
    record = encode(stored(sequence=42))
    assert record.topic == "picante.events.v1"
    assert record.key == CUSTOMER.encode()
    assert record.headers == (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    digest = hashlib.sha256(b"hot-bar-1:5e3a09c1:42").hexdigest()
    assert json.loads(record.value or b"") == {
        "specversion": "1.0",
        "id": "hot-bar-1:5e3a09c1:42",
        "source": "/dispensers/hot-bar-1",
        "type": "picante.poured.v1",
        "subject": CUSTOMER,
        "time": "2025-11-24T13:13:20.165Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:picante:schema:picante.poured.v1",
        "traceparent": f"00-{digest[:32]}-{digest[32:48]}-01",
        "origin": GATEWAY,
        "heatday": DAY,
        "clockstate": "known",
        "data": {
            "store": "lyon-2",
            "region": "eu",
            "channel": "dispenser",
            "consent": "profile",
            "flags": ["large_pour"],
            "sauce": "smoky-chipotle",
            "heat": {
                "shu": 2500, "milli_octaves": 7297, "sd_milli_octaves": 600, "source": "label", "table": None,
            },
            "flavours": ["smoky"],
            "w": 16,
            "nozzle": 2,
            "volume_ul": 61_000,
            "duration_ms": 1200,
            "pick_id": "gw-1-5e3a09c1-77",
        },
    }  # fmt: skip


def test_stored_bytes_travel_as_they_are() -> None:
    odd = b'{ "store":"x",\n "later":[1, 2.50]}'
    assert odd in written(stored(data_bytes=odd))


@pytest.mark.parametrize("data", EVERY_TYPE, ids=lambda data: data.type)
def test_each_type_has_its_topic(data: AnyData) -> None:
    expected = "picante.samples.v1" if data.type == "picante.sampled.v1" else "picante.events.v1"
    assert encode(stored(data)).topic == expected


@pytest.mark.parametrize("data", EVERY_TYPE, ids=lambda data: data.type)
@pytest.mark.parametrize("redelivered", [False, True])
def test_every_type_comes_back_and_fits_its_released_schema(data: AnyData, redelivered: bool) -> None:
    value = written(stored(data, redelivered=redelivered))
    assert decode(value) == Received(
        id=stored(data).id,
        subject=stored(data).subject,
        time_ms=TIME_MS + 1,
        day=DAY,
        clock="known",
        origin=GATEWAY,
        redelivered=redelivered,
        data=data,
    )
    document = json.loads(value)
    jsonschema_rs.validator_for(schema("picante.envelope.v1"), validate_formats=True).validate(document)
    jsonschema_rs.validator_for(schema(data.type)).validate(document["data"])
    assert document.get("redelivered", False) is redelivered
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in document)  # CloudEvents' rule for names


def test_what_concerns_no_customer_has_no_subject_and_is_keyed_by_its_source() -> None:
    record = encode(stored(EVERY_TYPE[6], subject=None, id=EventId(GATEWAY, 7, 1)))
    document = json.loads(record.value or b"")
    assert "subject" not in document
    assert document["source"] == "/gateways/gw-1"
    assert record.key == b"gw-1"
    received = decode(record.value or b"")
    assert isinstance(received, Received)
    assert received.subject is None


def test_sources_say_what_they_are() -> None:
    assert source_uri("hot-bar-1", "gw-1") == "/dispensers/hot-bar-1"
    assert source_uri("gw-1", "gw-1") == "/gateways/gw-1"


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_stored_time_can_be_written(time_ms: int) -> None:
    text = format_time(time_ms)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)


@given(st.integers(0, 253_402_300_799_999), st.booleans())
def test_times_come_back_to_the_millisecond(time_ms: int, redelivered: bool) -> None:
    received = decode(written(stored(time_ms=time_ms, day=time_ms // DAY_MS, redelivered=redelivered)))
    assert isinstance(received, Received)
    assert received.time_ms == time_ms


def test_trace_contexts_are_valid_and_differ() -> None:
    made = {traceparent(f"hot-bar-1:00000001:{n}") for n in range(1, 1000)}
    assert len(made) == 999
    assert all(re.fullmatch("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", text) for text in made)


def changed(**changes: object) -> bytes:
    """The envelope of a pour, with members replaced; None removes one."""
    document = {**json.loads(written(stored())), **changes}
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


@pytest.mark.parametrize("layout", [{"separators": (",", ":")}, {}, {"indent": 2}])
@pytest.mark.parametrize("at", [0, 5, 99])
def test_that_it_comes_again_is_no_part_of_the_content_however_that_is_spelled(layout: dict[str, Any], at: int) -> None:
    members = list(json.loads(written(stored())).items())
    again = [*members[:at], ("redelivered", True), *members[at:]]
    hashes = []
    for document in (members, again):
        value = json.dumps(dict(document), **layout).encode()
        event = decode(value)
        assert isinstance(event, Received)
        hashes.append(content_hash(value, event))
    assert hashes[0] == hashes[1]


def changed_data(**changes: object) -> bytes:
    data = {**json.loads(written(stored()))["data"], **changes}
    return changed(data={name: value for name, value in data.items() if value is not None})


def test_readers_ignore_what_they_do_not_know() -> None:
    assert decode(changed(comexampleother="x", later={"a": [1]})) == decode(changed())
    assert decode(changed_data(proof_of_heat={"litres": 2})) == decode(changed())


def test_readers_fill_in_what_older_writers_left_out() -> None:
    received = decode(changed_data(flags=None, pick_id=None))
    assert isinstance(received, Received)
    assert received.data == msgspec.structs.replace(POURED, flags=(), pick_id=None)


BAD = {
    "empty": b"",
    "not JSON": b"\x00\x01",
    "cut short": written(stored())[:-1],
    "two documents": written(stored()) * 2,
    "a list": b"[]",
    "NaN": changed_data().replace(b"61000", b"NaN"),
    "broken UTF-8 in an unknown member": changed(later="@").replace(b"@", b"\xff"),
    "half a surrogate": changed(subject="@").replace(b"@", b"\xed\xa0\x80"),
    "nested too deeply": changed(later="@").replace(b'"@"', b"[" * 200_000 + b"]" * 200_000),
    "another specversion": changed(specversion="0.3"),
    "no id": changed(id=None),
    "no event id": changed(id="hot-bar-1:1:1"),
    "a newline after the id": changed(id="hot-bar-1:5e3a09c1:1\n"),
    "a sequence beyond 2^53": changed(id="hot-bar-1:5e3a09c1:9999999999999999"),
    "a source that is no path": changed(source="hot-bar-1"),
    "a newline after the source": changed(source="/dispensers/hot-bar-1\n"),
    "a token as subject": changed(subject="LOYAL-4711-0815"),
    "an empty subject": changed(subject=""),
    "time without zone": changed(time="2025-11-24T13:13:20.165"),
    "time as a number": changed(time=1763990000),
    "no time": changed(time="yesterday"),
    "another content type": changed(datacontenttype="text/xml"),
    "no traceparent": changed(traceparent="00-0-0-01"),
    "no origin": changed(origin=None),
    "day as a float": changed(heatday=20416.0),
    "day beyond 32 bits": changed(heatday=2**31),
    "unknown clock": changed(clockstate="sundial"),
    "redelivered as text": changed(redelivered="true"),
    "no data": changed(data=None),
    "data as text": changed(data="{}"),
    "no consent": changed_data(consent=None),
    "unknown consent": changed_data(consent="LOYAL-4711-0815"),
    "no region": changed_data(region=None),
    "unknown channel": changed_data(channel="drone"),
    "a pick id that is a number": changed_data(pick_id=7),
    "weight as a bool": changed_data(w=True),
    "weight beyond its cap": changed_data(w=401),
    "negative volume": changed_data(volume_ul=-1),
    "heat beyond capsaicin": changed_data(
        heat={"shu": 16_000_001, "milli_octaves": 0, "sd_milli_octaves": 0, "source": "shu"}
    ),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_anything_else_is_malformed_and_not_repeated(value: bytes) -> None:
    refusal = decode(value)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "malformed"
    assert "LOYAL" not in refusal.detail


@pytest.mark.parametrize("read", [decode, read_published])
def test_a_refusal_says_what_is_wrong_and_where(read: Callable[[bytes], object]) -> None:
    assert read(changed(specversion="jane's LOYAL-4711")) == Refusal(
        "malformed", "Invalid enum value - at `$.specversion`"
    )
    assert read(changed(type=7)) == Refusal("malformed", "Expected `str`, got `int` - at `$.type`")


def test_nothing_is_refused_for_how_it_is_written() -> None:
    value = json.loads(encode(stored()).value or b"")
    assert decode(json.dumps(value, indent=4, sort_keys=True).encode()) == decode(encode(stored()).value or b"")


def test_a_record_lies_where_its_subject_belongs() -> None:
    record = encode(stored())
    assert isinstance(verdict(record.key, record.value or b""), Received)
    for key in (None, b"", b"hot-bar-1", CUSTOMER[:-1].encode()):
        refusal = verdict(key, record.value or b"")
        assert isinstance(refusal, Refusal)
        assert refusal.reason == "wrong_key"


def test_a_type_that_nobody_released_is_unknown() -> None:
    refusal = decode(changed(type="picante.teleported.v1"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "unknown_type"


def test_what_no_broker_takes_is_not_read_either() -> None:
    refusal = decode(b" " * (MAX_ENVELOPE_BYTES + 1))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "too_large"


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_no_bytes_make_the_reader_raise(value: bytes) -> None:
    assert isinstance(decode(value), Refusal)


@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    value = bytearray(written(stored()))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(decode(bytes(value)), Refusal | Received)


# -- what a damaged disk gives back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", EVERY_TYPE, ids=lambda data: data.type)
def test_nothing_is_wrong_with_what_was_stored(data: AnyData) -> None:
    assert fault(stored(data)) is None
    assert isinstance(data, SessionClaimed | ConsentChanged) or fault(stored(data, subject=None)) is None


ANYTHING = {
    "type": st.sampled_from([data.type for data in EVERY_TYPE]) | st.text(),
    "subject": st.none() | st.just(CUSTOMER) | st.text(),
    "time_ms": st.integers(),
    "day": st.integers(),
    "clock": st.sampled_from(["known", "unknown", "estimated"]) | st.text(),
    "origin": st.just(GATEWAY) | st.text(),
    "id": st.builds(EventId, st.just("hot-bar-1") | st.text(), st.integers(), st.integers()),
}


@given(st.sampled_from(sorted(ANYTHING)), st.data())
def test_what_passes_is_what_readers_take(member: str, draw: st.DataObject) -> None:
    row = stored(**{member: draw.draw(ANYTHING[member])})  # type: ignore[arg-type]
    if fault(row) is None:
        received = decode(written(row))
        assert isinstance(received, Received)
        assert (received.id, received.subject, received.day) == (row.id, row.subject, row.day)


@given(st.sampled_from(EVERY_TYPE), st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_reads_as_an_event(data: AnyData, place: int, bit: int) -> None:
    damaged = bytearray(msgspec.json.encode(data))
    damaged[place % len(damaged)] ^= 1 << bit
    row = stored(data, data_bytes=bytes(damaged))
    assert (fault(row) is None) == isinstance(decode(written(row)), Received)


@pytest.mark.parametrize("data", [b"", b"{}", b"{", b'{"a":' * 9_000, b"\xff" * 9, b"[]", b"null"])
def test_what_is_no_event_any_more_is_damaged(data: bytes) -> None:
    refusal = fault(stored(data_bytes=data))
    assert refusal is not None
    assert refusal.reason == "damaged"
