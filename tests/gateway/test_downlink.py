"""What comes down through a real Kafka into a real store: followed, resumed, read anew, passed over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cloud_sync.downlink import Downlink
from cloud_sync.published import Profile as PublishedProfile
from cloud_sync.published import Region, Version, publish
from cloud_sync.settings import ConnectionSettings
from gateway.clock import DAY_MS, Clock
from gateway.downlink import StoreInbox, Wanted
from gateway.store import Store
from gateway.transaction import read_profile
from heat.errors import SinkUnavailable
from heat.profile import Profile, merge
from tests.cloud_sync.mock_cluster import mock_cluster
from tests.gateway.conftest import NOON_MS, HandClock
from tests.gateway.test_regulars import OTHER, OWN, profile
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until_async

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]
REGION = "south"


def customer(number: int) -> str:
    """A pseudonym."""
    return f"p1-{number:032x}"


def record(*parts: Profile, offset: int = 1, region: str = REGION) -> bytes:
    """What the pipeline publishes of a customer."""
    buckets, flavours = merge(parts).rows()
    said = PublishedProfile(
        version=Version(1, offset), regions=(Region(region, 20_000),), buckets=buckets, flavours=flavours
    )
    value = publish("whoever", said, "/cloud/test", "1", NOON_MS).value
    assert value is not None
    return value


@dataclass
class Cloud:
    """Who writes the topic."""

    bootstrap: str
    topic: str

    async def say(self, said: Iterable[tuple[str, bytes | None]]) -> None:
        """Publish values by key, acknowledged."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5)
        await producer.start()
        try:
            sent = [await producer.send(self.topic, value, key.encode()) for key, value in said]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()


@pytest.fixture
async def cloud(kafka: Kafka, topic: MakeTopic) -> Cloud:
    """A topic of this test's own, of two partitions."""
    return Cloud(kafka.bootstrap, await topic(partitions=2))


@dataclass
class Edge:
    """The store, and what makes a downlink for it."""

    store: Store
    clock: Clock
    cloud: Cloud
    position: Any = "kafka"

    @contextlib.asynccontextmanager
    async def running(self, region: str = REGION, share_percent: int = 10) -> AsyncIterator[Downlink]:
        """A downlink at work."""
        wanted = Wanted(region, share_percent, profiles=self.cloud.topic)
        inbox = StoreInbox(self.store, self.clock, wanted)
        settings = ConnectionSettings(self.cloud.bootstrap, "gw-1", self.position)
        downlink = Downlink(inbox, settings, (self.cloud.topic,))
        task = asyncio.create_task(downlink.run())
        try:
            yield downlink
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def caught_up(self, downlink: Downlink) -> None:
        """Wait until it has read everything."""
        await wait_until_async(lambda: downlink.status.state == "following", 20, "it has caught up")

    async def visit(self, **changes: Any) -> Downlink:
        """Read all there is, and end."""
        async with self.running(**changes) as downlink:
            await self.caught_up(downlink)
        return downlink

    def held(self, number: int) -> Profile:
        """What picks would read of a customer."""
        with closing(self.store.reader()) as reader:
            return read_profile(reader, customer(number))

    def count(self) -> int:
        """Customers of whom the cloud told."""
        with closing(self.store.reader()) as reader:
            return int(reader.execute("SELECT count(*) FROM regulars").fetchone()[0])


@pytest.fixture
def edge(store: Store, clock: Clock, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """A gateway's side, in a hurry."""
    monkeypatch.setattr("cloud_sync.downlink.TURN_S", 0.05)
    return Edge(store, clock, cloud)


async def test_a_customer_of_the_region_is_known_at_once(edge: Edge, cloud: Cloud) -> None:
    edge.store.write(lambda tx: tx.fold(customer(1), profile(OWN, 3))).result(20)
    async with edge.running() as downlink:
        await edge.caught_up(downlink)
        await cloud.say([(customer(1), record(profile(OTHER, 2), profile(OWN, 1))), (customer(2), record(region="x"))])
        await wait_until_async(lambda: edge.held(1) == merge([profile(OWN, 3), profile(OTHER, 2)]), 5, "known")
        await cloud.say([(customer(1), None)])
        await wait_until_async(lambda: edge.held(1) == profile(OWN, 3), 5, "forgotten")
    assert edge.count() == 0


async def test_it_goes_on_where_it_was(edge: Edge, cloud: Cloud) -> None:
    await cloud.say((customer(n), record(profile(OTHER, 1))) for n in range(40))
    assert (await edge.visit()).status.snapshots == 2
    await cloud.say((customer(n), record(profile(OTHER, 2), offset=2)) for n in range(30, 50))
    again = await edge.visit()
    assert (again.status.snapshots, again.status.records) == (0, 20)
    assert edge.held(30) == profile(OTHER, 2)
    assert edge.count() == 50


async def test_away_for_longer_than_tombstones_stay_it_forgets_whom_nobody_names(
    edge: Edge, cloud: Cloud, hand_clock: HandClock, topic: MakeTopic
) -> None:
    """The topic that lost its tombstones meanwhile is another one here, since Kafka's compaction takes its time."""
    await cloud.say((customer(n), record(profile(OTHER, 1))) for n in range(10))
    await edge.visit()
    hand_clock.go_on(121 * DAY_MS)
    compacted = await topic(partitions=2)
    moved = "UPDATE downlink SET topic = ?"
    edge.store.write(lambda tx: tx.connection.execute(moved, (compacted,)).rowcount).result(20)
    await Cloud(cloud.bootstrap, compacted).say((customer(n), record(profile(OTHER, 1))) for n in range(20) if n != 4)
    edge.cloud = Cloud(cloud.bootstrap, compacted)
    again = await edge.visit()
    assert again.status.snapshots == 2
    assert edge.held(4) == Profile()
    assert edge.count() == 19


async def test_a_topic_that_was_made_anew_is_read_anew(edge: Edge, cloud: Cloud) -> None:
    await cloud.say((customer(n), record(profile(OTHER, 1), offset=99)) for n in range(10))
    await edge.visit()
    admin = AIOKafkaAdminClient(bootstrap_servers=cloud.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([cloud.topic])
        await wait_until_async(lambda: _gone(admin, cloud.topic), 20, "the topic is gone")
        await admin.create_topics([NewTopic(cloud.topic, 2, 1)])
    finally:
        await admin.close()
    await cloud.say((customer(n), record(profile(OTHER, 1), offset=1)) for n in range(5, 60))
    again = await edge.visit()
    assert again.status.snapshots == 2, "there are more records than before: only the last one that was read tells"
    assert edge.held(0) == Profile()
    assert edge.count() == 55


async def _gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def test_another_region_reads_anew(edge: Edge, cloud: Cloud) -> None:
    seen = ((1, REGION), (2, "north"))
    await cloud.say((customer(n), record(profile(OTHER, 1), region=region)) for n, region in seen)
    await edge.visit()
    await edge.visit(region="north")
    assert (edge.held(1), edge.held(2)) == (Profile(), profile(OTHER, 1))


async def test_what_makes_no_sense_is_passed_over(edge: Edge, cloud: Cloud) -> None:
    bad = [
        (customer(1), b"{"),
        (customer(2), record(profile(OTHER, 1)).replace(b"poured", b"dreamt")),
        ("p1-nobody", record(profile(OTHER, 1))),
        (customer(3), record(profile(OTHER, 1)).replace(b"picante.profile.v1", b"picante.promise.v1")),
    ]
    await cloud.say([*bad, (customer(9), record(profile(OTHER, 1)))])
    done = await edge.visit()
    assert (done.status.passed_over, edge.count()) == (len(bad), 1)


async def test_the_share_of_the_quota_holds(edge: Edge, cloud: Cloud) -> None:
    edge.store.settings.quota_bytes = 1_000_000
    big = [profile(OTHER, 1, day=20_000 + n) for n in range(10)]
    await cloud.say((customer(n), record(*big)) for n in range(100))
    async with edge.running(share_percent=1) as downlink:
        await edge.caught_up(downlink)
    assert 1 <= edge.count() <= 10_000 // (10 * 190)


async def test_a_kafka_that_does_not_answer_is_told(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.cloud = Cloud("127.0.0.1:1", "nowhere")
    inbox = StoreInbox(edge.store, edge.clock, Wanted(REGION, 10))
    downlink = Downlink(inbox, ConnectionSettings("127.0.0.1:1", "gw-1", connect_timeout_s=2.0), ("nowhere",))
    with pytest.raises(SinkUnavailable):
        await downlink.run()
    assert downlink.status.state == "unreachable"


async def test_topics_that_are_not_there_are_waited_for_and_not_made(
    edge: Edge, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_sync.downlink.ABSENT_S", 0.3)
    edge.cloud = Cloud(cloud.bootstrap, cloud.topic + "-later")
    async with edge.running() as downlink:
        await wait_until_async(lambda: downlink.status.state == "absent", 10, "it is absent")
        await asyncio.sleep(0.5)
        admin = AIOKafkaAdminClient(bootstrap_servers=cloud.bootstrap)
        await admin.start()
        try:
            assert await _gone(admin, edge.cloud.topic)
            await admin.create_topics([NewTopic(edge.cloud.topic, 1, 1)])
        finally:
            await admin.close()
        await edge.cloud.say([(customer(1), record(profile(OTHER, 1)))])
        await wait_until_async(lambda: edge.count() == 1, 20, "it was found")


async def test_on_the_mock_cluster(edge: Edge, tmp_path: Any) -> None:
    with mock_cluster(tmp_path) as mock:
        edge.cloud, edge.position = Cloud(mock.bootstrap, "picante.profiles.v1"), "sqlite"
        await edge.cloud.say((customer(n), record(profile(OTHER, 1))) for n in range(5))
        await edge.visit()
    assert edge.count() == 5
