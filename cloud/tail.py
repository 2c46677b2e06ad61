"""A topic's records as they come, from where one wants to begin. Blocks."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Generator, Mapping
from typing import Literal

from cloud.kafka import BEGINNING, END, Consumer, Place
from cloud.librdkafka import Cluster
from cloud_sync.record import Consumed
from heat.errors import SinkRefused, SinkUnavailable

Begin = Literal["beginning", "end"] | int
MARKED = 2
"""Offsets that a record may take: a gateway that has little to say has a transaction, and its mark, for each event."""
PATIENCE_S = 60.0
"""Seconds that Kafka may be away while one waits for records: a broker that is started anew takes half of it."""
ASKED_S = 1.0
"""Seconds between two looks whether it is back; Ctrl-C takes as long."""
FURTHER = 8
"""Times as far back one looks again, where marks and what was compacted away took more than that."""


def follow(cluster: Cluster, topic: str, begin: Begin, *, wait: bool) -> Generator[Consumed]:
    """Records that are committed, each partition in its order; a number begins with the newest so many, by their time.

    Without `wait` it is over once each partition's end was seen. With it, it goes on after a Kafka that was away.

    Raises:
        SinkUnavailable: there is no such topic, or no Kafka, for `PATIENCE_S`. SinkRefused: we may not read it.
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
            try:
                records = consumer.poll()
            except SinkUnavailable as error:
                if not wait or isinstance(error, SinkRefused):
                    raise
                _until_it_answers(consumer, topic)
                continue
            yield from records
            seen |= consumer.ended.keys()


def _until_it_answers(consumer: Consumer, topic: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(SinkUnavailable):
            consumer.partitions(topic, ASKED_S)
            return
        time.sleep(ASKED_S)  # a broker that is not whole yet answers at once that it knows no such topic
    consumer.partitions(topic, ASKED_S)


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
