"""The lake as one writer sees it: records in, each into every table that keeps it.

Tables commit one after another, so that a kill may leave one behind: reading goes on from the lowest position of all,
and each table leaves out what it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from cloud.lake.columns import RAW, SAMPLE_TABLE, TABLES, TableKind
from cloud.lake.rows import event_rows, raw_rows
from cloud.lake.table import LakeMissing, LakeTable, Partition, Span
from cloud_sync.envelope import Received, verdict
from cloud_sync.record import Consumed

AT_ONCE = 2_000
"""Records that become columns at once: as objects, they take ten times the room, and leave the processor's caches."""


class Batch:
    """Records that are committed together, in the order of their offsets within each partition."""

    def __init__(self, kinds: Mapping[str, TableKind]) -> None:
        self.count = 0
        """Of records."""
        self.newest_ms = 0
        """When Kafka took the last one; Unix, ms."""
        self.spans: dict[Partition, Span] = {}
        self.size_bytes = 0
        self._kinds = kinds
        self._records: list[Consumed] = []
        self._events: dict[str, list[tuple[int, Received]]] = {}
        """By topic: events, each with its record's place among those above."""
        self._rows: dict[str, list[pa.Table]] = {}
        """Of the records before them."""

    def add(self, record: Consumed, start: int) -> None:
        """Take a record, with the verdict on it where its topic carries events.

        `start` is the position at which reading its partition began; what lies between is in this batch, or is none.
        """
        at = record.topic, record.partition
        before = self.spans.get(at)
        self.spans[at] = Span(start if before is None else before.start, record.offset)
        self.count += 1
        self.newest_ms = record.timestamp_ms
        self.size_bytes += record.size_bytes
        kind = self._kinds.get(record.topic)
        if kind is not None and (event := event_in(record, samples=kind.name == SAMPLE_TABLE.name)) is not None:
            self._events.setdefault(record.topic, []).append((len(self._records), event))
        self._records.append(record)
        if len(self._records) == AT_ONCE:
            self._make_rows()

    def _make_rows(self) -> None:
        raw = raw_rows(self._records)
        self._rows.setdefault(RAW.name, []).append(raw)
        for topic, found in self._events.items():
            rows = event_rows(self._kinds[topic], self._records, raw, found)
            self._rows.setdefault(self._kinds[topic].name, []).append(rows)
        self._records, self._events = [], {}

    def rows(self) -> dict[str, pa.Table]:
        """The rows that are to be appended, by table."""
        self._make_rows()
        return {name: pa.concat_tables(parts) for name, parts in self._rows.items()}


class Lake:
    """All tables of a lake."""

    def __init__(
        self, folder: str, storage_options: Mapping[str, str] | None = None, kinds: Sequence[TableKind] = TABLES
    ) -> None:
        self.folder = folder
        self.tables = {kind.name: LakeTable(folder, kind, storage_options) for kind in kinds}
        self._kinds = {kind.topic: kind for kind in kinds if kind.topic is not None}

    def open(self) -> None:
        """Make the tables, or widen them. Raises ConfigError, SinkUnavailable."""
        for table in self.tables.values():
            table.open()

    def position(self, topic: str, partition: int) -> int:
        """The offset at which reading a partition goes on, as the tables were last read: the lowest of all."""
        keep = (table for table in self.tables.values() if table.kind.topic in {None, topic})
        return min(table.position(topic, partition) for table in keep)

    def missing(self) -> LakeMissing:
        """What a reader is told that finds none of the tables."""
        hint = "See [lake] path in cloud.toml; the part `lake` of picante cloud run makes it"
        return LakeMissing(f"{self.folder}: no lake there yet", hint=hint)

    def batch(self) -> Batch:
        """An empty one."""
        return Batch(self._kinds)

    def append(self, rows: Mapping[str, pa.Table], spans: Mapping[Partition, Span]) -> dict[str, int]:
        """Commit a batch's rows to each table; how many were new to it. Raises SinkUnavailable."""
        new = {}
        for name, table in self.tables.items():
            mine = {at: span for at, span in spans.items() if table.kind.topic in {None, at[0]}}
            new[name] = table.append(rows.get(name, table.kind.columns.empty_table()), mine) if mine else 0
        return new


def event_in(record: Consumed, *, samples: bool = False) -> Received | None:
    """The event that a record carries; None where it carries none, or lies where such events don't."""
    event = verdict(record.key, record.value or b"", samples=samples)
    return event if isinstance(event, Received) else None
