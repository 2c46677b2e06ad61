"""One reader of a topic of events, in a process of its own on one core: how many seconds it takes.

    python -m benchmarks.parts.folding read|decode|fold BOOTSTRAP TOPIC DIRECTORY

`read` is confluent-kafka alone, `decode` takes the JSON apart as well, with msgspec and nothing beyond; `fold` is the
pipeline, up to the state's last commit. Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka import TopicPartition

from benchmarks.parts import state
from benchmarks.parts.machine import cores
from cloud.app import spare_the_collector
from cloud.kafka import BATCH
from cloud.librdkafka import Cluster
from cloud.pipeline.loop import Pipeline
from cloud.pipeline.partition import Settings
from cloud_sync.envelope import Envelope
from cloud_sync.topics import CLOCK, DEAD_LETTERS, EVENTS, FEATURES, PROFILES, SAMPLES
from heat.events import TYPES
from tests.servers import create_topic

LOOK_S = 0.005
PARTITIONS = EVENTS.partitions
_envelope = msgspec.json.Decoder(Envelope)
_data = {name: msgspec.json.Decoder(type_) for name, type_ in TYPES.items()}


def bare(bootstrap: str, topic: str, work: Callable[[bytes], object]) -> dict[str, float]:
    """Read all of a topic with confluent-kafka, and do something with each value."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bare", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    parts = [TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING) for number in range(PARTITIONS)]
    consumer.list_topics(topic, timeout=10)
    consumer.assign(parts)
    ended = 0
    with _timed() as took:
        while ended < len(parts):
            for message in consumer.consume(BATCH, 0.2):
                if message.error() is not None:
                    ended += 1
                elif (value := message.value()) is not None:
                    work(value)
    consumer.close()
    return took


def decode(value: bytes) -> None:
    """What every reader must do."""
    envelope = _envelope.decode(value)
    _data[envelope.type].decode(envelope.data)


def fold(bootstrap: str, topic: str, directory: Path) -> dict[str, Any]:
    """Run the pipeline until it has caught up, and then until all is published; and look at the state it made."""
    spare_the_collector()
    pipeline, stop = Pipeline(asyncio.run(_settings(bootstrap, topic, directory))), threading.Event()
    thread = threading.Thread(target=pipeline.run, args=(stop,))
    thread.start()
    _until(lambda: len(pipeline.partitions) == PARTITIONS, thread)
    with _timed() as folded:
        _until(lambda: all(one.caught_up for one in pipeline.partitions.values()), thread)
    with _timed() as published:
        _until(lambda: not state.unpublished(directory), thread, 0.1)
    stop.set()
    thread.join()
    return {**folded, "published": published, "state": state.size(directory)}


def _until(done: Callable[[], bool], thread: threading.Thread, look_s: float = LOOK_S) -> None:
    while not done():
        if not thread.is_alive():
            raise RuntimeError("the pipeline ended")
        time.sleep(look_s)


async def _settings(bootstrap: str, topic: str, directory: Path) -> Settings:
    """The topic's, with fresh topics and groups for all else."""
    made = [
        await create_topic(bootstrap, one.partitions, one.settings)
        for one in (SAMPLES, PROFILES, FEATURES, DEAD_LETTERS, CLOCK)
    ]
    unique = secrets.token_hex(4)
    return Settings(
        Cluster(bootstrap), directory, "bench", f"bench-{unique}", f"bench-letters-{unique}", 1, 2000, topic, *made
    )


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """Wall time and CPU time of this process; there when the block is left."""
    took: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield took
    took |= {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def main(what: str, bootstrap: str, topic: str, directory: str) -> None:
    """Measure, and print it."""
    os.sched_setaffinity(0, {cores()[0]})
    if what == "fold":
        result = fold(bootstrap, topic, Path(directory))
    else:
        result = bare(bootstrap, topic, decode if what == "decode" else len)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
