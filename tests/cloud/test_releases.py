"""Releases as commands write them: their numbers, and whose reports count for which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cloud.kafka import Producer, read_to_end
from cloud.librdkafka import Cluster
from cloud.releases import Reported, made_of, put, released, withdraw
from cloud_sync.published import Applied
from cloud_sync.record import Record
from cloud_sync.releases import release
from tests.servers import KafkaServer, ServerElsewhere


async def test_a_number_is_never_used_again(
    kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]]
) -> None:
    cluster, name = Cluster(kafka.bootstrap), await topic(partitions=2)

    def next_(target: str = "all") -> int:
        return put(cluster, "words", target, b"x", "/cloud/test", name).number

    assert [next_(), next_(), next_("region/south")] == [1, 2, 1]
    withdraw(cluster, "words", "all", name)
    assert [one.key for one in released(cluster, name)] == ["words/region/south"]
    assert next_() == 3
    withdraw(cluster, "words", "all", name)
    # what compaction leaves of all that: the tombstone
    [tombstone] = [one for batch in read_to_end(cluster, name) for one in batch if one.value is None][-1:]
    compacted = await topic()
    with Producer(cluster) as producer:
        producer.send(Record(compacted, tombstone.key, None, tombstone.headers))
        producer.send(Record(compacted, b"words/region/south", None, ()))
        producer.flush()
    assert put(cluster, "words", "all", b"x", "/cloud/test", compacted).number == 4
    assert put(cluster, "words", "region/south", b"x", "/cloud/test", compacted).number == 1


def test_reports_count_for_the_content_that_they_mean() -> None:
    made, before = release("words", "all", 1, b"new"), release("words", "all", 1, b"old")
    reports = [
        Reported(f"gw-{n}", Applied(kind="words", target=target, number=1, sha256=one.sha256, state="used"))
        for n, (one, target) in enumerate([(made, "all"), (before, "all"), (made, "region/south"), (made, "all")])
    ]
    assert made_of(made, reports) == {"used": 2}
