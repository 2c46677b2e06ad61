"""What is compared, from where it lies: the topics, the gateways' heartbeats, the pipeline's states, the lake.

It blocks. Heartbeats and states are read first, and the topics after them: what a gateway holds for sent, and the dead
letters of what a state has passed, are there by then.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloud.config import CloudConfig
from cloud.fleet import Heard, hear
from cloud.kafka import Consumer, Place, read_to_end
from cloud.kafka_admin import Admin
from cloud.lake.columns import RAW
from cloud.lake.settings import lake_of
from cloud.lake.table import LakeTable
from cloud.librdkafka import Cluster, cluster_of
from cloud.pipeline.reading import StateReader, partition_in, state_files
from cloud.reconciliation.findings import Books, Folded, InLake, Reached, Report, reconcile
from cloud.reconciliation.ledger import Cell, Ledger
from cloud.reconciliation.sums import Line, sums
from cloud_sync.topics import DEAD_LETTERS, EVENTS, GATEWAYS, HOUR_MS, SAMPLES
from heat.errors import StoreError

log = logging.getLogger("cloud.reconciliation")

TOPICS = (EVENTS.name, SAMPLES.name, DEAD_LETTERS.name)
SLACK_MS = 120_000
"""ms before the first hour from which on topics are read: a transaction lies in two hours, and is seen whole."""
GRACE_MS = 300_000
"""ms after its end in which an hour counts as open: transactions end, and readers catch up."""
MOST_HOURS = 144
"""Six days: samples are in Kafka for seven."""


class Stopped(Exception):
    """Somebody wants to end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, over which hours."""

    hours: range
    report: Report
    lines: list[Line]


def closed_hours(now_ms: int, count: int) -> range:
    """The last `count` hours that are over, as hours since 1970."""
    end = (now_ms - GRACE_MS) // HOUR_MS
    return range(end - count, end)


def compare(
    config: CloudConfig, hours: range, stop: threading.Event | None = None, reached: Reached | None = None
) -> Outcome:
    """Compare all that there is of these hours. `reached` is the report's on the hours before.

    Raises:
        SinkUnavailable, SinkRefused: Kafka or the lake can't be read. ConfigError: they never can. Stopped.
    """
    cluster = cluster_of(config)
    fleet = read_fleet(cluster)
    ours, group = "pipeline" in config.cloud.parts, config.pipeline.group
    folded, lacking = read_states(
        config.path(config.cloud.data_dir) / "pipeline",
        hours,
        positions(cluster, group),
        lambda: Admin(cluster).members(group) > ours,
    )
    ledger = read_topics(cluster, hours, stop or threading.Event())
    lake = read_lake(lake_of(config).tables[RAW.name], hours, ledger.lines.keys(), config.lake.raw_days)
    if lake is None and "lake" in config.cloud.parts:
        lake = {}
    books = Books(fleet, folded, lacking, lake)
    return Outcome(hours, reconcile(ledger, books, hours, reached), sums(ledger, books, hours))


def read_fleet(cluster: Cluster) -> Collection[Heard]:
    """The last heartbeat of each gateway."""
    fleet: dict[str, Heard] = {}
    for batch in read_to_end(cluster, GATEWAYS.name):
        hear(fleet, batch)
    return fleet.values()


def read_topics(cluster: Cluster, hours: range, stop: threading.Event) -> Ledger:
    """Everything in the topics from a little before the first hour on until now."""
    ledger = Ledger()
    with Consumer(cluster) as consumer:
        places = [Place(topic, number) for topic in TOPICS for number in range(consumer.partitions(topic))]
        begin = consumer.offsets_at(places, hours.start * HOUR_MS - SLACK_MS)
        consumer.assign(begin)
        ended: set[Place] = set()
        while len(ended) < len(places):
            for record in consumer.poll():
                if Place(record.topic, record.partition) not in ended:
                    ledger.add(record)
            ended |= consumer.ended.keys()
            if stop.is_set():
                raise Stopped
    return ledger


def positions(cluster: Cluster, group: str) -> Mapping[int, int]:
    """How far the pipeline's processes are, by partition of the events, as of some seconds ago."""
    with Consumer(cluster, group) as look:
        places = [Place(EVENTS.name, number) for number in range(look.partitions(EVENTS.name))]
        return {place.partition: position or 0 for place, position in look.committed(places).items()}


def read_states(
    directory: Path, hours: range, at: Mapping[int, int], others: Callable[[], bool]
) -> tuple[Mapping[int, Folded], Mapping[int, str]]:
    """The states of this machine's pipeline, and why partitions lack that should be here.

    Partitions with which the group is further (`at`) are another process's, if there are `others`.
    """
    found: dict[int, Folded] = {}
    lacking: dict[int, str] = {}
    for path in state_files(directory, EVENTS.name):
        try:
            with StateReader.open(path) as state:
                position, taken, refused = state.counts(hours.start)
                cells = ({Cell(*cell): n for cell, n in counts.items()} for counts in (taken, refused))
                found[state.partition] = Folded(position, *cells)
        except StoreError as error:
            lacking[partition_in(path, EVENTS.name)] = str(error)
    missing = [number for number, end in at.items() if number not in lacking and _end(found, number) < end]
    if missing and not others():
        for number in missing:
            lacking[number] = f"the state of partition {number} is not here, or an old one, and nobody else has it"
    return {number: one for number, one in found.items() if number not in missing}, lacking


def _end(found: Mapping[int, Folded], number: int) -> int:
    return found[number].position if number in found else -1


def read_lake(
    raw: LakeTable, hours: range, places: Collection[tuple[str, int]], raw_days: int
) -> Mapping[tuple[str, int], InLake] | None:
    """The rows of the table `raw` in these hours, of these partitions; None where there is no lake."""
    if not raw.read():
        return None
    begin_ms, end_ms = hours.start * HOUR_MS, hours.stop * HOUR_MS
    first, last = (datetime.fromtimestamp(ms / 1000, UTC).date() for ms in (begin_ms, end_ms))
    within = (
        (pc.field("ingestion_date") >= first)
        & (pc.field("ingestion_date") <= last)
        & (pc.field("timestamp_ms") >= begin_ms)
        & (pc.field("timestamp_ms") < end_ms)
    )
    rows: defaultdict[tuple[str, int], defaultdict[int, array[int]]] = defaultdict(
        lambda: defaultdict(lambda: array("q"))
    )
    for batch in _batches(raw, within):
        for topic, partition, offset, time_ms in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            rows[topic, partition][time_ms // HOUR_MS].append(offset)
    for offsets in (each for by_hour in rows.values() for each in by_hour.values()):
        np.frombuffer(offsets, np.int64).sort()
    kept_from = (end_ms // (24 * HOUR_MS) - raw_days + 1) * 24 if raw_days else 0
    return {place: InLake(raw.position(*place), rows.get(place, {}), kept_from) for place in places}


def _batches(raw: LakeTable, within: pc.Expression) -> Iterator[pa.RecordBatch]:
    """The rows of all files that can be read: those of one that is gone, or damaged, are no more in the lake."""
    columns = ["topic", "partition", "offset", "timestamp_ms"]
    dataset = raw.delta.to_pyarrow_dataset()
    for fragment in dataset.get_fragments(within):
        try:
            yield from fragment.to_batches(dataset.schema, columns=columns, filter=within)
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            log.warning("a file of the lake can't be read", extra={"file": fragment.path, "error": str(error)[:300]})
