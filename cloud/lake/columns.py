"""What the lake's tables look like: columns, and which record goes into which part of a table.

    raw      every record of every topic that the lake reads, its bytes untouched; this table's columns never change
    events   what of `picante.events.v1` is an event: envelope and the types' simple fields as columns, all in `data`
    samples  the same of `picante.samples.v1`

A table of events has each record that carries one, so an event that came twice is there twice. Of rows with one `id`
the one with the smallest `content_hash` counts, for profiles and here.

Tables are parted by `ingestion_date` (the UTC day at which Kafka took the record) and `subject_bucket` (CRC-32 of the
record's key modulo 16, which Spark and Athena can compute, too). (topic, partition, offset) names a record.

A new event type, or a new field of one, becomes a column by itself: the columns are made of `heat.events`. Old rows
have none there. Fields that nobody here knows yet are in `data`, and attributes of the envelope in `extensions`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import pyarrow as pa
from msgspec import inspect

from cloud_sync.topics import EVENTS, SAMPLES
from heat.events import TYPES, AnyData, Sampled
from heat.scale import Heat

BUCKETS = 16
"""A customer's rows are in one file of 16, so that asking for one, or erasing one, touches a sixteenth."""
PARTED_BY = ("ingestion_date", "subject_bucket")

MOMENT = pa.timestamp("us", "UTC")
"""Delta Lake has no other."""
HEADER = pa.struct([("key", pa.string()), ("value", pa.binary())])
HEADERS = pa.list_(HEADER)
"""A list: a header's name may repeat, and their order counts."""

_WHERE = [
    ("topic", pa.string()),
    ("partition", pa.int32()),
    ("offset", pa.int64()),
]
_PARTS = [("ingestion_date", pa.date32()), ("subject_bucket", pa.int32())]

RAW_COLUMNS = pa.schema(
    [
        *_WHERE,
        ("timestamp_ms", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", HEADERS),
        ("subject", pa.string()),  # the key, where it is a pseudonym or a session
        *_PARTS,
    ]
)

_ENVELOPE = [
    *_WHERE,
    ("received", MOMENT),
    ("id", pa.string()),
    ("source", pa.string()),
    ("id_generation", pa.int64()),
    ("id_sequence", pa.int64()),
    ("type", pa.string()),
    ("subject", pa.string()),
    ("origin", pa.string()),
    ("time", MOMENT),
    ("heatday", pa.int32()),
    ("clockstate", pa.string()),
    ("redelivered", pa.bool_()),
    ("content_hash", pa.int64()),
    ("data", pa.string()),
    ("extensions", pa.string()),
]


@dataclass(frozen=True, slots=True)
class TableKind:
    """One table of the lake: its name, which is its folder's, too, and what it keeps."""

    name: str
    columns: pa.Schema
    topic: str | None = None
    """The one topic whose events it keeps; None keeps the records of all."""


def bucket(key: bytes | None) -> int:
    """The `subject_bucket` of a record with this key; of those without one 0."""
    return zlib.crc32(key) % BUCKETS if key else 0


def simple_fields(type_: type[AnyData]) -> dict[str, pa.DataType]:
    """The fields of an event type that become columns, and as what: no structures but a heat, whose fields do."""
    found: dict[str, pa.DataType] = {}
    for name, field in _fields(type_):
        if isinstance(field, inspect.StructType) and field.cls is Heat:
            found |= {f"{name}_{part}": kind for part, inner in _fields(Heat) if (kind := _arrow(inner))}
        elif kind := _arrow(field):
            found[name] = kind
    return found


def _fields(type_: type[msgspec.Struct]) -> Iterable[tuple[str, inspect.Type]]:
    described = inspect.type_info(type_)
    assert isinstance(described, inspect.StructType)
    return ((field.encode_name, field.type) for field in described.fields)


def _arrow(field: inspect.Type) -> pa.DataType | None:
    match field:
        case inspect.IntType():
            return pa.int64()
        case inspect.FloatType():
            return pa.float64()
        case inspect.BoolType():
            return pa.bool_()
        case inspect.StrType() | inspect.LiteralType():
            return pa.string()
        case inspect.VarTupleType(item_type=inspect.StrType()):
            return pa.list_(pa.string())
        case inspect.UnionType(types=types):
            kinds = {kind for of in types if not isinstance(of, inspect.NoneType) if (kind := _arrow(of))}
            return kinds.pop() if len(kinds) == 1 else None
        case _:
            return None


def _event_columns(types: Iterable[type[AnyData]]) -> pa.Schema:
    columns = pa.schema(_ENVELOPE)
    for type_ in types:
        for name, kind in simple_fields(type_).items():
            if name not in columns.names:
                columns = columns.append(pa.field(name, kind))
            elif columns.field(name).type != kind or name in dict(_ENVELOPE):
                raise TypeError(f"{type_.type}: {name} is a column of another meaning already")
    return pa.schema([*columns, *_PARTS])


RAW = TableKind("raw", RAW_COLUMNS)
EVENT_TABLE = TableKind("events", _event_columns(t for t in TYPES.values() if t is not Sampled), EVENTS.name)
SAMPLE_TABLE = TableKind("samples", _event_columns((Sampled,)), SAMPLES.name)
TABLES = (RAW, EVENT_TABLE, SAMPLE_TABLE)
