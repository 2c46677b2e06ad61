"""An administrator whose brokers don't know the same yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until

MakeTopic = Callable[..., Awaitable[str]]


async def test_a_topic_that_one_broker_knows_and_another_does_not_is_not_there_yet(
    kafka: KafkaServer | ServerElsewhere, topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = await topic(), await topic(partitions=2)
    admin = Admin(Cluster(kafka.bootstrap))
    before = admin._admin.list_topics(timeout=10)
    for deleted in admin._admin.delete_topics([gone]).values():
        deleted.result(10)
    wait_until(lambda: gone not in admin._admin.list_topics(timeout=10).topics, 20, "it is gone")
    # the broker that lists them has not heard of it
    monkeypatch.setattr(admin._admin, "list_topics", lambda timeout: before)
    found = admin.topics([gone, stays])
    assert {name: one.partitions for name, one in found.items()} == {stays: 2}


def test_a_broker_that_is_away_is_known_by_the_copies_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin(Cluster("127.0.0.1:1"))
    parts = {number: SimpleNamespace(replicas=[number, 3]) for number in (1, 2)}
    cluster = SimpleNamespace(brokers={1: None, 2: None}, topics={"events": SimpleNamespace(partitions=parts)})
    monkeypatch.setattr(admin._admin, "list_topics", lambda timeout: cluster)
    assert admin.brokers() == (2, 3)
    cluster.topics.clear()
    assert admin.brokers() == (2, 2)
