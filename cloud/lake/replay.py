"""The lake -> Kafka again: the raw records of a topic into another one, to be folded anew.

Bytes, keys, headers, times, partitions and their order are those of the records that Kafka once had; offsets are new.
The times must stay, since what came too late is told by them: the new topic keeps its writers' times (CreateTime).

Each batch is a transaction that also commits the position, as the offset of the group `picante-lake-replay-TOPIC` on
the new topic: a replay that was killed goes on where it was, and one that is run again adds what the lake got since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from cloud.kafka import Consumer, Place, Producer
from cloud.kafka_admin import Admin
from cloud.lake.lake import Lake
from cloud.lake.query import connected, sql_errors
from cloud.librdkafka import Cluster
from cloud.topic_plan import Difference
from cloud_sync.record import Record
from cloud_sync.topics import ALL, Topic
from heat.errors import ConfigError

BATCH = 2_000
"""Records of a transaction; of 2,000 they are as fast as plain sending."""
KEPT_DAYS = 36_500
"""Days that the new topic keeps records: they are as old as the lake, and retention goes by their times."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    records: int
    """That this run added."""
    positions: dict[int, int]
    """By partition, the offset in the old topic up to which, exclusively, the new one has all."""


Progress = Callable[[int], None]
"""Told how many records were added so far."""


def replay(
    lake: Lake, cluster: Cluster, source: str, target: str, replication: int = 1, progress: Progress = lambda _: None
) -> Replayed:
    """Add all of topic `source` that the lake has, and `target` has not.

    Raises:
        LakeMissing: there is no lake. ConfigError: the target is none for a replay, or holds what no replay wrote.
        SinkUnavailable, SinkRefused: Kafka or the storage can't be used now; run it again.
    """
    with connected(lake) as connection:
        partitions = _partitions(connection, source)
        if not partitions:
            raise ConfigError(f"the lake has nothing of {source}", hint="picante lake info says what it has")
        group = f"picante-lake-replay-{target}"
        partitions = max([partitions, *(topic.partitions for topic in ALL if topic.name == source)])
        _make(Admin(cluster), Topic(target, partitions, KEPT_DAYS), replication)
        with Producer(cluster, group) as producer:
            producer.open()  # first: what another run left open is decided then, and its position stands
            positions = _positions(cluster, group, target, partitions)
            records = 0
            for partition in range(partitions):
                rows = _rows(connection, source, partition, positions[partition])
                for batch in rows:
                    last: int = batch["offset"][-1].as_py()
                    at = {Place(target, partition): last + 1}
                    producer.transact(_records(batch, target, partition), group, at)
                    positions[partition] = last + 1
                    records += batch.num_rows
                    progress(records)
    return Replayed(records, positions)


def waiting(lake: Lake, source: str) -> int:
    """How many records of a topic the lake has. Raises LakeMissing, SinkUnavailable."""
    with connected(lake) as connection, sql_errors():
        [(count,)] = connection.execute("SELECT count(*) FROM raw WHERE topic = ?", [source]).fetchall()
    return int(count)


def _partitions(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    with sql_errors():
        [(last,)] = connection.execute("SELECT max(partition) FROM raw WHERE topic = ?", [source]).fetchall()
    return 0 if last is None else int(last) + 1


def _rows(
    connection: duckdb.DuckDBPyConnection, source: str, partition: int, position: int
) -> Iterator[pa.RecordBatch]:
    sql = 'SELECT * FROM raw WHERE topic = ? AND partition = ? AND "offset" >= ? ORDER BY "offset"'
    with sql_errors():
        found = connection.sql(sql, params=[source, partition, position])
        yield from found.to_arrow_reader(BATCH)


def _records(batch: pa.RecordBatch, target: str, partition: int) -> Iterator[Record]:
    for row in batch.select(["key", "value", "headers", "timestamp_ms"]).to_pylist():
        headers = tuple((header["key"], header["value"]) for header in row["headers"])
        yield Record(target, row["key"], row["value"], headers, row["timestamp_ms"], partition)


def _make(admin: Admin, topic: Topic, replication: int) -> None:
    if any(topic.name == known.name for known in ALL):
        raise ConfigError(
            f"{topic.name} is a topic of the contract", hint="Name one for the replay: picante.events.v1.g2"
        )
    found = admin.topics([topic.name]).get(topic.name)
    if found is None:
        admin.mend([Difference(topic, "", "", "", "create")], min(replication, admin.brokers().known))
    elif found.settings.get("message.timestamp.type") != "CreateTime":
        raise ConfigError(
            f"{topic.name} gives records new times, and too late would mean something else",
            hint="Name a topic that does not exist yet: it is made as it has to be",
        )
    elif found.settings.get("cleanup.policy") != "delete" or not _keeps(found.settings, topic):
        raise ConfigError(
            f"{topic.name} would drop what is old, or what has the key of something newer",
            hint="Name a topic that does not exist yet: it is made as it has to be",
        )
    elif found.partitions < topic.partitions:
        raise ConfigError(f"{topic.name} has {found.partitions} partitions, and {topic.partitions} are needed")


def _keeps(settings: Mapping[str, str], topic: Topic) -> bool:
    kept_ms = int(settings.get("retention.ms", "0"))
    return kept_ms == -1 or kept_ms >= int(topic.settings["retention.ms"])


def _positions(cluster: Cluster, group: str, target: str, partitions: int) -> dict[int, int]:
    places = [Place(target, partition) for partition in range(partitions)]
    with Consumer(cluster, group) as consumer:
        positions = consumer.committed(places)
        for place, position in positions.items():
            first, end = consumer.watermarks(place)
            if position is None and end > first:
                raise ConfigError(
                    f"{target} {place.partition} has records and no position of a replay",
                    hint="Name another topic: records could come twice into this one",
                )
    return {place.partition: position or 0 for place, position in positions.items()}
