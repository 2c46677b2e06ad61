"""Kafka -> hot store: nothing is lost, whatever happens to either or to the process between."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cloud.hot_store import filler as filler_module
from cloud.hot_store.entries import Change, HotStore, Key, Move, Put
from cloud.hot_store.filler import Filler, Lifetimes
from cloud.hot_store.memory import MemoryStore
from cloud.hot_store.redis_store import RedisStore
from cloud.librdkafka import Cluster
from cloud.metrics import REGISTRY
from cloud_sync.published import Features, Profile, ServedPicks, Version, features_of, publish
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import DAY_MS
from heat.errors import SinkUnavailable
from heat.features import features
from heat.profile import contribution, merge
from tests.cloud.hot_store.filling import LIFETIMES, customer, filling, key, profile, send, tombstone
from tests.cloud_sync.mock_cluster import mock_cluster
from tests.servers import KafkaServer, RedisServer, ServerElsewhere
from tests.strategies import poured
from tests.waiting import wait_until

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]
COUNT = 300
TODAY = time.time_ns() // 1_000_000 // DAY_MS


@pytest.fixture
def redis_store(redis: RedisServer) -> Iterator[RedisStore]:
    """A store in the session's Redis, empty."""
    store = RedisStore(redis.url)
    yield store
    store.close()


def _found(store: HotStore, count: int = COUNT) -> int:
    """How many customers have a profile; 0 while the store can't be asked."""
    try:
        return sum(value is not None for value in store.get_many([key(n) for n in range(count)]))
    except SinkUnavailable:
        return 0


def _full(store: HotStore, count: int = COUNT) -> None:
    wait_until(lambda: _found(store, count) == count, 20, f"{count} profiles are in the hot store")


def _value(store: HotStore, number: int) -> bytes | None:
    return store.get_many([key(number)])[0]


async def test_what_is_published_is_found_as_it_was_written(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster, store = await topic(partitions=3), Cluster(kafka.bootstrap), MemoryStore()
    records = [profile(name, customer(n), n) for n in range(COUNT)]
    send(cluster, *records)
    with filling(cluster, store, name):
        _full(store)
        assert store.get_many([key(n) for n in range(COUNT)]) == [record.value for record in records]
        send(cluster, profile(name, customer(0), 9000), profile(name, customer(1), 0), tombstone(name, customer(2)))
        wait_until(lambda: _value(store, 2) is None, 10, "the tombstone took it")
        newest = profile(name, customer(0), 9000).value
        wait_until(lambda: _value(store, 0) == newest, 10, "the newer one replaced it")
        assert _value(store, 1) == records[1].value


async def test_of_any_order_the_highest_version_stays(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster, store = await topic(), Cluster(kafka.bootstrap), MemoryStore()
    chance = random.Random(34)
    records = [
        profile(name, customer(n), offset, generation) for n in range(9) for offset in range(9) for generation in (1, 2)
    ]
    chance.shuffle(records)
    send(cluster, *records, profile(name, customer(9), 1))
    with filling(cluster, store, name):
        _full(store, 10)
        assert [_value(store, n) for n in range(9)] == [profile(name, customer(n), 8, 2).value for n in range(9)]


async def test_an_emptied_redis_fills_again_by_itself(kafka: Kafka, topic: MakeTopic, redis_store: RedisStore) -> None:
    name, cluster = await topic(partitions=3), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
    with filling(cluster, redis_store, name) as filler:
        _full(redis_store)
        redis_store._client.flushall()  # while nothing comes
        _full(redis_store)
        redis_store._client.flushall()
        send(cluster, profile(name, customer(0), 9000))  # while something does
        _full(redis_store)
        assert _value(redis_store, 0) == profile(name, customer(0), 9000).value
        assert filler.counts.refused == 0


async def test_a_redis_that_dies_and_loses_all_fills_again(
    kafka: Kafka, topic: MakeTopic, redis: RedisServer, redis_store: RedisStore
) -> None:
    name, cluster = await topic(partitions=2), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
    with filling(cluster, redis_store, name):
        _full(redis_store)
        redis.kill()
        send(cluster, *(profile(name, customer(COUNT + n), n) for n in range(COUNT)))
        redis.empty()
        redis.start()
        _full(redis_store, 2 * COUNT)


async def test_a_redis_that_was_set_back_goes_on_from_what_it_has(
    kafka: Kafka, topic: MakeTopic, redis: RedisServer, redis_store: RedisStore, tmp_path: Path
) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
    saved = redis.directory / "appendonlydir"
    with filling(cluster, redis_store, name) as filler:
        _full(redis_store)
        wait_until(lambda: redis_store._client.hvals("picante:positions") == [b"300"], 5, "the position moved")
        redis.kill()
        kept = saved.rename(tmp_path / "kept")
        redis.start()
        send(cluster, *(profile(name, customer(COUNT + n), n) for n in range(COUNT)))
        _full(redis_store, 2 * COUNT)
        redis.kill()
        redis.empty()
        kept.rename(saved)
        redis.start()
        before = filler.counts.put
        _full(redis_store, 2 * COUNT)
        assert filler.counts.put - before <= COUNT  # what it had was not read again


async def test_a_new_process_goes_on_where_the_last_one_was(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    name, cluster = await topic(partitions=2), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
    with filling(cluster, redis_store, name):
        _full(redis_store)
    send(cluster, *(profile(name, customer(COUNT + n), n) for n in range(5)))
    with filling(cluster, redis_store, name) as second:
        _full(redis_store, COUNT + 5)
        wait_until(lambda: second.counts.put >= 5, 5, "they were counted")
    assert second.counts.put == 5


async def test_two_processes_share_the_partitions_and_one_takes_over(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    name, cluster = await topic(partitions=4), Cluster(kafka.bootstrap, session_ms=6_000)
    group = f"group-{name}"
    with filling(cluster, redis_store, name, group) as stays:
        with filling(cluster, redis_store, name, group) as leaves:
            wait_until(lambda: len(stays.places) == len(leaves.places) == 2, 30, "each has two partitions")
            send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
            _full(redis_store)
            wait_until(lambda: stays.counts.put + leaves.counts.put == COUNT, 5, "all were counted")
            assert 0 < stays.counts.put < COUNT
        send(cluster, *(profile(name, customer(COUNT + n), n) for n in range(COUNT)))
        _full(redis_store, 2 * COUNT)
        wait_until(lambda: stays.counts.put + leaves.counts.put == 2 * COUNT, 5, "all were counted, once each")


async def test_a_position_that_another_process_moved_is_followed(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    """Two that fill one store without sharing are slower, and lose nothing."""
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    with filling(cluster, redis_store, name), filling(cluster, redis_store, name):
        for some in range(5):
            send(cluster, *(profile(name, customer(60 * some + n), n) for n in range(60)))
        _full(redis_store)
        wait_until(lambda: redis_store._client.hvals("picante:positions") == [b"300"], 10, "the position is the end")


async def test_a_position_beyond_the_log_is_forgotten_and_all_read(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
    with filling(cluster, redis_store, name):
        _full(redis_store)
    [field] = redis_store._client.hkeys("picante:positions")
    redis_store._client.flushall()
    redis_store._client.hset("picante:positions", field, 99_999)
    with filling(cluster, redis_store, name):
        _full(redis_store)


async def test_a_topic_made_anew_is_read_whatever_the_earlier_one_said(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)), tombstone(name, customer(0)))
    with filling(cluster, redis_store, name):
        wait_until(lambda: redis_store._client.hvals("picante:positions") == [b"301"], 20, "it is at the end")
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.delete_topics([name])[name].result(20)
        wait_until(lambda: name not in admin.list_topics(timeout=10).topics, 20, "the topic is gone")
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)
        send(cluster, profile(name, customer(0), 1))
        wait_until(lambda: _value(redis_store, 0) is not None, 20, "the tombstone was another topic's")


async def test_a_redis_that_is_cleared_while_it_fills_has_all_in_the_end(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    """The filler puts anew what is being taken away."""
    many = 6_000
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    send(cluster, *(profile(name, customer(n), 1) for n in range(many)))
    now_ms = time.time_ns() // 1_000_000
    others = [Put(Key("features", customer(n)), n, Version(1, 1), b"{}", now_ms + 3_600_000) for n in range(many)]
    redis_store.put(others, {})  # that take a while
    with filling(cluster, redis_store, name):
        wait_until(lambda: redis_store._client.hvals("picante:positions") == [b"6000"], 20, "it is at the end")
        assert redis_store.clear() >= 2 * many
        wait_until(lambda: redis_store._client.hvals("picante:positions") == [b"6000"], 20, "it is at the end again")
        assert _found(redis_store, many) == many


async def test_the_position_is_the_end_where_the_last_offsets_hold_no_record(
    kafka: Kafka, topic: MakeTopic, redis_store: RedisStore
) -> None:
    """Else a rebuild would wait for them in vain."""
    name, cluster = await topic(partitions=2), Cluster(kafka.bootstrap)
    send(cluster, replace(profile(name, customer(0), 1), partition=0))
    options = {"bootstrap.servers": kafka.bootstrap, "transactional.id": f"taken-back-{name}"}
    producer = confluent_kafka.Producer(options)
    producer.init_transactions(20)
    producer.begin_transaction()
    for partition in range(2):
        producer.produce(name, b"{", customer(1).encode(), partition)
    producer.flush(20)
    producer.abort_transaction(20)
    with filling(cluster, redis_store, name) as filler:
        wait_until(
            lambda: sorted(redis_store._client.hvals("picante:positions")) == [b"2", b"3"], 10, "both are at the end"
        )
        assert filler.counts.refused == 0


class EmptiedBetween(MemoryStore):
    """Is emptied once between a batch and its position."""

    emptied = False

    def put(self, changes: Sequence[Change], moves: Mapping[str, Move]) -> int:
        changed = super().put(changes, {})
        if changes and not self.emptied:
            self.emptied = True
            self.clear()
        super().put([], moves)
        return changed


async def test_a_store_emptied_between_the_first_batch_and_its_position_is_seen(kafka: Kafka, topic: MakeTopic) -> None:
    name, cluster, store = await topic(), Cluster(kafka.bootstrap), EmptiedBetween()
    send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
    with filling(cluster, store, name):
        wait_until(lambda: store.emptied, 10, "it was emptied")
        _full(store)


class Breaking(MemoryStore):
    """A store that now and then fails: before it took anything, after a part, or after all but the positions."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.left = 12
        self._chance = chance

    def put(self, changes: Sequence[Change], moves: Mapping[str, Move]) -> int:
        if self.left and self._chance.random() < 0.7:
            self.left -= 1
            super().put(changes[: self._chance.randint(0, len(changes))], {})
            raise SinkUnavailable("cut")
        return super().put(changes, moves)


async def test_a_fill_that_is_cut_anywhere_comes_to_the_same(
    kafka: Kafka, topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filler_module, "BATCH", 40)
    name, cluster, chance = await topic(partitions=2), Cluster(kafka.bootstrap), random.Random(34)
    records: list[Record] = []
    for _ in range(600):
        number = chance.randrange(1, 60)
        here = profile(name, customer(number), chance.randrange(50))
        records.append(here if chance.random() < 0.8 else tombstone(name, customer(number)))
    last = profile(name, customer(0), 1)
    send(cluster, *records, *(profile(name, customer(n), 99) for n in range(60, 80)), last)
    broken, whole = Breaking(chance), MemoryStore()
    with filling(cluster, broken, name), filling(cluster, whole, name):
        for store in (broken, whole):
            wait_until(lambda s=store: _found(s, 80) >= 21 and _value(s, 0), 20, "the last one is there")  # type: ignore[misc]
        wait_until(lambda: broken.left == 0, 1, "it was cut twelve times")
        keys = [key(n) for n in range(80)]
        wait_until(lambda: broken.get_many(keys) == whole.get_many(keys), 10, "both are the same")
    assert broken._positions == whole._positions


async def test_what_is_no_record_of_the_topic_is_counted_and_passed_over(
    kafka: Kafka, topic: MakeTopic, caplog: pytest.LogCaptureFixture
) -> None:
    name, cluster, store = await topic(), Cluster(kafka.bootstrap), MemoryStore()
    good = profile(name, customer(0), 1)
    bad = [
        replace(good, key=None),
        replace(good, key=b"\xff"),
        replace(good, key=b"a token"),
        replace(good, value=b"{"),
        replace(good, value=b"\xff"),
        Record(name, customer(1).encode(), b'{"specversion": "1.0"}', ()),
        replace(good, value=(good.value or b"").replace(b"picante.profile.v1", b"picante.clock.v1")),
    ]
    send(cluster, *bad, good)
    before = REGISTRY.get_sample_value("picante_cloud_hot_store_refused_total") or 0
    with filling(cluster, store, name) as filler:
        wait_until(lambda: _value(store, 0) == good.value, 10, "the good one is there")
        assert filler.counts.refused == len(bad)
    assert REGISTRY.get_sample_value("picante_cloud_hot_store_refused_total") == before + len(bad)
    assert [line.message for line in caplog.records] == [f"a record of {name} is none: its key is no subject"]


async def test_sessions_go_sooner_than_customers_and_the_long_expired_never_come(
    kafka: Kafka, topic: MakeTopic, redis: RedisServer, redis_store: RedisStore
) -> None:
    name, cluster = await topic(), Cluster(kafka.bootstrap)
    session = "s-hot-bar-1-5e3a09c1-7"
    old = replace(profile(name, customer(2), 1), timestamp_ms=1_700_000_000_000)
    send(cluster, old, profile(name, session, 1), profile(name, customer(1), 1))
    lifetimes = Lifetimes(session_ms=600_000, customer_ms=3_600_000)
    with filling(cluster, redis_store, name, lifetimes=lifetimes) as filler:
        wait_until(lambda: _value(redis_store, 1) is not None, 10, "the customer is there")
        assert filler.counts.expired == 1
        assert _value(redis_store, 2) is None
    left_ms = redis_store._client.pttl
    assert 0 < left_ms(f"picante:profile:{session}") <= 600_000 < left_ms(f"picante:profile:{customer(1)}") <= 3_600_000


def _silent(last_day: int | None) -> list[Profile | Features | ServedPicks]:
    """What is published of a customer who was last seen on this day, and a day nobody knows."""
    days = [-1] if last_day is None else [last_day - 5, -1, last_day]
    summed = merge(contribution(poured(5_000), "gw-1", day) for day in days)
    buckets, flavours = summed.rows()
    version = Version(1, 1)
    said = Profile(version=version, regions=(), buckets=buckets, flavours=flavours)
    read = features_of(features(summed, TODAY), version)
    return [said, read, ServedPicks(version=version, ranker="rule", picks=(), last_day=said.last_day)]


@pytest.mark.parametrize("written", [TODAY, TODAY - 3], ids=["today", "three days ago"])
@pytest.mark.parametrize("silent_days", [None, 0, 2, 30])
def test_a_life_is_counted_from_the_newest_day_however_late_things_were_published(
    silent_days: int | None, written: int
) -> None:
    last_day = None if silent_days is None else TODAY - silent_days
    written_ms = written * DAY_MS + 7
    heard_ms = written_ms if last_day is None else min(written_ms, (last_day + 1) * DAY_MS)
    filler = Filler(Cluster("127.0.0.1:9"), MemoryStore(), LIFETIMES)
    for said in _silent(last_day):
        made = publish(customer(1), said, "/cloud/test", "id", written_ms)
        change = filler._read(Consumed(made.topic, 0, 5, written_ms, made.key, made.value, made.headers))
        assert isinstance(change, Put)
        assert change.expires_ms == heard_ms + LIFETIMES.customer_ms


def test_it_fills_from_the_demo_s_cluster_too(tmp_path: Path) -> None:
    with mock_cluster(tmp_path) as demo:
        store, cluster = MemoryStore(), Cluster(demo.bootstrap)
        name = "picante.profiles.v1"
        confluent_kafka.Producer({"bootstrap.servers": demo.bootstrap}).list_topics(name, timeout=10)  # makes it
        send(cluster, *(profile(name, customer(n), n) for n in range(COUNT)))
        with filling(cluster, store, name):
            _full(store)
