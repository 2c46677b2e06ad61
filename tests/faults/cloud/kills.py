"""The cloud half through many kills, while events flow: of its pipeline, its lake's writer, Kafka's brokers and Redis.

    with KafkaCluster(directory) as cluster:
        outcome = run(directory / "run", cluster, seed=7)

Each part is a `picante cloud run` of its own. `seed` gives the events and the moments of the kills. A part is stopped
(SIGSTOP), looked at, and killed where it stands. Of three kills two wait for the moment that hurts: the pipeline has
folded and not committed, the lake's writer has written files and not committed all of them. The third waits until the
pipeline has a transaction of dead letters open, or for nothing. Redis is emptied while it runs, and killed with its
memory. After two thirds of the kills a gateway comes back that was away for a month.

Every kill is a line of `kills.jsonl`, with the positions that were committed then.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cloud.kafka import Consumer, Place, Producer, read_to_end
from cloud.librdkafka import Cluster
from cloud.pipeline.partition import Settings
from cloud_sync.topics import ALL, DEAD_LETTERS, EVENTS
from heat.errors import SyncError
from tests.cloud.pipelines import Stage
from tests.cluster import KafkaCluster
from tests.faults.cloud.outcome import HURTS, Kill, Outcome
from tests.faults.cloud.parts import (
    REFUSING,
    HotStorePart,
    LakePart,
    Part,
    PipelinePart,
)
from tests.faults.cloud.stream import AWAY, Sent, Stream
from tests.faults.cloud.verdict import in_redis, judge
from tests.servers import RedisServer
from tests.waiting import TooLate, wait_until

KILLS_EACH = 3
"""Of the pipeline and of the lake's writer."""
AIM_S = 40.0
"""Seconds to wait for the moment that hurts; after that the kill falls beside it, and the log says so."""
REST_S = 0.8
"""Seconds at most that a part has after it has gone on."""
STEP_S = 0.02
"""Seconds at most between two looks."""
CHUNK = 250
PAUSE_S = 0.4
"""Seconds between two chunks of records: some 500 a second, so that there is always something to fold."""
PATIENCE_S = 180.0
"""Seconds for whatever must happen in the end."""


def run(
    directory: Path, cluster: KafkaCluster, seed: int, kills_each: int = KILLS_EACH, tell: Callable[[str], None] = print
) -> Outcome:
    """One run in a directory. The topics are made anew; the cluster has all its nodes at the end."""
    directory.mkdir(parents=True)
    began_s, outcome, stream = time.monotonic(), Outcome(seed, directory / "kills.jsonl"), Stream(seed)
    with ExitStack() as stack:
        redis_server = stack.enter_context(RedisServer(directory / "redis"))
        world = _World(
            cluster,
            redis_server,
            PipelinePart(directory, cluster, ""),
            LakePart(directory, cluster, "[lake]\ncommit_seconds = 1\ncommit_rows = 500\n"),
            HotStorePart(directory, cluster, f'[hot_store]\nkind = "redis"\nurl = "{redis_server.url}"\n'),
        )
        world.make_topics()
        for part in world.parts:
            stack.callback(part.kill)
            part.start()
        killer = _Killer(world, outcome, kills_each, tell)
        with _feeding(Cluster(cluster.bootstrap), stream) as feeder:
            for part in (world.pipeline, world.lake):
                wait_until(lambda part=part: any(part.positions().values()), PATIENCE_S, f"{part.name} works")  # type: ignore[misc]
            killer.kill_all(feeder)
        world.settle()
        for part in world.parts:
            part.stop()
        outcome.records, outcome.events = len(stream.sent), len(stream.counted())
        outcome.refused = sum(sent.reason is not None for sent in stream.sent)
        outcome.late = sum(event.evidence["origin"] == AWAY for event in stream.counted())
        outcome.verdict = judge(stream, cluster, world.pipeline.files, redis_server.url, world.lake.folder)
    outcome.seconds = time.monotonic() - began_s
    return outcome


@dataclass(frozen=True, slots=True)
class _World:
    cluster: KafkaCluster
    redis: RedisServer
    pipeline: PipelinePart
    lake: LakePart
    hot_store: HotStorePart

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.pipeline, self.lake, self.hot_store

    def make_topics(self) -> None:
        """Those of the contract, empty; a run before this one may have left some."""
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap})
        there = admin.list_topics(timeout=10).topics
        if old := [topic.name for topic in ALL if topic.name in there]:
            for deleted in admin.delete_topics(old).values():
                deleted.result(30)
            wait_until(lambda: not set(old) & set(admin.list_topics(timeout=10).topics), PATIENCE_S, "topics are gone")
        command = [sys.executable, "-m", "picante", "cloud", "topics", "apply", "--yes", "--config", "cloud.toml"]
        done = subprocess.run(
            command, cwd=self.pipeline.directory, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.cluster.wait_until_in_sync(PATIENCE_S)

    def settle(self) -> None:
        """Until each part has done what there is for it to do, right or wrong."""
        cluster = Cluster(self.cluster.bootstrap)
        with Consumer(cluster) as look:
            ends = {n: look.watermarks(Place(EVENTS.name, n))[1] for n in range(EVENTS.partitions)}
        wait_until(lambda: self.pipeline.positions() == ends, PATIENCE_S, f"the pipeline is at {ends}")
        wait_until(self.pipeline.has_published, PATIENCE_S, "the pipeline has published all of it")
        told = Stage(Settings(cluster, self.pipeline.directory)).digests()
        wait_until(lambda: dict(in_redis(self.redis.url, told)) == told, PATIENCE_S, "the hot store has what was told")
        letters = [record for batch in read_to_end(cluster, DEAD_LETTERS.name) for record in batch]
        end = letters[-1].offset + 1
        wait_until(lambda: self.lake.positions() == ends, PATIENCE_S, f"the lake is at {ends}")
        wait_until(lambda: self.lake.letters() == end, PATIENCE_S, f"the lake has dead letters up to {end}")


class _Killer:
    """Kills in the order and at the moments that the outcome's seed gives."""

    def __init__(self, world: _World, outcome: Outcome, kills_each: int, tell: Callable[[str], None]) -> None:
        self._world, self._outcome, self._kills_each, self._tell = world, outcome, kills_each, tell
        self._chance = random.Random(outcome.seed)

    def kill_all(self, feeder: _Feeder) -> None:
        """All kills; everything runs again when this returns."""
        count = self._kills_each
        flushed, emptied = count // 3, 2 * count // 3
        brokers = set(range(count // 2, count, 5))
        with ThreadPoolExecutor(3) as threads:
            back: dict[str, Future[None]] = {}
            for turn in range(count):
                feeder.late = turn >= 2 * count // 3
                for part in (self._world.pipeline, self._world.lake):
                    _wait(back.get(part.name))
                    kill = self._kill(part, self._aim(part, turn))
                    back[part.name] = threads.submit(self._recover, part, kill, whole=self._chance.random() < 0.5)
                if turn in brokers:
                    _wait(back.get("kafka"))
                    back["kafka"] = threads.submit(self._kill_broker)
                if turn == flushed:
                    self._empty_redis(while_it_runs=True)
                if turn == emptied:
                    self._empty_redis(while_it_runs=False)
            for future in back.values():
                _wait(future)

    def _aim(self, part: Part, turn: int) -> str | None:
        if turn % 3 != 2:
            return HURTS[part.name]
        return REFUSING if part is self._world.pipeline else None

    def _kill(self, part: Part, where: str | None) -> Kill:
        """Kill it there, if it comes there soon."""
        kill = None
        time.sleep(self._chance.uniform(0.0, REST_S))
        if where is not None:
            with contextlib.suppress(TooLate):
                kill = wait_until(lambda: self._strike(part, where), AIM_S, f"{part.name} is {where}", brief=True)
        if kill is None:
            kill = self._strike(part, None)
        assert kill is not None
        self._note(kill)
        with contextlib.suppress(KafkaException):
            part.leave()
        return kill

    def _strike(self, part: Part, where: str | None) -> Kill | None:
        """Kill a part if it stands there (None: anywhere); else it goes on."""
        time.sleep(self._chance.uniform(0.0, STEP_S))
        with part.stopped():
            stands = part.where()
            if where not in {None, stands}:
                return None
            kill = Kill(part.name, _now(), stands, part.positions())
            part.kill()
        return kill

    def _recover(self, part: Part, kill: Kill, *, whole: bool) -> None:
        """Start it, and wait until it goes on; `whole`: in all partitions."""

        def moved() -> int:
            return sum(now > kill.positions.get(partition, 0) for partition, now in part.positions().items())

        at_s = time.monotonic()
        part.start()
        wait_until(moved, PATIENCE_S, f"{part.name} goes on")
        self._outcome.recoveries[part.name].append(time.monotonic() - at_s)
        if whole:
            wait_until(lambda: moved() == EVENTS.partitions, PATIENCE_S, f"{part.name} goes on everywhere")

    def _kill_broker(self) -> None:
        node = self._chance.choice(self._world.cluster.nodes)
        node.kill()
        self._note(Kill("kafka", _now(), f"node {node.node}"))
        node.start()
        self._world.cluster.wait_until_in_sync(PATIENCE_S)

    def _empty_redis(self, *, while_it_runs: bool) -> None:
        server = self._world.redis
        with closing(redis.Redis.from_url(server.url)) as client:
            entries = client.dbsize()
            if while_it_runs:
                client.flushall()
            else:
                server.kill()
                server.empty()
                server.start()
        self._note(Kill("redis", _now(), f"{'flushed' if while_it_runs else 'killed'} with {entries} entries"))

    def _note(self, kill: Kill) -> None:
        self._outcome.kills.append(kill)
        line = json.dumps(asdict(kill))
        with self._outcome.log.open("a") as log:
            log.write(line + "\n")
        self._tell(line)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _wait(future: Future[None] | None) -> None:
    if future is not None:
        future.result(2 * PATIENCE_S)


class _Feeder:
    """Sends the stream to Kafka, chunk by chunk, until it is told to stop."""

    def __init__(self, cluster: Cluster, stream: Stream) -> None:
        self.late = False
        self._cluster, self._stream = cluster, stream

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(PAUSE_S):
            chunk = self._stream.go_on(CHUNK, late=self.late)
            while not self._sent(chunk):
                pass  # a broker was killed: what Kafka has of it already, it has twice then

    def _sent(self, chunk: list[Sent]) -> bool:
        with contextlib.suppress(SyncError), Producer(self._cluster) as producer:
            for sent in chunk:
                producer.send(sent.record)
            producer.flush()
            return True
        return False


@contextlib.contextmanager
def _feeding(cluster: Cluster, stream: Stream) -> Iterator[_Feeder]:
    """It runs within; what was begun is sent whole."""
    feeder, stop = _Feeder(cluster, stream), threading.Event()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(feeder.run, stop)
        try:
            yield feeder
        finally:
            stop.set()
        running.result(PATIENCE_S)
