"""The lake's bytes go through Kafka again: the very records, once, and profiles of equal digests."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloud.kafka import Place, Producer, read_to_end
from cloud.kafka_admin import Admin
from cloud.lake import replay as replay_module
from cloud.lake.replay import replay
from cloud.librdkafka import Cluster
from cloud_sync.record import Record
from heat.errors import ConfigError, SinkUnavailable
from tests.cloud.lake.writing import lake_of, running, send_pours, wait_for_rows, writer_of
from tests.reference import profiles
from tests.servers import KafkaServer, ServerElsewhere

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]


def contents(cluster: Cluster, topic: str) -> dict[int, list[tuple[Any, ...]]]:
    """By partition the records of a topic, without their offsets."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for batch in read_to_end(cluster, topic):
        for record in batch:
            found.setdefault(record.partition, []).append(
                (record.key, record.value, record.headers, record.timestamp_ms)
            )
    return found


def digests(cluster: Cluster, topic: str) -> dict[str, str]:
    """The digests of all subjects, as the naive reader has them: each event once."""
    events: dict[str, Mapping[str, Any]] = {}
    for batch in read_to_end(cluster, topic):
        for value in [record.value for record in batch if record.key not in {b"poison", None}]:
            event = json.loads(value or b"")
            events[event["id"]] = {**event, "day": event["heatday"], "type": event["type"]}
    return {subject: profile["digest"] for subject, profile in profiles(events.values()).items()}


async def filled(kafka: Kafka, topic: MakeTopic, folder: Path) -> str:
    """A topic whose records are in the lake: pours, the first of them twice, poison, and a record without a key."""
    name = await topic(partitions=2, settings={"message.timestamp.type": "LogAppendTime"})
    send_pours(kafka.bootstrap, name, 300)
    send_pours(kafka.bootstrap, name, 50)
    with Producer(Cluster(kafka.bootstrap)) as producer:
        producer.send(Record(name, None, None, (("none", None),), None, 1))
        producer.flush()
    with running(writer_of(kafka.bootstrap, name, folder)):
        wait_for_rows(folder, 386)
    return name


async def test_a_replay_that_is_cut_and_run_again_gives_the_very_records(
    kafka: Kafka, topic: MakeTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = await filled(kafka, topic, tmp_path), f"picante-test-{secrets.token_hex(6)}"
    cluster, lake = Cluster(kafka.bootstrap), lake_of(source, tmp_path)
    monkeypatch.setattr(replay_module, "BATCH", 50)
    transact, cut = Producer.transact, 0

    def cutting(producer: Producer, records: Any, group: str, positions: Mapping[Place, int]) -> None:
        nonlocal cut
        cut += 1
        if cut == 3:
            raise SinkUnavailable("cut before")
        transact(producer, records, group, positions)
        if cut == 5:
            raise SinkUnavailable("cut after")

    monkeypatch.setattr(Producer, "transact", cutting)
    for when in ("before", "after"):
        with pytest.raises(SinkUnavailable, match=when):
            replay(lake, cluster, source, target)
    done = replay(lake, cluster, source, target)
    assert 0 < done.records < 386
    assert contents(cluster, target) == contents(cluster, source)
    assert digests(cluster, target) == digests(cluster, source) != {}
    assert replay(lake, cluster, source, target).records == 0
    send_pours(kafka.bootstrap, source, 20, first=301)
    with running(writer_of(kafka.bootstrap, source, tmp_path)):
        wait_for_rows(tmp_path, 408)
    assert replay(lake, cluster, source, target).records == 22
    assert contents(cluster, target) == contents(cluster, source)
    settings = config_of(kafka, target)
    assert (settings["message.timestamp.type"], settings["cleanup.policy"]) == ("CreateTime", "delete")
    assert int(settings["retention.ms"]) > 90 * 365 * 86_400_000


def config_of(kafka: Kafka, topic: str) -> Mapping[str, str]:
    return Admin(Cluster(kafka.bootstrap)).topics([topic])[topic].settings


async def test_a_topic_that_is_none_for_a_replay_is_refused(kafka: Kafka, topic: MakeTopic, tmp_path: Path) -> None:
    source, cluster = await topic(), Cluster(kafka.bootstrap)
    send_pours(kafka.bootstrap, source, 5)
    lake = lake_of(source, tmp_path)
    with running(writer_of(kafka.bootstrap, source, tmp_path)):
        wait_for_rows(tmp_path, 5)
    redated = await topic(settings={"message.timestamp.type": "LogAppendTime"})
    with pytest.raises(ConfigError, match="gives records new times"):
        replay(lake, cluster, source, redated)
    filled_by_others = await topic(settings={"message.timestamp.type": "CreateTime", "retention.ms": "-1"})
    send_pours(kafka.bootstrap, filled_by_others, 1)
    with pytest.raises(ConfigError, match="has records and no position of a replay"):
        replay(lake, cluster, source, filled_by_others)
    for lossy in ({"cleanup.policy": "compact"}, {"retention.ms": str(7 * 86_400_000)}):
        name = await topic(settings={"message.timestamp.type": "CreateTime", **lossy})
        with pytest.raises(ConfigError, match="would drop what is old"):
            replay(lake, cluster, source, name)
    with pytest.raises(ConfigError, match="is a topic of the contract"):
        replay(lake, cluster, source, "picante.features.v1")
    with pytest.raises(ConfigError, match="the lake has nothing of picante.other.v1"):
        replay(lake, cluster, "picante.other.v1", "picante-test-none")
