"""The lake: rows a second from Kafka into its tables, beside bare delta-rs appends of the very same columns."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from cloud.app import spare_the_collector
from cloud.kafka import Producer, read_to_end
from cloud.lake.columns import EVENT_TABLE, PARTED_BY, RAW
from cloud.lake.lake import Batch, Lake
from cloud.lake.table import COMPRESSION
from cloud.lake.writer import Bounds, LakeWriter
from cloud.librdkafka import Cluster
from cloud_sync.record import Record

ROWS = 20_000
"""Of a batch: as in a backlog, none is committed earlier, however slow the machine is."""


@dataclass(frozen=True, slots=True)
class LakeFigures:
    """Rows are records: each is in both tables."""

    rows: int
    rows_s: float
    """From the writer's start on, over verdicts and both commits."""
    bare_rows_s: float
    """Ready columns of the same batches into the same two tables."""
    cpu_us: float
    """CPU of this process for a row."""
    bare_cpu_us: float
    """Likewise."""
    bytes_row: float
    """On disk, of both tables, before compaction."""

    @property
    def share(self) -> float:
        """Of the bare appends."""
        return self.rows_s / self.bare_rows_s


def measure(bootstrap: str, topic: str, records: list[Record], directory: Path) -> LakeFigures:
    """Send records to an empty topic, and have them in a lake; then append the same columns barely."""
    spare_the_collector()  # as `picante cloud run` does
    cluster = Cluster(bootstrap)
    with Producer(cluster) as producer:
        for record in records:
            producer.send(replace(record, topic=topic))
        producer.flush()
    bounds = Bounds(rows=min(ROWS, len(records)))
    lake = Lake(str(directory / "lake"), kinds=(RAW, replace(EVENT_TABLE, topic=topic)))
    rows_s, cpu_us = _written(LakeWriter(cluster, lake, bounds, [topic], f"{topic}-lake"), len(records))
    size = sum(file.stat().st_size for file in (directory / "lake").rglob("*.parquet"))
    bare_s, bare_cpu_us = _appended(_batches(cluster, topic, lake), directory / "bare")
    count = len(records)
    return LakeFigures(count, rows_s, count / bare_s, cpu_us, bare_cpu_us / count, size / count)


def _written(writer: LakeWriter, count: int) -> tuple[float, float]:
    stop = threading.Event()
    thread = threading.Thread(target=writer.run, args=(stop,))
    cpu, begun = sum(os.times()[:2]), time.perf_counter()
    thread.start()
    while writer.counts.rows < count and thread.is_alive():
        time.sleep(0.005)
    took, cpu = time.perf_counter() - begun, sum(os.times()[:2]) - cpu
    stop.set()
    thread.join()
    assert writer.counts.rows == count
    return count / took, cpu / count * 1e6


def _batches(cluster: Cluster, topic: str, lake: Lake) -> list[dict[str, pa.Table]]:
    batches: list[Batch] = [lake.batch()]
    for records in read_to_end(cluster, topic):
        for record in records:
            if batches[-1].count == ROWS:
                batches.append(lake.batch())
            batches[-1].add(record, 0)
    return [batch.rows() for batch in batches]


def _appended(batches: list[dict[str, pa.Table]], directory: Path) -> tuple[float, float]:
    """Seconds, and µs of CPU."""
    cpu, begun = time.process_time(), time.perf_counter()
    for batch in batches:
        for name, rows in batch.items():
            write_deltalake(
                directory / name, rows, mode="append", partition_by=list(PARTED_BY), writer_properties=COMPRESSION
            )
    return time.perf_counter() - begun, 1e6 * (time.process_time() - cpu)
