"""Records become rows: nothing of the bytes is lost, fields become columns, unknown ones stay in `data`."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, date, datetime

import msgspec
import pytest

from cloud.lake.columns import EVENT_TABLE, RAW_COLUMNS, SAMPLE_TABLE, bucket
from cloud.lake.lake import Lake, event_in
from cloud.lake.rows import event_rows, raw_rows
from cloud_sync.record import Consumed
from cloud_sync.topics import DEAD_LETTERS, EVENTS, SAMPLES
from heat.events import TYPES, Poured, Sampled
from tests.cloud.lake.records import RECEIVED_MS, consumed, foreign
from tests.cloud_sync.examples import CUSTOMER, EVERY_TYPE, POURED

HEADERS = (("a", b"1"), ("a", b"2"), ("b", None), ("ä", b"\xff\x00"))


def row(record: Consumed) -> dict[str, object]:
    event = event_in(record)
    assert event is not None
    return dict(event_rows(EVENT_TABLE, [record], raw_rows([record]), [(0, event)]).to_pylist()[0])


@pytest.mark.parametrize("value", [b"", b"\xff\xfe not JSON", None, b'{"a":1}'])
def test_a_raw_row_has_the_record_as_it_was(value: bytes | None) -> None:
    record = Consumed("picante.dlq.v1", 3, 41, RECEIVED_MS, b"\x00\xff", value, HEADERS)
    [row] = raw_rows([record]).to_pylist()
    assert (row["topic"], row["partition"], row["offset"]) == ("picante.dlq.v1", 3, 41)
    assert (row["key"], row["value"], row["timestamp_ms"]) == (b"\x00\xff", value, RECEIVED_MS)
    assert tuple((header["key"], header["value"]) for header in row["headers"]) == HEADERS
    assert (row["ingestion_date"], row["subject"]) == (date(2026, 11, 25), None)


def test_headers_stay_with_their_record() -> None:
    records = [consumed(0, headers=()), consumed(1, headers=HEADERS), consumed(2, headers=(("c", b"3"),))]
    rows = raw_rows(records).to_pylist()
    assert [tuple((h["key"], h["value"]) for h in row["headers"]) for row in rows] == [r.headers for r in records]


def test_raw_never_changes_its_columns() -> None:
    assert RAW_COLUMNS.names == [
        *("topic", "partition", "offset", "timestamp_ms", "key", "value", "headers", "subject"),
        *("ingestion_date", "subject_bucket"),
    ]


def test_a_customers_rows_share_a_bucket_in_every_table() -> None:
    raw = raw_rows([consumed(0)]).to_pylist()[0]
    assert raw["subject_bucket"] == row(consumed(0))["subject_bucket"] == zlib.crc32(CUSTOMER.encode()) % 16
    assert raw["subject"] == CUSTOMER
    assert bucket(None) == 0


def test_an_event_has_its_envelope_and_its_fields_as_columns() -> None:
    found = row(consumed(6))
    assert found["id"] == "hot-bar-1:5e3a09c1:7"
    assert (found["source"], found["id_generation"], found["id_sequence"]) == ("hot-bar-1", 0x5E3A09C1, 7)
    assert found["received"] == datetime(2026, 11, 25, 1, tzinfo=UTC)
    assert (found["sauce"], found["heat_shu"], found["volume_ul"]) == ("smoky-chipotle", 2500, 61_000)
    assert (found["flavours"], found["flags"], found["pick_id"]) == (["smoky"], ["large_pour"], POURED.pick_id)
    assert found["verdict"] is None
    assert msgspec.json.decode(str(found["data"]), type=Poured) == POURED


def test_types_in_one_batch_do_not_mix_their_fields() -> None:
    kept = [data for data in EVERY_TYPE if not isinstance(data, Sampled)]
    records = [consumed(offset, data) for offset, data in enumerate(kept * 2)]
    events = [(place, event) for place, record in enumerate(records) if (event := event_in(record)) is not None]
    together = event_rows(EVENT_TABLE, records, raw_rows(records), events).to_pylist()
    assert together == [row(record) for record in records]
    assert {found["type"] for found in together} == {data.type for data in kept}


STRUCTURED = {"picks", "offered", "known", "buckets", "flavours", "sensors"}
"""Fields that are read out of `data`."""


def test_every_simple_field_of_every_type_is_a_column() -> None:
    for type_ in TYPES.values():
        columns = (SAMPLE_TABLE if type_ is Sampled else EVENT_TABLE).columns.names
        for field in type_.__struct_fields__:
            assert field in columns or f"{field}_shu" in columns or field in STRUCTURED, field


def test_what_nobody_here_knows_yet_is_kept() -> None:
    record = consumed(0)
    envelope = json.loads(record.value or b"")
    envelope["data"]["colour"] = {"red": [1, 2.50]}
    envelope["tenant"] = "é"
    value = json.dumps(envelope, ensure_ascii=False, indent=1).encode()
    found = row(Consumed(record.topic, 0, 0, RECEIVED_MS, record.key, value, ()))
    assert '"red": [\n' in str(found["data"])
    assert json.loads(str(found["data"]))["colour"] == {"red": [1, 2.50]}
    assert json.loads(str(found["extensions"])) == {"tenant": "é"}
    assert row(record)["extensions"] is None


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 2**62])
def test_a_time_that_no_calendar_has_is_kept_and_dated_at_an_end(timestamp_ms: int) -> None:
    record = consumed(0, timestamp_ms=timestamp_ms)
    [raw] = raw_rows([record]).to_pylist()
    assert raw["timestamp_ms"] == timestamp_ms
    assert raw["ingestion_date"] == (date(1970, 1, 1) if timestamp_ms <= 0 else date(9999, 12, 31))
    assert row(record)["ingestion_date"] == raw["ingestion_date"]


@pytest.mark.parametrize("at_once", [1, 2, 2_000])
def test_what_is_no_event_is_in_raw_alone(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("cloud.lake.lake.AT_ONCE", at_once)
    good, wrong = consumed(0), consumed(1)
    batch = Lake("nowhere").batch()
    for record in (
        good,
        Consumed(EVENTS.name, 0, 1, RECEIVED_MS, b"hot-bar-1", wrong.value, ()),  # not its subject's key
        foreign(2, b"{"),
        foreign(3, None),
        foreign(4, good.value, good.key, DEAD_LETTERS.name),
        foreign(5, good.value, good.key, "picante.other.v1"),
        consumed(6, timestamp_ms=RECEIVED_MS + 7),
    ):
        batch.add(record, 0)
    rows = batch.rows()
    assert rows["raw"]["offset"].to_pylist() == [0, 1, 2, 3, 4, 5, 6]
    assert rows["events"]["offset"].to_pylist() == [0, 6]
    assert rows["events"]["received"].to_pylist()[1] == datetime(2026, 11, 25, 1, 0, 0, 7_000, tzinfo=UTC)
    assert (batch.count, batch.newest_ms) == (7, RECEIVED_MS + 7)
    assert set(rows) == {"raw", "events"}


def test_samples_are_a_table_of_their_own() -> None:
    sampled = next(data for data in EVERY_TYPE if isinstance(data, Sampled))
    record = consumed(0, sampled)
    batch = Lake("nowhere").batch()
    batch.add(Consumed(SAMPLES.name, 0, 0, RECEIVED_MS, record.key, record.value, ()), 0)
    [found] = batch.rows()["samples"].to_pylist()
    assert (found["dispenser"], found["seconds"], found["subject"]) == ("hot-bar-1", 3600, None)
