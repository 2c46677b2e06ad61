"""The main road, timed beside bare parts of it in the same run: `python benchmarks/road.py [--million] [PART ...]`.

Machines differ and are noisy, so each figure stands beside a baseline that was measured seconds from it: look at the
ratio. Parts are ingest, start, memory, drain; all of them without an argument. The databases are made in the working
directory: run it on a real disk. docs/benchmarks.md says how to read the table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.parts import bare
from benchmarks.parts.bench import bench
from benchmarks.parts.daemon import drain, memory_mb, start_s
from benchmarks.parts.events import fill
from benchmarks.parts.feeder import BETWEEN_ASKS_S
from benchmarks.parts.machine import child, has_strace
from benchmarks.parts.table import Line, show
from cloud_sync.record import Record
from cloud_sync.topics import EVENTS
from tests.servers import KafkaServer, MeasuredKafka, ServerElsewhere, create_topic

DISPENSERS = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 3
    """Times that ingest, its baselines and the start are measured, in turn; medians are shown."""
    ingested: int = 20_000
    one_by_one: int = 2_000
    asked: int = 1_000
    warm_up: int = 20_000
    """Events that a cold Kafka gets first: its JVM is several times slower then."""
    backlog: int = 100_000
    drains: tuple[int, ...] = (1,)
    """Backlogs to be drained, in `backlog`s."""
    idle_s: float = 5
    """Seconds after which a gateway counts as idle: what it does once at its start is done."""


def ingest(directory: Path, sizes: Sizes) -> Iterator[Line]:
    """Bytes through PTYs to durable commits, and picks."""
    rounds, decode_s, insert_s = [], [], []
    for n in range(sizes.rounds):
        decode, insert = bare.on_one_core(sizes.ingested, directory)
        decode_s.append(decode)
        insert_s.append(insert)
        rounds.append(_ingest(directory / f"ingest-{n}", sizes.ingested, 0))
    took_s, cpu_s = (statistics.median(figures[name] for figures in rounds) for name in ("seconds", "cpu_s"))
    decode, insert = statistics.median(decode_s), statistics.median(insert_s)
    raw_s = decode + insert
    rate, raw = sizes.ingested / took_s, sizes.ingested / raw_s
    yield Line(
        "events/s, PTYs to durable commit and ACK, one core",
        ">= 8,000",
        f"{rate:,.0f}",
        f"decode, then insert: {raw:,.0f}",
        rate / raw,
        rate >= 8_000,
    )
    yield Line("  and then half of the bare parts", "ratio 0.50", "", "", rate / raw, rate / raw >= 0.5)
    yield Line(
        "  µs of the core an event", "", f"{cpu_s / sizes.ingested * 1e6:.0f}", f"{raw_s / sizes.ingested * 1e6:.1f}"
    )
    yield Line("  COBS, CRC, CBOR decoded alone, events/s", "", "", f"{sizes.ingested / decode:,.0f}")
    yield Line("  SQLite alone, 100 inserts a commit, events/s", "", "", f"{sizes.ingested / insert:,.0f}")
    yield _fsyncs(directory, sizes.ingested)
    alone = _ingest(directory / "one-by-one", sizes.one_by_one, 0, lines=1, window=1)
    bytes_alone = alone["written_bytes"] / sizes.one_by_one
    grouped = statistics.median(figures["written_bytes"] for figures in rounds) / sizes.ingested
    yield Line(
        "bytes written an event, group commit",
        "fewer",
        f"{grouped:,.0f}",
        f"one by one ({alone['pieces'] / alone['commits']:.1f} a commit): {bytes_alone:,.0f}",
        grouped / bytes_alone,
        grouped < bytes_alone,
    )
    yield from _picks(_ingest(directory / "asks", 100, sizes.asked, lines=1), sizes.asked)


def _ingest(
    directory: Path,
    events: int,
    asks: int,
    *,
    lines: int = DISPENSERS,
    window: int = 2**31,
    before: tuple[str, ...] = (),
) -> Any:
    directory.mkdir()
    return json.loads(child("ingest", directory, lines, events, asks, window, before=before))


def _fsyncs(directory: Path, events: int) -> Line:
    """fsyncs, counted by strace in a run of their own, since it slows what it counts."""
    what = "  fsyncs per 1,000 events, as strace counts them"
    if not has_strace():
        return Line(what, "", "no strace here")
    calls = directory / "strace"
    seen = "fsync,fdatasync,sync_file_range,msync"
    before = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={seen}", "-e", "signal=none", "-o", str(calls))
    figures = _ingest(directory / "fsyncs", events, 0, before=before)
    count = sum("sync" in line and "resumed" not in line for line in calls.read_text().splitlines())
    commits = figures["commits"] / events * 1000
    got = f"{count / events * 1000:.1f}"
    return Line(what, ">= commits", got, f"commits per 1,000: {commits:.1f}", None, count >= figures["commits"])


def _picks(figures: Any, count: int) -> Iterator[Line]:
    bare_ms = bare.rank_s() * 1e3
    echo50, echo99 = _p50_p99(1e3 * one for one in bare.echo_s(count, BETWEEN_ASKS_S))
    p50, p99 = _p50_p99(1e3 * one for one in figures["asks_s"])
    _, inside = _p50_p99(one / 1e3 for one in figures["inside_us"])
    alone = f"ONNX run alone: {bare_ms:.3f} ms"
    yield Line("ASK in to PICKS out at 50 events/s, p50", "", f"{p50:.2f} ms", alone, p50 / bare_ms)
    alone = f"a bare echo on the PTY, p50: {echo50:.2f} ms"
    yield Line("", "", "", alone, p50 / echo50)
    alone = f"a bare echo on the PTY, p99: {echo99:.2f} ms"
    yield Line("  p99", "< 20 ms", f"{p99:.2f} ms", alone, p99 / echo99, p99 < 20)
    yield Line("  and then", "< 5 ms", f"{p99:.2f} ms", "", None, p99 < 5)
    yield Line("  p99 from its last byte read to PICKS written", "", f"{inside:.2f} ms")


def _p50_p99(values: Iterable[float]) -> tuple[float, float]:
    percentiles = statistics.quantiles(values, n=100)
    return percentiles[49], percentiles[98]


def drains(directory: Path, kafka: KafkaServer | ServerElsewhere, sizes: Sizes) -> Iterator[Line]:
    """A backlog that goes up into Apache Kafka, which runs on the same cores."""
    fill(directory / "bare", "bare", sizes.backlog)
    records = bare.encoded(directory / "bare", "bare", sizes.backlog)
    _bare_rate(kafka.bootstrap, records, 1, batches=True)
    if sizes.warm_up:
        drain(directory / "warm", "gw-warm", kafka.bootstrap, sizes.warm_up)
    smallest_mb = 0.0
    for times in sizes.drains:
        count = times * sizes.backlog
        before = _bare_rate(kafka.bootstrap, records, times, batches=True)
        got = drain(directory / f"drain-{count}", f"gw-{count}", kafka.bootstrap, count)
        after = _bare_rate(kafka.bootstrap, records, times, batches=True)
        raw = (before + after) / 2
        yield Line(
            f"events/s, drain of {count:,} into Kafka",
            "ratio 0.70",
            f"{got.events_per_s:,.0f}",
            f"aiokafka alone, send_batch: {raw:,.0f}",
            got.events_per_s / raw,
            got.events_per_s / raw >= 0.7,
        )
        yield Line("  MB resident at most, meanwhile", "< 150", f"{got.most_mb:.0f}", "", None, got.most_mb < 150)
        smallest_mb = smallest_mb or got.most_mb
        if times > 1:
            alone, grown_mb = f"with {sizes.backlog:,}: {smallest_mb:.0f}", got.most_mb - smallest_mb
            yield Line("  and more than with a short backlog", "flat", f"{grown_mb:.0f}", alone, None, grown_mb < 10)
    single = _bare_rate(kafka.bootstrap, records, 1, batches=False)
    yield Line("  aiokafka alone by send(), record by record", "", "", f"{single:,.0f}")


def _bare_rate(bootstrap: str, records: Sequence[Record], times: int, *, batches: bool) -> float:
    async def run() -> float:
        topic = await create_topic(bootstrap, EVENTS.partitions)
        return await bare.produce_s(bootstrap, topic, [*records] * times, batches=batches)

    return len(records) * times / asyncio.run(run())


def memory(directory: Path, kafka: KafkaServer | ServerElsewhere, sizes: Sizes) -> Iterator[Line]:
    """What the real process holds."""
    _, libraries = bare.imports()
    alone = f"its libraries, imported alone: {libraries:.0f} MB"
    idle, loaded = memory_mb(directory / "memory", kafka.bootstrap, sizes.ingested * 2, sizes.idle_s)
    yield Line("MB resident, idle", "< 150", f"{idle:.0f}", alone, idle / libraries, idle < 150)
    yield Line("MB resident at most, 4 dispensers at full speed", "< 150", f"{loaded:.0f}", "", None, loaded < 150)


def starts(directory: Path, sizes: Sizes) -> Iterator[Line]:
    """From the start of the process to its first ready answer."""
    took, _ = bare.imports()
    for events in (0, sizes.backlog):
        median = statistics.median(start_s(directory / f"start-{events}", "gw-start", events, sizes.rounds))
        what = f"s from start to ready, {events:,} events in the database"
        alone = f"its libraries, imported alone: {took:.2f} s"
        yield Line(what, "< 3", f"{median:.2f}", alone, median / took, median < 3)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help="ingest, start, memory, drain: all without one")
    parser.add_argument("--million", action="store_true", help="drain 1,000,000 events, too")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says what it tries again
    sizes = Sizes(drains=(1, 10)) if options.million else Sizes()
    with bench() as directory:
        (directory / "kafka").mkdir()
        kafka = MeasuredKafka(directory / "kafka")
        parts: dict[str, Callable[[], Iterator[Line]]] = {
            "ingest": lambda: ingest(directory, sizes),
            "start": lambda: starts(directory, sizes),
            "memory": lambda: memory(directory, kafka, sizes),
            "drain": lambda: drains(directory, kafka, sizes),
        }
        try:
            for part in options.parts or parts:
                if part in ("memory", "drain") and not kafka.alive:
                    kafka.start()
                show(parts[part]())
        finally:
            kafka.kill()


if __name__ == "__main__":
    main()
