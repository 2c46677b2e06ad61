"""One Delta table: made or widened when it is opened, appended to exactly once, kept small.

Exactly once: each commit carries, for each partition of a topic, Delta's transaction identifier `TOPIC-PARTITION` with
the last offset that it holds. Rows at or below the offset that the table has already are left out, and of two writers
that come with one identifier at once Delta Lake lets only one commit: the other looks again. So a writer that was
killed, one that woke up late, and two that believe to own a partition all leave each row once.

A `folder` is a path or `s3://BUCKET/PREFIX`; options of storages are those of delta-rs (`AWS_ENDPOINT_URL` and others).
S3 needs conditional writes, which Amazon, MinIO and others have; then no lock table is needed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError

from cloud.lake.columns import PARTED_BY, TableKind
from heat.errors import ConfigError, SinkUnavailable

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


class Span(NamedTuple):
    """What was read of a partition: from where on, and the last offset, whether it became a row or not."""

    start: int
    last: int


TRIES = 10
"""Commits of other writers that may come first, one after another, before the part is started anew."""
SETTINGS = {
    "delta.checkpointInterval": "50",  # commits that whoever opens the table reads one by one
    "delta.enableExpiredLogCleanup": "true",
    "delta.logRetentionDuration": "interval 7 days",  # older commits go once a checkpoint holds them
    "delta.dataSkippingStatsColumns": "partition,offset",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m|↳")
COMPRESSION = WriterProperties(compression="ZSTD")


class LakeTable:
    """One table of the lake. Not for several threads at once."""

    def __init__(self, lake: str, kind: TableKind, storage_options: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.folder = f"{lake.rstrip('/')}/{kind.name}"
        self._options = dict(storage_options or {})
        self._table: DeltaTable | None = None

    @property
    def delta(self) -> DeltaTable:
        """The table as it was last read."""
        assert self._table is not None, "open it first"
        return self._table

    def open(self) -> None:
        """Make the table, or give it the columns that it lacks.

        Raises:
            ConfigError: a column means something else in the table than here.
            SinkUnavailable: the storage can't be reached, or not be written.
        """
        with self._errors():
            if not self.read():
                with contextlib.suppress(CommitFailedError):  # another writer makes it at the same time
                    self._create()
                self.read()
            self._widen()

    def _create(self) -> None:
        if "://" not in self.folder:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        DeltaTable.create(
            self.folder,
            Schema.from_arrow(self.kind.columns),
            mode="ignore",
            partition_by=list(PARTED_BY),
            name=self.kind.name,
            configuration=SETTINGS,
            storage_options=self._options,
        )

    def read(self) -> bool:
        """Read the table as it is, for readers, who make none; False if there is none. Raises SinkUnavailable."""
        try:
            with self._errors():
                self._table = DeltaTable(self.folder, storage_options=self._options)
        except LakeMissing:
            return False
        return True

    def position(self, topic: str, partition: int) -> int:
        """The offset up to which, exclusively, the table has all of a partition, as it was last read."""
        last: int | None = self.delta.transaction_version(app_id(topic, partition))
        return 0 if last is None else last + 1

    def append(self, rows: pa.Table, spans: Mapping[Partition, Span]) -> int:
        """Commit the rows that the table does not have yet; how many they were. `spans` are what they were read from.

        Raises:
            SinkUnavailable: the storage failed, the table has less than when reading began, or others kept coming
                first. Nothing was appended, or all of it: `position` tells after `open`.
        """
        failure: CommitFailedError | None = None
        for _ in range(TRIES):
            with self._errors():
                self.delta.update_incremental()
                ahead = self._ahead(spans)
                if not ahead:
                    return 0
                new = self._aligned(self._unseen(rows, spans))
                try:
                    self._commit(new, ahead)
                except CommitFailedError as error:  # somebody else's commit may be of these very rows: look again
                    failure = error
                else:
                    return int(new.num_rows)
        raise SinkUnavailable(f"{self.folder}: {TRIES} commits failed: {_short(failure)}") from failure

    def _ahead(self, spans: Mapping[Partition, Span]) -> list[Transaction]:
        transactions = []
        for at, span in spans.items():
            position = self.position(*at)
            if position < span.start:
                raise SinkUnavailable(f"{self.folder}: it went back from offset {span.start} of {at} to {position}")
            if position <= span.last:
                transactions.append(Transaction(app_id(*at), span.last))
        return transactions

    def _commit(self, rows: pa.Table, transactions: list[Transaction]) -> None:
        properties = CommitProperties(app_transactions=transactions)
        write_deltalake(self.delta, rows, mode="append", writer_properties=COMPRESSION, commit_properties=properties)

    def _unseen(self, rows: pa.Table, spans: Mapping[Partition, Span]) -> pa.Table:
        """Without the rows that are in the table: after a kill, one table has got further than another."""
        for (topic, partition), span in spans.items():
            position = self.position(topic, partition)
            if position > span.start:
                here = pc.and_(pc.equal(rows["topic"], topic), pc.equal(rows["partition"], partition))
                rows = rows.filter(pc.invert(pc.and_(here, pc.less(rows["offset"], position))))
        return rows

    def _aligned(self, rows: pa.Table) -> pa.Table:
        """With the table's columns, which a newer writer may have added to."""
        schema = pa.schema(self.delta.schema().to_arrow())
        if rows.schema.names == schema.names:
            return rows
        columns = [
            rows[field.name] if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)

    def _widen(self) -> None:
        failure: Exception | None = None
        for _ in range(TRIES):
            if not (missing := self._missing()):
                return
            try:
                self.delta.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
            except CommitFailedError as error:  # another writer added some, of this version or of another
                failure = error
            self.delta.update_incremental()
        if self._missing():
            raise SinkUnavailable(f"{self.folder}: {TRIES} times others added columns first") from failure

    def _missing(self) -> list[pa.Field]:
        there = pa.schema(self.delta.schema().to_arrow())
        for column in self.kind.columns:
            if column.name in there.names and not _same(column.type, (was := there.field(column.name).type)):
                raise ConfigError(
                    f"{self.folder}: column {column.name} holds {was}, and would hold {column.type}",
                    hint="A released field keeps its type: give the new one another name",
                )
        return [column for column in self.kind.columns if column.name not in there.names]

    def compact(self) -> dict[str, Any]:
        """Melt small files of one part into large ones; delta-rs' figures. Rows and their order's meaning stay."""
        with self._errors():
            self.delta.update_incremental()
            with contextlib.suppress(CommitFailedError):  # rows of these files were erased meanwhile: next time
                return dict(self.delta.optimize.compact(writer_properties=COMPRESSION))
        return {}

    def expire(self, today: date, days: int) -> int:
        """Drop whole days, by Kafka's date, that are more than `days` old; how many rows. 0 days keep all."""
        if not days:
            return 0
        with self._errors(), contextlib.suppress(CommitFailedError):  # others' commit came between: next time
            self.delta.update_incremental()
            oldest = today - timedelta(days=days)
            done = self.delta.delete(f"ingestion_date < '{oldest.isoformat()}'")
            return int(done.get("num_deleted_rows") or 0)
        return 0

    def vacuum(self, hours: int, *, dry_run: bool = False) -> list[str]:
        """Remove files that no version of the last `hours` needs; their names.

        Those that a killed writer left uncommitted go, too: `hours` must be longer than any commit takes.
        """
        with self._errors():
            self.delta.update_incremental()
            gone = self.delta.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True)
            if not dry_run:
                self.delta.create_checkpoint()
                self.delta.cleanup_metadata()
            return gone

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """delta-rs' errors as ours; that a commit came too late is the caller's to know."""
        try:
            yield
        except (CommitFailedError, ConfigError):
            raise
        except TableNotFoundError as error:
            raise LakeMissing(f"{self.folder}: no table of a lake", hint="Is [lake] path right?") from error
        except SchemaMismatchError as error:
            raise ConfigError(f"{self.folder}: {_short(error)}", hint="A released field keeps its type") from error
        except (DeltaError, OSError) as error:
            raise SinkUnavailable(f"{self.folder}: {_short(error)}") from error


class LakeMissing(ConfigError):
    """There is no lake where one should be."""


def app_id(topic: str, partition: int) -> str:
    """Delta's transaction identifier of a partition."""
    return f"{topic}-{partition}"


def _same(ours: pa.DataType, theirs: pa.DataType) -> bool:
    """Whether two types are one, whatever the items of a list are called."""
    if pa.types.is_list(ours) and pa.types.is_list(theirs):
        return _same(ours.value_type, theirs.value_type)
    return bool(ours == theirs)


def _short(error: Exception | None) -> str:
    """The first words of delta-rs' message, which may go over many lines, in colours."""
    return " ".join(_COLOUR.sub(" ", str(error)).split())[:300]
