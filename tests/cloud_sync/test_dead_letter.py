"""A record that lies in a topic and is refused there: what its dead letter holds."""

from __future__ import annotations

import pytest

from cloud_sync.dead_letter import KEPT_BYTES, WHOLE_BYTES, from_record
from cloud_sync.envelope import Received, decode
from cloud_sync.record import Consumed, Headers
from cloud_sync.topics import DEAD_LETTERS
from heat.quality import Refusal
from tests.cloud_sync.examples import GATEWAY, TIME_MS, stored, written

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
