"""Follows what gateways tell: figures of the fleet for Prometheus, and their digests against this machine's states.

Heartbeats of picante.gateways.v1 -> who is silent or ill: `picante_cloud_gateways`; and digests of customers, compared:
`picante_cloud_digest_mismatches_total`, and one line in the log for each customer of whom edge and cloud differ.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter as Counts
from contextlib import ExitStack, suppress
from pathlib import Path

from prometheus_client import Counter, Gauge

from cloud.config import CloudConfig
from cloud.digests import Comparison, Difference, Held, Key
from cloud.fleet import Heard, Trouble, hear, judge
from cloud.kafka import BEGINNING, Consumer, Place, partition_of
from cloud.librdkafka import Cluster, cluster_of
from cloud.metrics import REGISTRY
from cloud.pipeline.reading import StateReader, state_files
from cloud.threads import in_thread
from cloud_sync.topics import DEAD_LETTERS, EVENTS, GATEWAYS
from heat.errors import StoreError

log = logging.getLogger("cloud.fleet")

LOOK_S = 2.0
"""s between two looks at all that is not told by a heartbeat."""

PATIENCE_S = 10.0
"""s for a broker to say that a partition ends."""

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
for _outcome in ("equal", "newer", "differs", "lacks"):
    COMPARED.labels(_outcome)


class FleetWatch:
    """One follower of the topic. `states` is the pipeline's directory on this machine."""

    def __init__(self, cluster: Cluster, states: Path) -> None:
        self.fleet: dict[str, Heard] = {}
        self._cluster = cluster
        self._states = states
        self._partitions = 1
        self.comparison = Comparison(lambda subject: partition_of(subject.encode(), self._partitions))

    def work(self, stop: threading.Event) -> None:
        """Follow until told to stop. Raises SinkUnavailable, SinkRefused."""
        with Consumer(self._cluster) as follower, Consumer(self._cluster) as look:
            self._begin(follower, look)
            looked_s = float("-inf")
            while not stop.is_set():
                self.follow(follower)
                if time.monotonic() - looked_s >= LOOK_S:
                    self.look(look, int(time.time() * 1000))
                    looked_s = time.monotonic()

    def differences(self) -> list[Difference]:
        """All that can be told now of edge and cloud, by what is in the topic. Raises as `work`."""
        with Consumer(self._cluster) as follower, Consumer(self._cluster) as look:
            places = self._begin(follower, look)
            while not follower.ended.keys() >= set(places):
                self.follow(follower)
            self._compare(look, int(time.time() * 1000))
        return sorted(self.comparison.differences.values(), key=lambda one: (one.since_ms, one.key))

    def follow(self, follower: Consumer) -> None:
        """Hear what is new."""
        for heard in hear(self.fleet, follower.poll()):
            self.comparison.hear(heard)

    def look(self, look: Consumer, now_ms: int) -> None:
        """Compare, and set the figures."""
        self._compare(look, now_ms)
        worst = Counts(
            one.complaints[0].trouble.name.lower() if one.complaints else "none"
            for one in judge(self.fleet.values(), now_ms)
        )
        for trouble in (*(each.name.lower() for each in Trouble), "none"):
            FLEET.labels(trouble).set(worst[trouble])
        LETTERS.set(look.watermarks(Place(DEAD_LETTERS.name, 0))[1])

    def _begin(self, follower: Consumer, look: Consumer) -> list[Place]:
        self._partitions = look.partitions(EVENTS.name)
        places = [Place(GATEWAYS.name, number) for number in range(look.partitions(GATEWAYS.name))]
        follower.assign(dict.fromkeys(places, BEGINNING))
        return places

    def _compare(self, look: Consumer, now_ms: int) -> None:
        known = set(self.comparison.differences)
        with ExitStack() as stack:
            states: dict[int, StateReader] = {}
            for path in state_files(self._states, EVENTS.name):
                with suppress(StoreError):
                    state = stack.enter_context(StateReader.open(path))
                    states[state.partition] = state

            def held(partition: int, key: Key) -> Held | None:
                state = states.get(partition)
                return None if state is None else Held(*state.held(key.subject, key.gateway))

            ended: dict[tuple[int, int], bool] = {}

            def at_end(partition: int, position: int) -> bool:
                place = partition, position
                if place not in ended:
                    ended[place] = _nothing_follows(look, Place(EVENTS.name, partition), position)
                return ended[place]

            for key, outcome in self.comparison.look(held, at_end, now_ms):
                COMPARED.labels(outcome).inc()
                if key in self.comparison.differences and key not in known:
                    MISMATCHES.inc()
                    _tell(self.comparison.differences[key])
        DIFFERING.set(len(self.comparison.differences))


def _nothing_follows(look: Consumer, place: Place, position: int) -> bool:
    """Whether readers see no record from this position on; watermarks don't say so: transactions leave marks."""
    low, end = look.watermarks(place)
    if not low <= position <= end:
        return False  # the state is another log's
    look.assign({place: position})
    deadline_s = time.monotonic() + PATIENCE_S
    while place not in look.ended:
        if look.poll(1) or time.monotonic() > deadline_s:
            return False
    return True


def _tell(difference: Difference) -> None:
    key, how = difference.key, "has other sums" if difference.outcome == "differs" else "lacks events"
    numbers = f"{difference.edge_n} pieces of evidence there, {difference.cloud_n} here"
    log.error("Edge and cloud differ on %s: what %s holds %s here (%s)", key.subject, key.gateway, how, numbers)


async def run(config: CloudConfig) -> None:
    """The part `fleet` of `picante cloud run`. Raises SinkUnavailable, SinkRefused."""
    watch = FleetWatch(cluster_of(config), config.path(config.cloud.data_dir) / "pipeline")
    await in_thread("fleet", watch.work)
