"""`picante cloud run` between Kafka and Redis: how soon an event is in a profile, and what memory that takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import confluent_kafka
import psutil
import redis

from benchmarks.parts import state
from benchmarks.parts.brand import Brand
from benchmarks.parts.daemon import MB
from cloud.config import PARTS
from cloud.kafka import Consumer, Place, Producer
from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud.pipeline.reading import state_files
from cloud.topic_plan import differences
from cloud_sync.record import Record
from cloud_sync.topics import ALL, EVENTS
from heat.errors import SinkUnavailable
from tests.servers import create_topic
from tests.waiting import wait_until

READY_S = 60
CAUGHT_UP_S = 1800
LOOK_S = 0.001
"""s between two looks into Redis."""
SETTLED_LOOK_S = 0.2
VERSION_BYTES = 37
"""Of the head of an entry: its kind and its version."""

_CONFIG = """\
[cloud]
data_dir = "data"
parts = {parts}
[kafka]
bootstrap = "{bootstrap}"
replication = 1
[lake]
path = "lake"
commit_seconds = 5
[hot_store]
kind = "redis"
url = "{url}"
"""


class Spent(NamedTuple):
    """What a process took since it began."""

    most_mb: float
    """Resident."""
    cpu_s: float


class Cloud:
    """`picante cloud run`, all of its parts or some, on the contract's own topics."""

    def __init__(self, directory: Path, bootstrap: str, url: str, parts: Sequence[str] = PARTS) -> None:
        self.bootstrap = bootstrap
        self._serves = "hot_store" in parts
        self.redis = redis.Redis.from_url(url)
        self._directory = directory
        directory.mkdir()
        (directory / "cloud.toml").write_text(_CONFIG.format(bootstrap=bootstrap, url=url, parts=json.dumps(parts)))
        admin = Admin(Cluster(bootstrap))
        admin.mend(differences(ALL, {}, 1, admin.brokers()), 1)
        names = [topic.name for topic in ALL]
        wait_until(lambda: len(admin.topics(names)) == len(names), READY_S, "the topics are there")
        self.sent = 0
        """Records in the topic."""
        wait_until(self._led, READY_S, "the events' partitions are led")

    def _led(self) -> bool:
        with suppress(SinkUnavailable), Consumer(Cluster(self.bootstrap)) as look:
            self.sent = sum(look.watermarks(Place(EVENTS.name, number))[1] for number in range(EVENTS.partitions))
            return True
        return False

    def send(self, records: Iterable[Record]) -> None:
        """As fast as Kafka takes them."""
        with Producer(Cluster(self.bootstrap)) as producer:
            for record in records:
                producer.send(record)
                self.sent += 1
            producer.flush()

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        """Start it, and end it."""
        command = [sys.executable, "-m", "picante", "cloud", "run", "--config", "cloud.toml"]
        with (self._directory / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)

    def settled(self, customers: int) -> bool:
        """Whether all is folded and published, and the customers' profiles are in Redis."""
        states = self._directory / "data" / "pipeline"
        return (
            len(state_files(states, EVENTS.name)) == EVENTS.partitions
            and state.folded(states) >= self.sent
            and not state.unpublished(states)
            and (not self._serves or sum(1 for _ in self.redis.scan_iter("picante:profile:*", count=1000)) >= customers)
        )


def profile_s(cloud: Cloud, brand: Brand, count: int, between_s: float) -> list[float]:
    """s from a pour that is handed to a producer until Redis has another profile of its customer."""

    def key(number: int) -> str:
        return f"picante:profile:{brand.customers[number % len(brand.customers)]}"

    with _sender(cloud.bootstrap) as send:

        def pour(number: int) -> None:
            record = brand.pour(number % len(brand.customers))
            send(record.topic, record.key, record.value)

        return _watched(cloud.redis, key, pour, count, between_s)


def relay_s(bootstrap: str, url: str, topics: tuple[str, str], count: int, between_s: float) -> list[float]:
    """The bare road: s for a value to go through two topics into Redis, by confluent-kafka and redis-py alone."""
    first, second = topics
    database, stop = redis.Redis.from_url(url), threading.Event()

    def forward() -> None:
        with _sender(bootstrap) as send:
            _consume(bootstrap, first, stop, lambda key, value: send(second, key, value))

    def store() -> None:
        _consume(bootstrap, second, stop, database.set)

    threads = [threading.Thread(target=work) for work in (forward, store)]
    for thread in threads:
        thread.start()
    try:
        with _sender(bootstrap) as send:

            def value(number: int) -> None:
                send(first, b"bare:%d" % (number % 500), b"%037d" % time.time_ns())

            def through() -> bool:
                value(0)
                time.sleep(0.05)
                return bool(database.exists("bare:0"))

            wait_until(through, READY_S, "the relay is up")
            return _watched(database, lambda number: f"bare:{number % 500}", value, count, between_s)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _watched(
    database: redis.Redis, key: Callable[[int], str], say: Callable[[int], None], count: int, between_s: float
) -> list[float]:
    """Say something every `between_s`; s until its key has another beginning."""
    took: list[float] = []
    waiting: dict[str, tuple[float, bytes]] = {}
    said, begun = 0, time.perf_counter()
    while len(took) < count:
        now = time.perf_counter()
        if said < count and now >= begun + said * between_s and (name := key(said + 1)) not in waiting:
            before = cast("bytes", database.getrange(name, 0, VERSION_BYTES - 1))
            waiting[name] = time.perf_counter(), before
            said += 1
            say(said)
        if waiting:
            with database.pipeline(transaction=False) as pipe:
                for name in waiting:
                    pipe.getrange(name, 0, VERSION_BYTES - 1)
                heads = cast("list[bytes]", pipe.execute())
            now = time.perf_counter()
            for name, head in zip(list(waiting), heads, strict=True):
                if head != waiting[name][1]:
                    took.append(now - waiting.pop(name)[0])
        if waiting and now - max(when for when, _ in waiting.values()) > READY_S:
            raise TimeoutError(f"nothing came of {len(waiting)} of {said} in {READY_S} s")
        time.sleep(LOOK_S)
    return took


@contextmanager
def _sender(bootstrap: str) -> Iterator[Callable[[str, bytes | None, bytes | None], None]]:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "partitioner": "murmur2_random"}
    )

    def send(topic: str, key: bytes | None, value: bytes | None) -> None:
        producer.produce(topic, value, key)
        producer.poll(0)

    yield send
    producer.flush(10)


def _consume(bootstrap: str, topic: str, stop: threading.Event, take: Callable[[Any, Any], object]) -> None:
    options = {"bootstrap.servers": bootstrap, "group.id": "bare", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer({**options, "isolation.level": "read_committed"})
    parts = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign(
        [confluent_kafka.TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING) for number in parts]
    )
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            take(message.key(), message.value())
    consumer.close()


async def relay_topics(bootstrap: str) -> tuple[str, str]:
    """Two topics as those of events and profiles."""
    return (await create_topic(bootstrap, EVENTS.partitions, EVENTS.settings), await create_topic(bootstrap, 4))


def wait_settled(cloud: Cloud, process: psutil.Process, customers: int) -> Spent:
    """Until all is folded, published and served."""

    def done() -> bool:
        time.sleep(SETTLED_LOOK_S)
        return cloud.settled(customers)

    wait_until(done, CAUGHT_UP_S, "all is folded and served")
    return spent(process)


def spent(process: psutil.Process) -> Spent:
    """What a process has taken until now."""
    [most_kb] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return Spent(int(most_kb) * 1024 / MB, sum(process.cpu_times()[:2]))
