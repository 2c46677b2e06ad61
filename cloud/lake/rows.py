"""Records as Kafka gave them -> rows of the lake's tables, as Arrow. Pure.

Column by column, since a Python object for each cell would cost more than all that Delta Lake does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw

from cloud.lake.columns import HEADER, MOMENT, RAW_COLUMNS, TableKind, bucket, simple_fields
from cloud_sync.envelope import Envelope, Received, content_hash
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.events import TYPES, AnyData
from heat.identity import PSEUDONYM, SESSION
from heat.scale import Heat

LATEST_MS = 253_402_300_799_999
"""The last ms of the year 9999: later times are written as this one, and those before 1970 as its beginning."""

_members: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_KNOWN = frozenset(Envelope.__struct_fields__)
_HEAT = {f"heat_{name}": f"heat.{name}" for name in Heat.__struct_fields__}


def raw_rows(records: Sequence[Consumed]) -> pa.Table:
    """Rows of the table `raw`: each record as it is."""
    names, contents, ends = [], [], [0]
    for record in records:
        for name, content in record.headers:
            names.append(name)
            contents.append(content)
        ends.append(len(names))
    headers = pa.StructArray.from_arrays(
        [pa.array(names, pa.string()), pa.array(contents, pa.binary())], fields=list(HEADER)
    )
    columns: dict[str, Any] = {
        **_where(records),
        "timestamp_ms": [record.timestamp_ms for record in records],
        "key": [record.key for record in records],
        "value": [record.value for record in records],
        "headers": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), headers),
        "subject": [_subject(record.key) for record in records],
        **_parts(records),
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in RAW_COLUMNS], schema=RAW_COLUMNS)


def event_rows(kind: TableKind, events: Sequence[tuple[Consumed, Received]]) -> pa.Table:
    """Rows of a table of events: those that `cloud_sync.envelope.decode` let in, each with the record it was in."""
    records = [record for record, _ in events]
    received = [event for _, event in events]
    texts, extensions = _texts(records)
    columns: dict[str, Any] = {
        **_where(records),
        "received": _moments(record.timestamp_ms for record in records),
        "id": [str(event.id) for event in received],
        "source": [event.id.source for event in received],
        "id_generation": [event.id.generation for event in received],
        "id_sequence": [event.id.sequence for event in received],
        "type": [event.data.type for event in received],
        "subject": [event.subject for event in received],
        "origin": [event.origin for event in received],
        "time": _moments(event.time_ms for event in received),
        "heatday": [event.day for event in received],
        "clockstate": [event.clock for event in received],
        "redelivered": [event.redelivered for event in received],
        "content_hash": [content_hash(record.value or b"", event) for record, event in events],
        "data": texts,
        "extensions": extensions,
        **_fields(received, set(kind.columns.names)),
        **_parts(records),
    }
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(records), f.type) for f in kind.columns
    ]
    return pa.table(arrays, schema=kind.columns)


def _where(records: Sequence[Consumed]) -> dict[str, list[Any]]:
    return {
        "topic": [record.topic for record in records],
        "partition": [record.partition for record in records],
        "offset": [record.offset for record in records],
    }


def _parts(records: Sequence[Consumed]) -> dict[str, Any]:
    days = [min(max(record.timestamp_ms, 0), LATEST_MS) // DAY_MS for record in records]
    return {
        "ingestion_date": pa.array(days, pa.int32()).cast(pa.date32()),
        "subject_bucket": [bucket(record.key) for record in records],
    }


def _moments(times_ms: Iterable[int]) -> pa.Array:
    milliseconds = pa.array([min(max(ms, 0), LATEST_MS) for ms in times_ms], pa.timestamp("ms", "UTC"))
    return milliseconds.cast(MOMENT)


def _subject(key: bytes | None) -> str | None:
    """A key as a pseudonym or session; None where it is neither, such as a dispenser's name."""
    if key is None or key[:1] not in {b"p", b"s"} or not key.isascii():
        return None
    text = key.decode()
    return text if PSEUDONYM.match(text) or SESSION.match(text) else None


def _texts(records: Iterable[Consumed]) -> tuple[list[str], list[str | None]]:
    """Each event's `data` as it came, unknown fields included, and the envelope's attributes that nobody here knows."""
    texts, extensions = [], []
    for record in records:
        members = _members.decode(record.value or b"")
        texts.append(str(memoryview(members["data"]), "utf-8"))
        unknown = {name: text for name, text in members.items() if name not in _KNOWN}
        extensions.append(msgspec.json.encode(unknown).decode() if unknown else None)
    return texts, extensions


def _fields(received: Sequence[Received], wanted: set[str]) -> dict[str, list[Any]]:
    """The simple fields of all types by column: an event's row is None where its type has no such field."""
    places: dict[type[AnyData], list[int]] = defaultdict(list)
    for place, event in enumerate(received):
        places[type(event.data)].append(place)
    columns: dict[str, list[Any]] = {}
    for type_, rows in places.items():
        names, read = _readers[type_]
        values = zip(*(read(received[row].data) for row in rows), strict=True)
        for name, column in zip(names, values, strict=True):
            if name not in wanted:
                continue
            if len(rows) == len(received):
                columns[name] = list(column)
                continue
            whole = columns.setdefault(name, [None] * len(received))
            for row, value in zip(rows, column, strict=True):
                whole[row] = value
    return columns


def _reader(type_: type[AnyData]) -> tuple[list[str], Callable[[AnyData], tuple[Any, ...]]]:
    names = list(simple_fields(type_))
    return names, attrgetter(*(_HEAT.get(name, name) for name in names))


_readers = {type_: _reader(type_) for type_ in TYPES.values()}
