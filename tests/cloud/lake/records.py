"""Records as the lake's reader gets them from Kafka."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cloud.lake.columns import EVENT_TABLE, TableKind
from cloud.lake.lake import Lake
from cloud_sync.envelope import encode
from cloud_sync.record import Consumed, Headers
from cloud_sync.topics import CLOUDEVENT, CONTENT_TYPE, EVENTS
from heat.events import AnyData
from tests.cloud_sync.examples import POURED, stored

DAY_MS = 86_400_000
RECEIVED_MS = 20_782 * DAY_MS + 3_600_000
"""2026-11-25, 01:00 UTC."""


def consumed(
    offset: int,
    data: AnyData = POURED,
    *,
    partition: int = 0,
    timestamp_ms: int = RECEIVED_MS,
    headers: Headers = ((CONTENT_TYPE, CLOUDEVENT),),
) -> Consumed:
    """An event as it lies in the topic of events; its sequence is its offset and one."""
    record = encode(stored(data, offset + 1))
    return Consumed(EVENTS.name, partition, offset, timestamp_ms, record.key, record.value, headers)


def foreign(offset: int, value: bytes | None, key: bytes | None = b"k", topic: str = EVENTS.name) -> Consumed:
    """A record of anybody's."""
    return Consumed(topic, 0, offset, RECEIVED_MS, key, value, ())


def put(lake: Lake, records: Iterable[Consumed], start: int | None = None) -> dict[str, int]:
    """Append records in one batch, as read from `start`, or from the position of each partition on."""
    batch = lake.batch()
    for record in records:
        batch.add(record, lake.position(record.topic, record.partition) if start is None else start)
    return lake.append(batch.rows(), batch.spans)


def opened(folder: Path, kinds: tuple[TableKind, ...] | None = None) -> Lake:
    """A lake in a folder, open."""
    lake = Lake(str(folder)) if kinds is None else Lake(str(folder), kinds=kinds)
    lake.open()
    return lake


def offsets(lake: Lake, table: str = EVENT_TABLE.name) -> list[int]:
    """The offsets in a table, in order: one that is there twice shows twice."""
    lake.tables[table].read()
    return sorted(lake.tables[table].delta.to_pyarrow_table(columns=["offset"])["offset"].to_pylist())
