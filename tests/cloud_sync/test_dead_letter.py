"""A record that lies in a topic and is refused there: what its dead letter holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.dead_letter import KEPT_BYTES, WHOLE_BYTES, Source, from_event, from_record, from_refusal, read
from cloud_sync.envelope import Received, decode
from cloud_sync.record import Consumed, Headers, Record
from cloud_sync.topics import DEAD_LETTERS
from heat.quality import Refusal
from tests.cloud_sync.examples import GATEWAY, TIME_MS, refused, stored, written

REFUSAL = Refusal("malformed", "not UTF-8 at byte 3")
HEADERS: Headers = (("content-type", b"text/plain"), ("tag", b"b"), ("tag", None), ("tag", b"a"), ("tag", b"b"))


def consumed(
    value: bytes | None = b"\xffjunk\x00", key: bytes | None = b"\xfe", headers: Headers = HEADERS
) -> Consumed:
    return Consumed("picante.events.v1", 3, 4711, TIME_MS, key, value, headers)


def test_key_value_timestamp_and_repeated_headers_stay_as_they_were() -> None:
    letter = from_record(consumed(), REFUSAL)
    assert (letter.topic, letter.key, letter.value) == ("picante.dlq.v1", b"\xfe", b"\xffjunk\x00")
    assert letter.timestamp_ms == TIME_MS
    assert letter.headers == (
        *HEADERS,
        ("__connect.errors.topic", b"picante.events.v1"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"4711"),
        ("__connect.errors.connector.name", b"picante-pipeline"),
        ("__connect.errors.exception.class.name", b"heat.quality.Refusal"),
        ("__connect.errors.exception.message", b"not UTF-8 at byte 3"),
        ("picante.reason", b"malformed"),
        ("picante.timestamp", str(TIME_MS).encode()),
    )


def test_nothing_is_not_the_same_as_empty() -> None:
    assert [(one.key, one.value) for one in (from_record(consumed(None, None), REFUSAL),)] == [(None, None)]
    assert [(one.key, one.value) for one in (from_record(consumed(b"", b""), REFUSAL),)] == [(b"", b"")]


def test_an_event_that_is_refused_is_named() -> None:
    event = decode(written(stored()))
    assert isinstance(event, Received)
    headers = dict(from_record(consumed(), Refusal("malformed", "x"), event).headers)
    assert headers["picante.event.id"] == b"hot-bar-1:5e3a09c1:1"
    assert headers["picante.origin"] == GATEWAY.encode()
    assert headers["picante.time"] == b"2025-11-24T13:13:20.124Z"


BOMBS = {
    "a value": consumed(bytes(2**24)),
    "a key": consumed(key=bytes(2**24)),
    "a header": consumed(headers=(("x", bytes(2**24)),)),
    "a header's name": consumed(headers=(("x" * 2**24, b""),)),
    "many headers": consumed(headers=(("x", b"y" * 100),) * 100_000),
    "all of it": consumed(bytes(2**24), bytes(2**24), (("x", bytes(2**24)),)),
}
"""What a writer can compress into one batch."""


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_whatever_was_in_a_topic_fits_into_the_dead_letters(bomb: Consumed) -> None:
    letter = from_record(bomb, REFUSAL)
    assert letter.size_bytes < DEAD_LETTERS.max_bytes
    assert letter.value is not None
    assert bomb.value is not None
    assert bomb.value.startswith(letter.value)
    assert dict(letter.headers)["picante.full.size"] == str(len(bomb.value)).encode()


def test_what_fits_into_a_topic_uncompressed_is_kept_whole() -> None:
    largest = consumed(bytes(WHOLE_BYTES - 200), b"k", (("a", b"b"),))
    assert from_record(largest, REFUSAL).value == largest.value
    assert len(from_record(consumed(bytes(WHOLE_BYTES)), REFUSAL).value or b"") == KEPT_BYTES


# -- and back -------------------------------------------------------------------------------------------------------


def as_read(letter: Record, offset: int = 17) -> Consumed:
    return Consumed(letter.topic, 0, offset, TIME_MS + 9_999, letter.key, letter.value, letter.headers)


VALUES = st.none() | st.binary(max_size=20)
NAMES = st.sampled_from(["tag", "content-type", "__connect.errors.topic", "picante.reason", "picante.full.size"])


@given(st.builds(consumed, VALUES, VALUES, st.lists(st.tuples(NAMES | st.text(max_size=5), VALUES)).map(tuple)))
def test_a_record_comes_back_as_it_lay_there_whatever_its_headers_say(record: Consumed) -> None:
    letter = read(as_read(from_record(record, REFUSAL)))
    assert letter.source == Source(record.topic, record.partition, record.offset)
    assert (letter.reason, letter.detail, letter.writer) == ("malformed", REFUSAL.detail, "picante-pipeline")
    assert letter.record == Record(record.topic, record.key, record.value, record.headers, record.timestamp_ms)


def test_a_dead_letter_that_is_refused_again_comes_back_as_it_was_at_first() -> None:
    again = read(as_read(from_record(as_read(from_record(consumed(), REFUSAL)), Refusal("damaged", "again"))))
    assert again.reason == "damaged"
    assert again.record is not None
    first = read(Consumed("picante.dlq.v1", 0, 1, TIME_MS, again.record.key, again.record.value, again.record.headers))
    assert (first.reason, first.record) == ("malformed", Record(*_parts(consumed())))


def _parts(record: Consumed) -> tuple[str, bytes | None, bytes | None, Headers, int]:
    return record.topic, record.key, record.value, record.headers, record.timestamp_ms


@pytest.mark.parametrize("letter", [from_refusal(refused()), from_event(stored(), REFUSAL)], ids=["refused", "stored"])
def test_what_a_gateway_refused_lay_in_no_topic(letter: Record) -> None:
    found = read(as_read(letter))
    assert (found.source, found.record, found.headers) == (None, None, ())
    assert (found.event_id, found.origin, found.writer) == ("hot-bar-1:5e3a09c1:1", GATEWAY, "picante-uplink")


def test_what_was_cut_is_no_record_any_more() -> None:
    found = read(as_read(from_record(BOMBS["a value"], REFUSAL)))
    assert (found.full_size, found.record) == (2**24, None)


@given(st.lists(st.tuples(NAMES | st.just("__connect.errors.offset") | st.text(max_size=5), VALUES)).map(tuple), VALUES)
def test_nothing_that_somebody_writes_there_makes_it_raise(headers: Headers, value: bytes | None) -> None:
    read(Consumed("picante.dlq.v1", 0, 0, 0, None, value, headers))
