"""The cloud half, timed beside bare parts of it in the same run.

    python benchmarks/cloud_half.py [--million] [PART ...]

Parts are fold, lake, latency and memory; without an argument all of them, memory with `--million` alone.
docs/benchmarks.md says how to read the table.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.parts import lake as lakes
from benchmarks.parts.bench import bench
from benchmarks.parts.brand import VISIT, Brand
from benchmarks.parts.machine import child
from benchmarks.parts.serving import Cloud, Spent, profile_s, relay_s, relay_topics, wait_settled
from benchmarks.parts.table import Line, show
from cloud.kafka import Producer
from cloud.librdkafka import Cluster
from cloud_sync.record import Record
from cloud_sync.topics import EVENTS
from tests.servers import KafkaServer, MeasuredKafka, RedisServer, ServerElsewhere, create_topic

OFFSET_AND_HASH = 16
BETWEEN_S = 0.02
NOWHERE = "redis://127.0.0.1:1/0"
FLAT = 1.05
"""Of the memory after half of the events: what all of them may take."""
Kafka = KafkaServer | ServerElsewhere


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 3
    """Times that reading, decoding and folding are measured, in turn; medians are shown."""
    events: int = 100_000
    customers: int = 1_000
    asked: int = 1_000
    """Pours that are waited for."""
    steps: tuple[int, ...] = (100_000,)
    """Events after which the memory is looked at."""


def fold(directory: Path, kafka: Kafka, sizes: Sizes) -> Iterator[Line]:
    """A topic of events, read and folded on one core, with Kafka on the other."""
    topic = _filled(kafka.bootstrap, Brand().records(sizes.events))
    rounds: dict[str, list[Any]] = {"read": [], "decode": [], "fold": []}
    for number in range(sizes.rounds):
        for what, took in rounds.items():
            took.append(json.loads(child("folding", what, kafka.bootstrap, topic, directory / f"fold-{number}")))
    read, decoded, folded = (
        statistics.median(1e6 * one["cpu_s"] / sizes.events for one in took) for took in rounds.values()
    )
    rate = 1e6 / folded
    wall = statistics.median(sizes.events / one["wall_s"] for one in rounds["fold"])
    alone = f"read, then JSON decoded: {1e6 / decoded:,.0f}"
    yield Line(
        "events/s folded, by the CPU that it takes",
        ">= 15,000",
        f"{rate:,.0f}",
        alone,
        decoded / folded,
        rate >= 15_000,
    )
    yield Line("  and then half of decoding alone", "ratio 0.50", "", "", decoded / folded, decoded / folded >= 0.5)
    yield Line("  µs of a core an event", "", f"{folded:.0f}", f"read: {read:.1f}; decoded, too: {decoded:.1f}")
    decoded_wall = statistics.median(sizes.events / one["wall_s"] for one in rounds["decode"])
    yield Line("  on one core, by the clock", "", f"{wall:,.0f}", f"the same: {decoded_wall:,.0f}", wall / decoded_wall)
    yield from _published_and_kept(rounds["fold"])


def _published_and_kept(folds: Sequence[Any]) -> Iterator[Line]:
    """What comes after a fold: its customers are published; and what its state takes on disk."""
    customers, kept = folds[0]["state"]["customers"], folds[0]["state"]
    published_us = statistics.median(1e6 * one["published"]["cpu_s"] / customers for one in folds)
    yield Line("  customers/s published, profile and features, by CPU", "", f"{1e6 / published_us:,.0f}")
    row = f"their sums as JSON: {kept['customer_json']:,.0f}"
    what = f"bytes of state a customer, {kept['days']:.0f} days with pours"
    yield Line(what, "", f"{kept['customer']:,.0f}", row, kept["customer"] / kept["customer_json"])
    alone = f"offset and hash alone: {OFFSET_AND_HASH}"
    yield Line("bytes of state an identity", "", f"{kept['identity']:.1f}", alone, kept["identity"] / OFFSET_AND_HASH)


def lake(directory: Path, kafka: Kafka, sizes: Sizes) -> Iterator[Line]:
    """Records from Kafka into the lake's two tables."""
    found = []
    for number in range(sizes.rounds):
        topic = asyncio.run(create_topic(kafka.bootstrap, EVENTS.partitions, EVENTS.settings))
        where = directory / f"lake-{number}"
        found.append(lakes.measure(kafka.bootstrap, topic, list(Brand().records(sizes.events)), where))
    rows = statistics.median(one.rows_s for one in found)
    alone = statistics.median(one.bare_rows_s for one in found)
    bare = f"delta-rs appends of ready columns: {alone:,.0f}"
    yield Line(
        "rows/s into the lake, each in two tables",
        "ratio 0.30",
        f"{rows:,.0f}",
        bare,
        rows / alone,
        rows / alone >= 0.3,
    )
    cpu, cpu_alone = (statistics.median(getattr(one, name) for one in found) for name in ("cpu_us", "bare_cpu_us"))
    yield Line("  µs of CPU a row", "", f"{cpu:.0f}", f"{cpu_alone:.0f}", cpu / cpu_alone)
    size = statistics.median(one.bytes_row for one in found)
    value = statistics.mean(len(record.value or b"") for record in Brand().records(VISIT))
    yield Line(
        "  bytes a row on disk, of both tables", "", f"{size:,.0f}", f"a record's value: {value:,.0f}", size / value
    )


def latency(directory: Path, kafka: Kafka, sizes: Sizes) -> Iterator[Line]:
    """The real process, all parts of it: from an event to Redis; and its memory."""
    with RedisServer(directory / "redis") as redis:
        cloud, brand = Cloud(directory / "cloud", kafka.bootstrap, redis.url), Brand(sizes.customers)
        with cloud.running() as process:
            cloud.send(brand.records(sizes.steps[0]))
            settled = wait_settled(cloud, process, len(brand.customers))
            topics = asyncio.run(relay_topics(kafka.bootstrap))
            bare = [relay_s(kafka.bootstrap, redis.url, topics, sizes.asked // 2, BETWEEN_S)]
            took = profile_s(cloud, brand, sizes.asked, BETWEEN_S)
            bare.append(relay_s(kafka.bootstrap, redis.url, topics, sizes.asked // 2, BETWEEN_S))
            yield from _latencies(took, [one for half in bare for one in half])
            yield Line(f"MB resident at most, all parts, {sizes.steps[0]:,} events", "", f"{settled.most_mb:.0f}")
            yield from _grown(cloud, brand, process, sizes.steps, settled)


def memory(directory: Path, kafka: Kafka, sizes: Sizes) -> Iterator[Line]:
    """The pipeline alone: what it has in memory, and what an event costs it, the later the event."""
    cloud, brand = Cloud(directory / "pipeline", kafka.bootstrap, NOWHERE, ["pipeline"]), Brand()
    with cloud.running() as process:
        begun = wait_settled(cloud, process, 0)
        yield Line("MB resident at most, the pipeline, no events", "", f"{begun.most_mb:.0f}")
        yield from _grown(cloud, brand, process, (0, *sizes.steps), begun)


def _grown(cloud: Cloud, brand: Brand, process: psutil.Process, steps: Sequence[int], first: Spent) -> Iterator[Line]:
    """What a process takes after each step; `first` after the first."""
    seen = {steps[0]: first}
    for before, events in itertools.pairwise(steps):
        cloud.send(brand.records(events - before))
        now = seen[events] = wait_settled(cloud, process, len(brand.customers))
        rate = f"events/s by CPU, publishing too: {(events - before) / (now.cpu_s - seen[before].cpu_s):,.0f}"
        if events < steps[-1]:
            yield Line(f"  {events:,} events", "", f"{now.most_mb:.0f}", rate)
            continue
        half = max(at for at in seen if 2 * at <= events)
        share = now.most_mb / seen[half].most_mb
        yield Line(
            f"  {events:,} events; ratio to {half:,}", f"<= {FLAT}", f"{now.most_mb:.0f}", rate, share, share <= FLAT
        )


def _latencies(took: Sequence[float], bare: Sequence[float]) -> Iterator[Line]:
    for name, at in (("p50", 49), ("p99", 98)):
        got, alone = (1e3 * statistics.quantiles(values, n=100)[at] for values in (took, bare))
        road = f"two topics and Redis alone, {name}: {alone:.1f} ms"
        goal, met = ("< 250 ms", got < 250) if name == "p99" else ("", None)
        what = "an event sent to its profile in Redis, p50" if name == "p50" else "  p99"
        yield Line(what, goal, f"{got:.1f} ms", road, got / alone, met)


def _filled(bootstrap: str, records: Iterator[Record]) -> str:
    topic = asyncio.run(create_topic(bootstrap, EVENTS.partitions, EVENTS.settings))
    with Producer(Cluster(bootstrap)) as producer:
        for record in records:
            producer.send(replace(record, topic=topic))
        producer.flush()
    return topic


PARTS: dict[str, Callable[[Path, Kafka, Sizes], Iterator[Line]]] = {
    "fold": fold,
    "lake": lake,
    "latency": latency,
    "memory": memory,
}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help="fold, lake, latency, memory")
    parser.add_argument("--million", action="store_true", help="let a million events come, and watch the memory")
    options = parser.parse_args()
    wanted = options.parts or [part for part in PARTS if options.million or part != "memory"]
    parts = [part for part in wanted if part in PARTS]
    if not parts:
        return  # they are other benchmarks'
    sizes = Sizes(steps=(100_000, 300_000, 500_000, 600_000, 1_000_000)) if options.million else Sizes()
    with bench() as directory:
        for part in parts:
            with MeasuredKafka(directory / f"kafka-{part}") as kafka:
                show(PARTS[part](directory, kafka, sizes))


if __name__ == "__main__":
    main()
