"""Records as Kafka gave them -> rows of the lake's tables, as Arrow. Pure.

Column by column, since a Python object for each cell would cost more than all that Delta Lake does.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
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
_SHARED = ("topic", "partition", "offset", "ingestion_date", "subject_bucket")
"""Columns of `raw` that tables of events have, too."""
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
    times_ms = pa.array([record.timestamp_ms for record in records], pa.int64())
    keys = [record.key for record in records]
    columns: dict[str, Any] = {
        "topic": [record.topic for record in records],
        "partition": [record.partition for record in records],
        "offset": [record.offset for record in records],
        "timestamp_ms": times_ms,
        "key": keys,
        "value": [record.value for record in records],
        "headers": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), headers),
        "subject": list(map(_subject, keys)),
        "ingestion_date": _days(times_ms),
        "subject_bucket": list(map(bucket, keys)),
    }
    return pa.table([_array(columns[f.name], f.type) for f in RAW_COLUMNS], schema=RAW_COLUMNS)


def event_rows(
    kind: TableKind, records: Sequence[Consumed], raw: pa.Table, events: Sequence[tuple[int, Received]]
) -> pa.Table:
    """Rows of a table of events: those that `cloud_sync.envelope.verdict` let in, with the places of their records.

    `raw`: the records' rows of the table `raw`.
    """
    received = [event for _, event in events]
    values = [records[place].value or b"" for place, _ in events]
    texts, extensions = _texts(values)
    ids = [event.id for event in received]
    columns: dict[str, Any] = {
        "id": list(map(str, ids)),
        "source": [id_.source for id_ in ids],
        "id_generation": [id_.generation for id_ in ids],
        "id_sequence": [id_.sequence for id_ in ids],
        "type": [event.data.type for event in received],
        "subject": [event.subject for event in received],
        "origin": [event.origin for event in received],
        "time": _moments([event.time_ms for event in received]),
        "heatday": [event.day for event in received],
        "clockstate": [event.clock for event in received],
        "redelivered": [event.redelivered for event in received],
        "content_hash": list(map(content_hash, values, received)),
        "data": texts,
        "extensions": extensions,
        **_fields(received, kind.columns),
    }
    of_raw = raw.select([*_SHARED, "timestamp_ms"])
    if len(events) < len(records):
        of_raw = of_raw.take(pa.array([place for place, _ in events], pa.int32()))
    columns |= {name: of_raw[name] for name in _SHARED}
    columns["received"] = _moments(of_raw["timestamp_ms"])
    arrays = [
        _array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(events), f.type) for f in kind.columns
    ]
    return pa.table(arrays, schema=kind.columns)


def _array(values: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    return pa.array(values, kind) if isinstance(values, list) else values


def _days(times_ms: pa.Array) -> pa.Array:
    return pc.divide(_in_calendar(times_ms), DAY_MS).cast(pa.int32()).cast(pa.date32())


def _moments(times_ms: list[int] | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return _in_calendar(_array(times_ms, pa.int64())).cast(pa.timestamp("ms", "UTC")).cast(MOMENT)


def _in_calendar(times_ms: pa.Array) -> pa.Array:
    return pc.min_element_wise(pc.max_element_wise(times_ms, 0), LATEST_MS)


def _subject(key: bytes | None) -> str | None:
    """A key as a pseudonym or session; None where it is neither, such as a dispenser's name."""
    if key is None or key[:1] not in {b"p", b"s"} or not key.isascii():
        return None
    text = key.decode()
    return text if PSEUDONYM.match(text) or SESSION.match(text) else None


def _texts(values: Iterable[bytes]) -> tuple[list[str], list[str | None]]:
    """Each event's `data` as it came, unknown fields included, and the envelope's attributes that nobody here knows."""
    texts: list[str] = []
    extensions: list[str | None] = []
    for value in values:
        members = _members.decode(value)
        texts.append(str(memoryview(members["data"]), "utf-8"))
        if members.keys() <= _KNOWN:
            extensions.append(None)
        else:
            unknown = {name: text for name, text in members.items() if name not in _KNOWN}
            extensions.append(msgspec.json.encode(unknown).decode())
    return texts, extensions


def _fields(received: Sequence[Received], wanted: pa.Schema) -> dict[str, pa.Array]:
    """The simple fields of all types by column: an event's row is None where its type has no such field."""
    places: dict[type[AnyData], list[int]] = defaultdict(list)
    for place, event in enumerate(received):
        places[type(event.data)].append(place)
    parts: dict[str, list[tuple[type[AnyData], pa.Array]]] = defaultdict(list)
    for type_, rows in places.items():
        names, read = _readers[type_]
        values = zip(*(read(received[row].data) for row in rows), strict=True)
        for name, column in zip(names, values, strict=True):
            if name in wanted.names:
                parts[name].append((type_, pa.array(column, wanted.field(name).type)))
    placed: dict[tuple[type[AnyData], ...], pa.Array] = {}
    columns = {}
    for name, of_types in parts.items():
        types = tuple(type_ for type_, _ in of_types)
        if types not in placed:
            placed[types] = _places([places[type_] for type_ in types], len(received))
        columns[name] = pa.concat_arrays([array for _, array in of_types]).take(placed[types])
    return columns


def _places(rows: Sequence[Sequence[int]], count: int) -> pa.Array:
    """Where each of `count` rows finds its value, where those of `rows` lie one after the other; null: nowhere."""
    found: list[int | None] = [None] * count
    for at, row in enumerate(itertools.chain.from_iterable(rows)):
        found[row] = at
    return pa.array(found, pa.int32())


def _reader(type_: type[AnyData]) -> tuple[list[str], Callable[[AnyData], tuple[Any, ...]]]:
    names = list(simple_fields(type_))
    return names, attrgetter(*(_HEAT.get(name, name) for name in names))


_readers = {type_: _reader(type_) for type_ in TYPES.values()}
