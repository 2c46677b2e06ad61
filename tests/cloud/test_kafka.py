"""The cloud's readers and writers against Apache Kafka."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from cloud.kafka import BEGINNING, Consumer, Place, Producer, partition_of, read_range, read_to_end
from cloud.lake.rows import raw_rows
from cloud.librdkafka import Cluster, PositionLost, Trouble, topic_id
from cloud_sync.dead_letter import from_record
from cloud_sync.record import Record
from cloud_sync.topics import HEADERS_LOST
from heat.errors import RecordRejected, SinkRefused, SinkUnavailable
from heat.quality import Refusal
from tests.servers import KafkaServer, ServerElsewhere, free_port

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]


def numbered(topic: str, count: int) -> list[Record]:
    """So many records, each of another key."""
    return [Record(topic, f"key-{i}".encode(), str(i).encode(), ()) for i in range(count)]


def send(cluster: Cluster, records: list[Record]) -> None:
    with Producer(cluster) as producer:
        for record in records:
            producer.send(record)
        producer.flush()


async def test_records_come_back_as_they_were_and_where_java_would_put_them(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster = await topic(partitions=3), Cluster(kafka.bootstrap)
    headers = (("h", b"1"), ("h", b"2"), ("none", None))
    send(cluster, [*numbered(name, 300), Record(name, b"headed", None, headers, 1_763_990_000_123)])
    read = [record for batch in read_to_end(cluster, name) for record in batch]
    assert len(read) == 301
    assert all(record.partition == partition_of(record.key or b"", 3) for record in read)
    assert {record.partition for record in read} == {0, 1, 2}
    [headed] = [record for record in read if record.key == b"headed"]
    assert (headed.value, headed.headers, headed.timestamp_ms) == (None, headers, 1_763_990_000_123)
    [first, *_] = read_to_end(cluster, name, [1])
    assert {record.partition for record in first} == {1}


ODD_HEADER = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Odd(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"value", key=b"key", headers=[("fine", b"1"), (Odd(), b"2")])

asyncio.run(main())
"""
"""Sends a header whose name is not UTF-8, as only aiokafka without its compiled parts lets one."""


async def test_a_header_whose_name_is_no_text_costs_the_headers_and_nothing_else(
    kafka: Kafka, topic: MakeTopic
) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, numbered(name, 1))
    sender = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ODD_HEADER, kafka.bootstrap, name), env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    )
    assert await sender.wait() == 0
    send(cluster, numbered(name, 1))
    read = [record for batch in read_to_end(cluster, name) for record in batch]
    assert [(record.offset, record.key, record.value) for record in read] == [
        (0, b"key-0", b"0"),
        (1, b"key", b"value"),
        (2, b"key-0", b"0"),
    ]
    assert [record.headers for record in read] == [
        (),
        ((HEADERS_LOST, b"a header's name is not UTF-8"),),
        (),
    ]
    assert raw_rows(read)["headers"].to_pylist()[1][0]["key"] == HEADERS_LOST
    assert from_record(read[1], Refusal("malformed", "no JSON")).headers[0] == read[1].headers[0]


async def test_a_range_ends_where_it_was_said_to(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, numbered(name, 50))
    place = Place(name, 0)
    assert [r.offset for batch in read_range(cluster, place, 10, 20) for r in batch] == list(range(10, 20))
    assert [r.offset for batch in read_range(cluster, place, 48, 1000) for r in batch] == [48, 49]
    assert list(read_range(cluster, place, 7, 7)) == []
    with Consumer(cluster) as consumer:
        assert (consumer.watermarks(place), consumer.partitions(name)) == ((0, 50), 1)


async def test_a_position_that_the_log_does_not_hold_is_told_apart(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, numbered(name, 3))
    with Consumer(cluster) as consumer, pytest.raises(PositionLost):
        consumer.assign({Place(name, 0): 99})
        while True:
            consumer.poll()


async def test_a_transaction_takes_records_and_positions_or_neither(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    place, group, identity = Place(name, 0), f"group-{name}", f"writer-{name}"
    with (
        Producer(cluster, identity) as first,
        Producer(cluster, identity) as second,
        Consumer(cluster, group) as reader,
    ):
        first.open()
        first.transact(numbered(name, 2), group, {place: 5})
        assert reader.committed([place]) == {place: 5}
        second.open()
        with pytest.raises(SinkUnavailable, match="fenced"):
            first.transact(numbered(name, 2), group, {place: 9})
        with pytest.raises(RecordRejected):
            second.transact([*numbered(name, 1), Record(name, b"big", os.urandom(1_500_000), ())], group, {place: 9})
    with Producer(cluster, identity) as third, Consumer(cluster, group) as reader:
        third.open()
        third.transact(numbered(name, 1), group, {place: 6})
        assert reader.committed([place]) == {place: 6}
    assert [record.value for batch in read_to_end(cluster, name) for record in batch] == [b"0", b"1", b"0"]


async def test_the_end_of_what_is_read_is_known_and_forgotten(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    place = Place(name, 0)
    with Consumer(cluster) as consumer:
        consumer.assign({place: BEGINNING})
        while place not in consumer.ended:
            assert consumer.poll() == []
        send(cluster, numbered(name, 1))
        while not (records := consumer.poll()):
            pass
        assert (records[0].offset, place in consumer.ended) == (0, False)


async def test_a_topic_made_anew_has_another_id(kafka: Kafka, topic: MakeTopic) -> None:
    cluster = Cluster(kafka.bootstrap)
    one, other = await topic(), await topic()
    assert topic_id(cluster, one) == topic_id(cluster, one) != topic_id(cluster, other)
    with pytest.raises(SinkUnavailable, match="nonesuch"):
        topic_id(cluster, "nonesuch")


def test_a_broker_that_is_not_there_is_told_of_and_lets_go_at_once() -> None:
    consumer = Consumer(Cluster(f"127.0.0.1:{free_port()}"))
    with pytest.raises(SinkUnavailable, match=r"127\.0\.0\.1"):
        consumer.assign({Place("t", 0): 0})
        while True:
            consumer.poll()
    started = time.monotonic()
    consumer.close()
    assert time.monotonic() - started < 10  # and not librdkafka's patience, which has no end


def test_a_client_that_gives_up_is_told_of_as_ours_whatever_python_makes_of_it() -> None:
    trouble, refused = Trouble(Cluster("nowhere:9092")), KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    with pytest.raises(SinkRefused, match="sent"), trouble.told("nothing is sent"):
        raise SystemError("returned a result with an exception set") from KafkaException(refused)
    with pytest.raises(SinkUnavailable, match="gave up"), trouble.told("nothing is sent"):
        raise SystemError("returned NULL without setting an exception")
    trouble.note(refused)
    with pytest.raises(SinkRefused, match="sent"), trouble.told("nothing is sent"):
        raise SystemError("returned NULL without setting an exception")
