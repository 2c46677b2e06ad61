"""What there is in a lake, by table: rows, files, bytes, days, and how far each partition of a topic is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cloud.lake.lake import Lake
from cloud.lake.table import LakeTable, Partition
from cloud.lake.writer import TOPICS

LOOKED_AT = 16
"""Partitions of a topic that are asked for, even if none of them has anything yet; beyond, up to the first without."""


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table as it is now."""

    name: str
    folder: str
    version: int
    """Of Delta Lake: commits since it was made."""
    rows: int
    files: int
    size_bytes: int
    oldest: date | None
    """The first day, by Kafka's date, of which it has rows."""
    newest: date | None
    positions: dict[Partition, int]
    """The offset up to which, exclusively, it has all of a partition."""


def look(lake: Lake) -> list[TableInfo]:
    """The tables that there are. Raises LakeMissing, SinkUnavailable."""
    if found := [_look(table) for table in lake.tables.values() if table.read()]:
        return found
    raise lake.missing()


def as_document(tables: Iterable[TableInfo]) -> dict[str, Any]:
    """For JSON: tables by name, positions by topic and partition."""
    return {
        table.name: {
            **{name: getattr(table, name) for name in ("folder", "version", "rows", "files", "size_bytes")},
            **{name: day and day.isoformat() for name, day in (("oldest", table.oldest), ("newest", table.newest))},
            "positions": {
                topic: {str(p): at for (name, p), at in table.positions.items() if name == topic}
                for topic in dict.fromkeys(name for name, _ in table.positions)
            },
        }
        for table in tables
    }


def as_rows(tables: Sequence[TableInfo]) -> Iterator[tuple[str, ...]]:
    """For a person: a line a table, and a line a partition of a topic with its position in each."""
    yield "table", "rows", "files", "MiB", "oldest", "newest", "version", "folder"
    for table in tables:
        days = (str(table.oldest or "-"), str(table.newest or "-"))
        size = f"{table.size_bytes / 2**20:.1f}"
        yield table.name, str(table.rows), str(table.files), size, *days, str(table.version), table.folder
    yield ("",) * 8
    yield "position", *(table.name for table in tables), *("",) * (7 - len(tables))
    for topic, partition in dict.fromkeys(at for table in tables for at in table.positions):
        found = [str(table.positions.get((topic, partition), "-")) for table in tables]
        yield f"{topic} {partition}", *found, *("",) * (7 - len(found))


def _look(table: LakeTable) -> TableInfo:
    files = pa.table(table.delta.get_add_actions(flatten=True))
    days = files["partition.ingestion_date"]
    return TableInfo(
        name=table.kind.name,
        folder=table.folder,
        version=table.delta.version(),
        rows=pc.sum(files["num_records"]).as_py() or 0,
        files=files.num_rows,
        size_bytes=pc.sum(files["size_bytes"]).as_py() or 0,
        oldest=pc.min(days).as_py(),
        newest=pc.max(days).as_py(),
        positions=dict(_positions(table)),
    )


def _positions(table: LakeTable) -> Iterator[tuple[Partition, int]]:
    for topic in TOPICS if table.kind.topic is None else (table.kind.topic,):
        partition = 0
        while (position := table.position(topic, partition)) or partition < LOOKED_AT:
            if position:
                yield (topic, partition), position
            partition += 1
