"""How far a hot store is filled, for who wants it filled anew and waits for it."""

from __future__ import annotations

from cloud.hot_store.entries import Filled
from cloud.hot_store.filler import TOPICS, position_name
from cloud.kafka import Consumer, Place
from cloud.librdkafka import Cluster, topic_id


def ends(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """First and end offset of each partition that has records, by the name of its position.

    Raises:
        SinkUnavailable, SinkRefused: Kafka is not there, does not let us in, or lacks a topic.
    """
    found: dict[str, tuple[int, int]] = {}
    with Consumer(cluster) as consumer:
        for topic in TOPICS:
            id_ = topic_id(cluster, topic)
            for place in (Place(topic, number) for number in range(consumer.partitions(topic))):
                first, end = consumer.watermarks(place)
                if first < end:
                    found[position_name(place, id_)] = first, end
    return found


def filled(store: Filled, wanted: dict[str, tuple[int, int]]) -> int:
    """How many of the offsets `ends` gave are behind the store's positions. Raises SinkUnavailable, SinkRefused."""
    positions = store.positions(wanted)
    return sum(min(max(positions.get(name, first) - first, 0), end - first) for name, (first, end) in wanted.items())
