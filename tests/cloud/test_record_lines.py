"""Records in one line, for a person and for a machine: whatever is in them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.record_lines import Line, as_json, in_words, read
from cloud_sync.dead_letter import from_record, from_refusal
from cloud_sync.envelope import encode
from cloud_sync.published import Heartbeat, Profile, Version, publish
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import ALL, DAY_MS, DEAD_LETTERS, EVENTS, PROFILES, SAMPLES
from heat.events import AnyData, BucketRow, Sampled
from heat.quality import Refusal
from heat.scale import BANDS
from tests.cloud_sync.examples import CUSTOMER, EVERY_TYPE, GATEWAY, POURED, TIME_MS, refused, stored, written

SAMPLED = next(data for data in EVERY_TYPE if isinstance(data, Sampled))
READ_MS = 1_764_115_200_000
"""Unix time, ms: when the records below were written."""


def as_read(record: Record, offset: int = 9) -> Consumed:
    return Consumed(record.topic, 0, offset, READ_MS, record.key, record.value, record.headers)


@pytest.mark.parametrize("data", EVERY_TYPE, ids=lambda data: data.type)
def test_each_type_of_event_has_words_of_its_own(data: AnyData) -> None:
    line = read(as_read(encode(stored(data))))
    assert not line.wrong
    assert line.kind == data.type.split(".")[1]
    assert "{" not in line.text, "somebody found words for it"
    who = stored(data).subject or stored(data).id.source
    assert (line.time_ms, line.subject, line.origin) == (TIME_MS + 1, who, GATEWAY)


def test_a_pour_reads_as_a_person_would_say_it() -> None:
    line = read(as_read(encode(stored(POURED, clock="unknown", redelivered=True))))
    assert in_words(line) == (
        "2025-11-24 13:13:20.124  poured           p1-01234567…  61.0 ml of smoky-chipotle (2,500 SHU) from nozzle 2"
        "  [large_pour]  [time unknown]  [redelivered]  gw-1  events 0:9"
    )
    assert CUSTOMER in in_words(line, full=True)


REFUSED: dict[str, tuple[Consumed, str]] = {
    "no JSON": (replace(as_read(encode(stored())), value=b"\xff"), "malformed"),
    "another's key": (replace(as_read(encode(stored())), key=b"p1-other"), "wrong_key"),
    "no key": (replace(as_read(encode(stored())), key=None), "wrong_key"),
    "no value": (replace(as_read(encode(stored())), value=None), "malformed"),
    "readings among events": (replace(as_read(encode(stored(SAMPLED))), topic=EVENTS.name), "unknown_type"),
    "a pour among samples": (replace(as_read(encode(stored())), topic=SAMPLES.name), "unknown_type"),
    "a published type among events": (
        Consumed(EVENTS.name, 0, 1, READ_MS, b"gw-1", publish("x", Profile(
            version=Version(1, 2), regions=(), buckets=(), flavours=()), "/cloud/c", "1", 1).value, ()),
        "malformed",
    ),
    "an event among profiles": (
        Consumed(PROFILES.name, 0, 1, READ_MS, CUSTOMER.encode(), written(stored()), ()), "unknown_type",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_readers_refuse_is_shown_with_the_reason(case: str) -> None:
    record, reason = REFUSED[case]
    line = read(record)
    assert (line.wrong, line.kind, line.time_ms) == (True, reason, READ_MS)
    assert json.loads(as_json(record))["refused"]["reason"] == reason


def test_an_event_that_came_too_late_for_a_profile_says_so_and_what_it_was() -> None:
    line = read(replace(as_read(encode(stored())), timestamp_ms=READ_MS + 100 * DAY_MS))
    assert (line.wrong, line.kind, line.subject) == (True, "too_old", CUSTOMER)
    assert line.text.startswith("102 days old at receipt: 61.0 ml of")


def test_what_is_published_has_words_too() -> None:
    rows = (
        BucketRow(GATEWAY, 20_416, "poured", 3, 1, 1, 1, (0,) * BANDS),
        BucketRow(GATEWAY, 20_417, "poured", 4, 1, 1, 1, (0,) * BANDS),
    )
    profile = Profile(version=Version(1, 4711), regions=(), buckets=rows, flavours=())
    line = read(as_read(publish(CUSTOMER, profile, "/cloud/c", "1", 1)))
    assert (line.kind, line.subject, line.text) == (
        "profile", CUSTOMER, "7 pieces of evidence in 2 buckets, up to offset 4711",
    )  # fmt: skip
    beat = Heartbeat(
        gateway="gw-1", store="lyon-2", region="eu", software="1.2", started_ms=1, backlog=3, oldest_ms=None,
        clock="known", disk_percent=12, repairs=("sync_refused",),
    )  # fmt: skip
    assert "to mend: sync_refused" in read(as_read(publish("gw-1", beat, "/gateways/gw-1", "1", 1))).text
    assert read(Consumed(PROFILES.name, 0, 1, READ_MS, b"p1-x", None, ())).kind == "tombstone"


def test_dead_letters_say_why_and_where_they_lay() -> None:
    line = read(
        as_read(from_record(Consumed(EVENTS.name, 3, 17, 1, b"k", b"\xff", ()), Refusal("malformed", "no JSON")))
    )
    assert (line.wrong, line.kind, line.text) == (True, "malformed", "no JSON  (it lay in picante.events.v1 3:17)")
    line = read(as_read(from_refusal(refused())))
    assert (line.kind, line.origin) == ("impossible_heat", GATEWAY)
    assert line.text.startswith("hot-bar-1:5e3a09c1:1  17000000 SHU")
    assert read(Consumed(DEAD_LETTERS.name, 0, 1, 1, None, None, ())).text == "nobody says why"


def test_an_event_is_no_dead_letter_for_a_header_that_anybody_may_write() -> None:
    line = read(replace(as_read(encode(stored())), headers=(("__connect.errors.topic", b"t"),)))
    assert (line.wrong, line.kind) == (False, "poured")


def test_no_terminal_obeys_a_record() -> None:
    line = Line(0, "stated", "\x1b[2J", "a\x07b\rc\u202ed", "", "")
    assert "\x1b" not in in_words(line)
    assert in_words(line).endswith("a�b�c�d")


BYTES = st.none() | st.binary(max_size=40) | st.sampled_from([b"[" * 100_000, b'{"type":1}', b'{"a":\n\t1}'])


@given(
    st.sampled_from([*(topic.name for topic in ALL), "another.topic"]),
    BYTES,
    BYTES,
    st.lists(st.tuples(st.text(max_size=3) | st.just("__connect.errors.topic"), BYTES)).map(tuple),
)
def test_nothing_in_a_record_makes_it_raise_or_fill_more_than_a_line(
    topic: str, key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    record = Consumed(topic, 0, 0, 0, key, value, headers)
    assert in_words(read(record)).isprintable()
    document = as_json(record)
    assert b"\n" not in document
    assert json.loads(document)["offset"] == 0


def test_json_has_all_that_the_record_has() -> None:
    value = written(stored(data_bytes=b'{"later": 1.50,\n "x": "y"}'))
    record = Consumed("another.topic", 2, 7, READ_MS, b"\xfe", value, (("a", b"1"), ("a", None), ("b", b"\xff")))
    document = json.loads(as_json(record))
    assert document["value"]["data"] == {"later": 1.5, "x": "y"}
    assert b'"later":1.50' in as_json(record), "numbers stay as they were written"
    assert document["key"] == {"base64": "/g=="}
    assert document["headers"] == [["a", "1"], ["a", None], ["b", {"base64": "/w=="}]]
    assert (document["partition"], document["timestamp"]) == (2, "2025-11-26T00:00:00.000Z")
