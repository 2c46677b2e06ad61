"""Follows what gateways tell: figures of the fleet for Prometheus, and their digests against this machine's states.

Heartbeats of picante.gateways.v1 -> who is silent or ill: `picante_cloud_gateways`; and digests of customers, compared:
`picante_cloud_digest_mismatches_total`, and one line in the log for each customer of whom edge and cloud differ.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter as Counts
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from cloud import difference_file
from cloud.clock import BrokerTime
from cloud.config import CloudConfig
from cloud.digests import END, Comparison, Difference, Held, Key, Outcome, Row
from cloud.fleet import Heard, Trouble, hear, judge
from cloud.kafka import BEGINNING, Consumer, Place, partition_of
from cloud.librdkafka import cluster_of
from cloud.metrics import REGISTRY
from cloud.pipeline.reading import StateReader, state_files
from cloud.pipeline.verdict import judge as judge_event
from cloud.threads import in_thread
from cloud_sync.record import Consumed
from cloud_sync.topics import DEAD_LETTERS, GATEWAYS, POSITION, row_of
from heat.errors import StoreError

log = logging.getLogger("cloud.fleet")

LOOK_S = 2.0
"""s between two looks at all that is not told by a heartbeat."""

PATIENCE_S = 10.0
"""s for a broker to give a record, or say that there is none; and for states that are just behind to come after."""

RECORDS = 50
"""Records that one look asks for at most: some milliseconds each. Whom it does not come to is compared by the next."""

FLEET = Gauge("picante_cloud_gateways", "Gateways, by the worst that is wrong.", ("trouble",), registry=REGISTRY)
COMPARED = Counter(
    "picante_cloud_digests_compared", "Digests of customers compared with a gateway's.", ("outcome",), registry=REGISTRY
)
MISMATCHES = Counter(
    "picante_cloud_digest_mismatches", "Customers of whom edge and cloud began to differ.", registry=REGISTRY
)
DIFFERING = Gauge(
    "picante_cloud_digests_differing",
    "Customers of whom edge and cloud differ now.",
    registry=REGISTRY,
)
LETTERS = Gauge("picante_cloud_dead_letters_end", "Where the topic of dead letters ends.", registry=REGISTRY)
for _outcome in ("equal", "newer", "differs", "exceeds", "lacks", "not_compared"):
    COMPARED.labels(_outcome)


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a comparison of all that can be told now."""

    differences: list[Difference]
    """By age."""
    equal: int
    newer: int
    """Of whom later events are in the cloud."""
    not_compared: int
    """Whose state is another machine's, or too far behind."""


class FleetWatch:
    """One follower of the topic, with the states of the pipeline on this machine."""

    def __init__(self, config: CloudConfig) -> None:
        self.fleet: dict[str, Heard] = {}
        directory = config.path(config.cloud.data_dir)
        self._cluster = cluster_of(config)
        self._states = directory / "pipeline"
        self._file = directory / "fleet" / "differences.json"
        self._pipeline = config.pipeline
        self._partitions = 1
        self._time = BrokerTime(self._cluster)
        self.comparison = Comparison(lambda subject: partition_of(subject.encode(), self._partitions))

    def work(self, stop: threading.Event) -> None:
        """Follow until told to stop. Raises SinkUnavailable, SinkRefused, StoreError."""
        with self._consumers() as (follower, look):
            self._begin(follower, look)
            looked_s = float("-inf")
            while not stop.is_set():
                self.follow(follower)
                if time.monotonic() - looked_s >= LOOK_S:
                    self.look(look, self._time.now_ms())
                    looked_s = time.monotonic()

    def compared(self) -> Compared:
        """All that can be told now of edge and cloud: by what is in the topic, and what `work` had found. As `work`."""
        found: Counts[Outcome] = Counts()
        with self._consumers() as (follower, look):
            places = self._begin(follower, look)
            while not follower.ended.keys() >= set(places):
                self.follow(follower)
            deadline_s = time.monotonic() + PATIENCE_S
            while True:
                now_ms = self._time.now_ms()
                found.update(outcome for _, outcome in self._compare(look, now_ms))
                waiting = self.comparison.waiting(now_ms)
                if not waiting or not state_files(self._states, self._pipeline.topic) or time.monotonic() > deadline_s:
                    break
                time.sleep(0.2)
        differences = sorted(self.comparison.differences.values(), key=lambda one: (one.since_ms, one.key))
        return Compared(differences, found["equal"], found["newer"], waiting + found["not_compared"])

    def follow(self, follower: Consumer) -> None:
        """Hear what is new."""
        for heard in hear(self.fleet, follower.poll()):
            self.comparison.hear(heard)

    def look(self, look: Consumer, now_ms: int) -> None:
        """Compare, and set the figures."""
        known = dict(self.comparison.differences)
        for key, outcome in self._compare(look, now_ms):
            COMPARED.labels(outcome).inc()
            if key in self.comparison.differences and key not in known:
                MISMATCHES.inc()
                _tell(self.comparison.differences[key])
        if self.comparison.differences != known:
            difference_file.save(self._file, self.comparison.differences.values())
        DIFFERING.set(len(self.comparison.differences))
        worst = Counts(
            one.complaints[0].trouble.name.lower() if one.complaints else "none"
            for one in judge(self.fleet.values(), now_ms)
        )
        for trouble in (*(each.name.lower() for each in Trouble), "none"):
            FLEET.labels(trouble).set(worst[trouble])
        LETTERS.set(look.watermarks(Place(DEAD_LETTERS.name, 0))[1])

    @contextmanager
    def _consumers(self) -> Iterator[tuple[Consumer, Consumer]]:
        with Consumer(self._cluster) as follower, Consumer(self._cluster, self._pipeline.group) as look:
            yield follower, look

    def _begin(self, follower: Consumer, look: Consumer) -> list[Place]:
        self._partitions = look.partitions(self._pipeline.topic)
        self.comparison.go_on(difference_file.load(self._file))
        places = [Place(GATEWAYS.name, number) for number in range(look.partitions(GATEWAYS.name))]
        follower.assign(dict.fromkeys(places, BEGINNING))
        return places

    def _compare(self, look: Consumer, now_ms: int) -> list[tuple[Key, Outcome]]:
        with ExitStack() as stack:
            states: dict[int, StateReader] = {}
            for path in state_files(self._states, self._pipeline.topic):
                with suppress(StoreError):
                    state = stack.enter_context(StateReader.open(path))
                    states[state.partition] = state
            # asked first: a state that is behind what its group said before is another process' now
            said = look.committed([Place(self._pipeline.topic, number) for number in states]) if states else {}
            lost = {number for (_, number), at in said.items() if states[number].position() < (at or 0)}
            self.comparison.lose(lost)

            def held(partition: int, key: Key) -> Held | None:
                if partition in lost or (state := states.get(partition)) is None:
                    return None
                return Held(*state.held(key.subject, key.gateway))

            return self.comparison.look(held, _Topic(look, self._pipeline.topic), now_ms)


class _Topic:
    """The events' topic, as `digests.Log`, for one look."""

    def __init__(self, look: Consumer, name: str) -> None:
        self._look = look
        self._name = name
        self._ends: dict[int, int] = {}
        self._firsts: dict[tuple[int, int], tuple[int, Row | None] | None] = {}

    def end(self, partition: int) -> int:
        if partition not in self._ends:
            self._ends[partition] = self._look.watermarks(Place(self._name, partition))[1]
        return self._ends[partition]

    def first(self, partition: int, offset: int) -> tuple[int, Row | None] | None:
        """Watermarks alone don't say that nothing follows: transactions leave marks."""
        asked = partition, offset
        if asked not in self._firsts:
            if len(self._firsts) >= RECORDS:
                return None
            self._firsts[asked] = self._first(Place(self._name, partition), offset)
        return self._firsts[asked]

    def _first(self, place: Place, offset: int) -> tuple[int, Row | None] | None:
        low, end = self._look.watermarks(place)
        if not low <= offset <= end:
            return None  # the state is another log's
        self._look.assign({place: offset})
        deadline_s = time.monotonic() + PATIENCE_S
        while place not in self._look.ended:
            if records := self._look.poll(1):
                return records[0].offset, _row(records[0])
            if time.monotonic() > deadline_s:
                return None
        return END, None


def _row(record: Consumed) -> Row | None:
    event, row = judge_event(record).event, row_of(dict(record.headers).get(POSITION))
    return None if event is None or row is None else Row(event.origin, *row)


_HOW: dict[Outcome, str] = {"differs": "has other sums", "exceeds": "is more", "lacks": "lacks events"}


def _tell(difference: Difference) -> None:
    key, how = difference.key, _HOW[difference.outcome]
    numbers = f"{difference.told.n} pieces of evidence there, {difference.cloud_n} here"
    log.error("Edge and cloud differ on %s: what %s holds %s here (%s)", key.subject, key.gateway, how, numbers)


async def run(config: CloudConfig) -> None:
    """The part `fleet` of `picante cloud run`. Raises SinkUnavailable, SinkRefused, StoreError."""
    await in_thread("fleet", FleetWatch(config).work)
