"""`picante cloud tail` on a real Kafka: where it begins, where it ends, and what it never shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from cloud.kafka import Consumer
from cloud.librdkafka import Cluster
from cloud.tail import follow
from cloud_sync.record import Consumed
from heat.errors import SinkRefused, SinkUnavailable
from picante.cli import main
from tests.cloud_sync.examples import stored, written
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import LONG_S

Kafka = KafkaServer | ServerElsewhere
Topics = Callable[..., Awaitable[str]]


@pytest.fixture
def config(kafka: Kafka, tmp_path: Path) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n')
    return path


def put(kafka: Kafka, topic: str, sequences: range, transactional_id: str | None = None, partition: int = 0) -> None:
    """Pours; under a transactional id, in a transaction that is taken back."""
    options: dict[str, str] = {} if transactional_id is None else {"transactional.id": transactional_id}
    producer = Producer({"bootstrap.servers": kafka.bootstrap, **options})
    if transactional_id is not None:
        producer.init_transactions()
        producer.begin_transaction()
    for sequence in sequences:
        producer.produce(topic, written(stored(sequence=sequence)), b"p1-0123456789abcdef0123456789abcdef", partition)
    assert producer.flush(LONG_S) == 0
    if transactional_id is not None:
        producer.abort_transaction()


def said(config: Path, *words: str) -> list[str]:
    done = CliRunner().invoke(main, ["cloud", "tail", *words, "--config", str(config)])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def sequences(lines: list[str]) -> list[int]:
    return [int(json.loads(line)["value"]["id"].rpartition(":")[2]) for line in lines]


async def test_it_begins_and_ends_where_it_is_told_to(kafka: Kafka, topic: Topics, config: Path) -> None:
    name = await topic(2)
    put(kafka, name, range(1, 6))
    put(kafka, name, range(6, 9), f"{name}-taken-back")
    put(kafka, name, range(9, 11))
    whole = said(config, name, "--from-beginning", "--no-wait", "--json")
    assert sequences(whole) == [1, 2, 3, 4, 5, 9, 10], "what was taken back is not shown"
    assert sequences(said(config, name, "--from-beginning", "--count", "3", "--json")) == [1, 2, 3]
    assert sequences(said(config, name, "--last", "2", "--no-wait", "--json")) == [9, 10]
    assert len(said(config, name, "--last", "2", "--no-wait")) == 2
    assert said(config, name, "--no-wait") == [], "without a word it begins at the end"


async def test_the_newest_are_found_behind_the_marks_of_transactions(kafka: Kafka, topic: Topics, config: Path) -> None:
    """Each of a quiet gateway's events has a transaction of its own, and what was taken back takes room, too."""
    name = await topic(2)
    put(kafka, name, range(1, 4), partition=1)
    put(kafka, name, range(4, 6))
    for number in range(3):
        put(kafka, name, range(100), f"{name}-{number}")
    assert sequences(said(config, name, "--last", "3", "--no-wait", "--json")) == [3, 4, 5]
    assert sequences(said(config, name, "--last", "100", "--no-wait", "--json")) == [1, 2, 3, 4, 5]
    assert len(said(config, name, "--last", "1", "--count", "1")) == 1


async def test_it_follows_until_ctrl_c_and_leaves_no_trace_of_itself(kafka: Kafka, topic: Topics, config: Path) -> None:
    name = await topic()
    put(kafka, name, range(1, 3))
    command = [sys.executable, "-m", "picante", "cloud", "tail", name, "--last", "1", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(LONG_S):
        assert b"61.0 ml of smoky-chipotle" in await process.stdout.readline()
        put(kafka, name, range(3, 4))
        assert f"{name} 0:2" in (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGINT)
        rest, errors = await process.communicate()
    assert (process.returncode, rest, errors) == (0, b"", b"")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> list[SinkUnavailable]:
    """What comes next of a reader whose Kafka was there when it began, instead of records and of answers."""
    troubles: list[SinkUnavailable] = []
    poll, partitions, begun = Consumer.poll, Consumer.partitions, set[Consumer]()

    def polled(consumer: Consumer) -> list[Consumed]:
        if troubles:
            raise troubles.pop(0)
        return poll(consumer)

    def asked(consumer: Consumer, *asked: Any) -> int:
        if troubles and consumer in begun:
            raise troubles.pop(0)
        begun.add(consumer)
        return partitions(consumer, *asked)

    monkeypatch.setattr(Consumer, "poll", polled)
    monkeypatch.setattr(Consumer, "partitions", asked)
    monkeypatch.setattr("cloud.tail.ASKED_S", 0.01)
    return troubles


async def test_it_goes_on_after_a_kafka_that_was_away(kafka: Kafka, topic: Topics, away: list[SinkUnavailable]) -> None:
    name = await topic()
    put(kafka, name, range(1, 3))
    away += [SinkUnavailable("it went"), SinkUnavailable("it is away still")]
    with contextlib.closing(follow(Cluster(kafka.bootstrap), name, "beginning", wait=True)) as records:
        assert next(records).offset == 0
        assert away == []
        assert next(records).offset == 1
        put(kafka, name, range(3, 4))
        away += [SinkUnavailable("it went again")]
        assert next(records).offset == 2


async def test_it_ends_where_waiting_is_of_no_use(
    kafka: Kafka, topic: Topics, away: list[SinkUnavailable], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await topic()
    away.append(SinkUnavailable("one asked for what there is now"))
    with pytest.raises(SinkUnavailable, match="there is now"):
        next(follow(Cluster(kafka.bootstrap), name, "beginning", wait=False))
    away.append(SinkRefused("it does not let us in"))
    with pytest.raises(SinkRefused):
        next(follow(Cluster(kafka.bootstrap), name, "beginning", wait=True))
    monkeypatch.setattr("cloud.tail.PATIENCE_S", 0.05)
    away += [SinkUnavailable("it went")] * 100
    with pytest.raises(SinkUnavailable, match="it went"):
        next(follow(Cluster(kafka.bootstrap), name, "beginning", wait=True))


async def test_a_topic_that_is_not_there_is_said(config: Path) -> None:
    done = CliRunner().invoke(main, ["cloud", "tail", "evnts", "--config", str(config)])
    assert done.exit_code == 1
    assert "evnts can't be looked at" in done.output
    assert "picante cloud topics plan" in done.output
