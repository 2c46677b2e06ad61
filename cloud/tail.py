"""A topic's records as they come, from where one wants to begin. Blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from cloud.kafka import BEGINNING, END, Consumer, Place
from cloud.librdkafka import Cluster
from cloud_sync.record import Consumed

Begin = Literal["beginning", "end"] | int
MARKED = 2
"""Offsets that a record may take: a gateway that has little to say has a transaction, and its mark, for each event."""
FURTHER = 8
"""Times as far back one looks again, where marks and what was compacted away took more than that."""


def follow(cluster: Cluster, topic: str, begin: Begin, *, wait: bool) -> Iterator[Consumed]:
    """Records that are committed, each partition in its order; a number begins with the newest so many, by their time.

    Without `wait` it is over once each partition's end was seen.

    Raises:
        SinkUnavailable: there is no such topic, or no Kafka. SinkRefused: we may not read it.
    """
    with Consumer(cluster) as consumer:
        places = [Place(topic, number) for number in range(consumer.partitions(topic))]
        if isinstance(begin, int):
            newest, positions = _newest(consumer, places, begin)
            yield from newest
        else:
            positions = dict.fromkeys(places, BEGINNING if begin == "beginning" else END)
        consumer.assign(positions)
        seen: set[Place] = set()
        while wait or len(seen) < len(places):
            yield from consumer.poll()
            seen |= consumer.ended.keys()


def _newest(consumer: Consumer, places: list[Place], count: int) -> tuple[list[Consumed], Mapping[Place, int]]:
    """The newest records of all partitions, oldest first, and where to go on."""
    marks = {place: consumer.watermarks(place) for place in places}
    back = MARKED * count
    while True:
        first = {place: max(high - back, low) for place, (low, high) in marks.items()}
        found, ends = _to_the_end(consumer, first)
        many = Counter(record.partition for record in found)
        if all(many[place.partition] >= count or first[place] == low for place, (low, _) in marks.items()):
            return sorted(found, key=lambda one: one.timestamp_ms)[-count:], ends
        back *= FURTHER


def _to_the_end(consumer: Consumer, first: Mapping[Place, int]) -> tuple[list[Consumed], Mapping[Place, int]]:
    consumer.assign(first)
    found: list[Consumed] = []
    ends: dict[Place, int] = {}
    while len(ends) < len(first):
        found += [record for record in consumer.poll() if Place(record.topic, record.partition) not in ends]
        ends = {**consumer.ended, **ends}
    return found, ends
