"""What is compared, from where it lies: the topics, the gateways' heartbeats, the pipeline's states, the lake.

It blocks. Heartbeats and states are read first, and the topics after them: what a gateway holds for sent, and the dead
letters of what a state has passed, are there by then.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc

from cloud.config import CloudConfig
from cloud.fleet import Heard, hear
from cloud.kafka import Consumer, Place, read_to_end
from cloud.lake.columns import RAW
from cloud.lake.settings import lake_of
from cloud.lake.table import LakeTable
from cloud.librdkafka import Cluster, cluster_of
from cloud.pipeline.reading import StateReader, state_files
from cloud.reconciliation.findings import Books, Folded, InLake, Report, reconcile
from cloud.reconciliation.ledger import HOUR_MS, Cell, Ledger
from cloud.reconciliation.sums import Line, sums
from cloud_sync.topics import DEAD_LETTERS, EVENTS, GATEWAYS, SAMPLES
from heat.errors import StoreError

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


def compare(config: CloudConfig, hours: range, stop: threading.Event | None = None) -> Outcome:
    """Compare all that there is of these hours.

    Raises:
        SinkUnavailable, SinkRefused: Kafka or the lake can't be read. ConfigError: they never can. Stopped.
    """
    cluster = cluster_of(config)
    fleet = read_fleet(cluster)
    folded = read_states(
        config.path(config.cloud.data_dir) / "pipeline", hours, positions(cluster, config.pipeline.group)
    )
    ledger = read_topics(cluster, hours, stop or threading.Event())
    lake = read_lake(lake_of(config).tables[RAW.name], hours, ledger.lines.keys(), config.lake.raw_days)
    books = Books(fleet, folded, lake)
    return Outcome(hours, reconcile(ledger, books, hours), sums(ledger, books, hours))


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


def read_states(directory: Path, hours: range, at: Mapping[int, int]) -> Mapping[int, Folded]:
    """The states of this machine's pipeline, without those that another process has got further with.

    Those that can't be read now are left out, too.
    """
    found: dict[int, Folded] = {}
    for path in state_files(directory, EVENTS.name):
        with suppress(StoreError), StateReader.open(path) as state:
            position, taken, refused = state.counts(hours.start)
            cells = ({Cell(*cell): n for cell, n in counts.items()} for counts in (taken, refused))
            if position >= at.get(state.partition, 0):
                found[state.partition] = Folded(position, *cells)
    return found


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
    rows: defaultdict[tuple[str, int], dict[int, tuple[int, int]]] = defaultdict(dict)
    dataset = raw.delta.to_pyarrow_dataset()
    for batch in dataset.to_batches(columns=["topic", "partition", "offset", "timestamp_ms"], filter=within):
        for topic, partition, offset, time_ms in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            of = rows[topic, partition]
            of[offset] = time_ms // HOUR_MS, of[offset][1] + 1 if offset in of else 1
    kept_from = (end_ms // (24 * HOUR_MS) - raw_days + 1) * 24 if raw_days else 0
    return {place: InLake(raw.position(*place), rows.get(place, {}), kept_from) for place in places}
