"""What a filler reads, and a filler that runs in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

from cloud.hot_store.entries import Filled, Key
from cloud.hot_store.filler import Filler, Lifetimes
from cloud.kafka import Producer
from cloud.librdkafka import Cluster
from cloud_sync.published import Profile, Version, publish
from cloud_sync.record import Record
from heat.errors import SinkUnavailable

LIFETIMES = Lifetimes(session_ms=3_600_000, customer_ms=90 * 86_400_000)


def customer(number: int) -> str:
    """A pseudonym."""
    return f"p1-{number:032x}"


def key(number: int) -> Key:
    """Where a customer's profile is."""
    return Key("profile", customer(number))


def profile(topic: str, subject: str, offset: int, generation: int = 1) -> Record:
    """The record of a profile that holds nothing."""
    said = Profile(version=Version(generation, offset), regions=(), buckets=(), flavours=())
    made = publish(subject, said, "/cloud/test", f"{subject}-{generation}-{offset}", 1_700_000_000_000)
    return replace(made, topic=topic)


def tombstone(topic: str, subject: str) -> Record:
    """What says that a subject is to be forgotten."""
    return Record(topic, subject.encode(), None, ())


def send(cluster: Cluster, *records: Record) -> None:
    """Into the topics, confirmed."""
    with Producer(cluster) as producer:
        for record in records:
            producer.send(record)
        producer.flush()


@contextlib.contextmanager
def filling(
    cluster: Cluster,
    store: Filled,
    topic: str,
    group: str | None = None,
    lifetimes: Lifetimes = LIFETIMES,
) -> Iterator[Filler]:
    """A filler in a thread of its own, begun anew after an error as the supervisor does it."""
    filler = Filler(cluster, store, lifetimes, group, {topic: "profile"})
    stop = threading.Event()
    broke: list[BaseException] = []

    def run() -> None:
        while not stop.is_set():
            try:
                filler.run(stop)
            except SinkUnavailable:
                stop.wait(0.1)
            except BaseException as error:
                broke.append(error)
                raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield filler
    finally:
        stop.set()
        thread.join(20)
    assert not broke
    assert not thread.is_alive()
