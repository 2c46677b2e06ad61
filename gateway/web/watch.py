"""What must be looked at again and again to be told later: sums over links that come and go, histograms, levels.

The server runs it once a second. Links, MQTT connections and parts are replaced when they fail, and their counters
with them; here the sums go on. Latencies and commit times are taken out of short lists before these forget them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.levels import Levels
from gateway.web.tallies import LastHour, Today

EVERY_S = 1.0
HISTORY = 120
"""Samples of the outbox that the page draws."""
HISTORY_EVERY = 5
"""Looks from one of these samples to the next: ten minutes in all."""
FAILING_S = 15.0
"""s after its last failure, and after the pause that followed, for which a part counts as failing."""
MARKED = 13
"""Marks of the outbox, a minute in all: of them rates are made."""
MAX_LABELS = 64
"""Links that are told apart in the metrics once they count something; what comes on top is counted as one more."""
OTHERS = "others"

PICK_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
"""s; 20 ms is what a pick may take, p99."""
COMMIT_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""s; an SSD commits in 1 to 5 ms, an SD card in up to a few hundred."""
TRANSACTION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""s; beside the broker it takes 10 to 50 ms, and over a bad line until its timeout of 10 s."""


class Mark(NamedTuple):
    """How far the outbox was at a moment."""

    at_s: float
    """Monotonic."""
    stored: int
    confirmed: int


class Histogram:
    """Counts of values by upper bound. `bounds` rise; a last bucket takes what is above."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def take(self, values: deque[float]) -> None:
        """Count all values, and take them out. Another thread may add more meanwhile."""
        while values:
            self.observe(values.popleft())

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: how many values lie at or below each bound."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        sums, seen = [], 0
        for count in self.counts:
            seen += count
            sums.append(float(seen))
        return list(zip(names, sums, strict=True))


class Sums:
    """Sums of counters whose owners come and go, by (label, key)."""

    def __init__(self) -> None:
        self.total: Counter[tuple[str, str]] = Counter()
        self._last: dict[int, tuple[str, Mapping[str, int], dict[str, int]]] = {}
        self._labels: set[str] = set()

    def look(self, counters: Sequence[tuple[str, Mapping[str, int]]]) -> Counter[str]:
        """Add what these counters, and those of the last look, have counted since then; how much that is, by label."""
        added: Counter[str] = Counter()
        present = {id(counter): (label, counter) for label, counter in counters}
        for key in present.keys() - self._last.keys():
            self._last[key] = (*present[key], {})
        for label, counter, before in self._last.values():
            for name, count in counter.items():
                if new := count - before.get(name, 0):
                    self.total[self._bounded(label), name] += new
                    before[name] = count
                    added[label] += new
        for key in self._last.keys() - present.keys():
            del self._last[key]
        return added

    def _bounded(self, label: str) -> str:
        if label not in self._labels and len(self._labels) >= MAX_LABELS:
            return OTHERS
        self._labels.add(label)
        return label


class Watch:
    """Looks at the gateway's parts once a second."""

    def __init__(self, state: GatewayState) -> None:
        self.pick_s = Histogram(PICK_BUCKETS_S)
        self.commit_s = Histogram(COMMIT_BUCKETS_S)
        self.fsync_s = Histogram(COMMIT_BUCKETS_S)
        self.transaction_s = Histogram(TRANSACTION_BUCKETS_S)
        self.bad = Sums()
        """Bad frames and messages by link and reason."""
        self.rejected = Sums()
        """HELLOs turned away, by link and reason."""
        self.restarts: Counter[str] = Counter()
        self.pending: deque[int] = deque(maxlen=HISTORY)
        """Rows that waited for Kafka, newest last."""
        self.marks: deque[Mark] = deque(maxlen=MARKED)
        """Newest last."""
        self.levels = Levels(state.reader)
        self.today = Today(state.reader, state.config.gateway.timezone)
        self.hour = LastHour()
        """What `bad` and `rejected` count, of the last hour."""
        self._state = state
        self._looks = 0
        self._shown = 0
        self._restarts: dict[str, int] = {}
        self._failed_s: dict[str, float] = {}
        self._uplink_since: tuple[float, datetime] | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            with contextlib.suppress(sqlite3.Error):  # the routes tell of it; the rest of the daemon goes on
                self._look_at_rows()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Look once; done before a scrape, too."""
        self._look_at_links()
        self._look_at_picks()
        self._look_at_store()
        if self._state.uplink is not None:
            self.transaction_s.take(self._state.uplink.status.transaction_s)
        self._look_at_parts()

    def failing(self, part: str) -> bool:
        """Whether a part failed so recently that it can't be said to be at work again."""
        pause_s = self._state.supervisor.parts[part].pause_s
        return time.monotonic() - self._failed_s.get(part, float("-inf")) < pause_s + FAILING_S

    def uplink_since(self) -> datetime | None:
        """When the uplink's state began, in wall time; the same answer as long as it lasts."""
        uplink = self._state.uplink
        if uplink is None:
            return None
        since_s = uplink.status.since_s
        if self._uplink_since is None or self._uplink_since[0] != since_s:
            self._uplink_since = since_s, reads.moment((time.time() - time.monotonic() + since_s) * 1000)
        return self._uplink_since[1]

    def _look_at_rows(self) -> None:
        self.levels.look()
        self.today.look()
        if self._looks % HISTORY_EVERY == 0:
            backlog = reads.backlog(self._state.reader)
            self.pending.append(backlog.pending)
            self.marks.append(Mark(time.monotonic(), backlog.stored, backlog.confirmed))
        self._looks += 1

    def _look_at_links(self) -> None:
        links, mqtt = self._state.links, self._state.mqtt
        bad = self.bad.look([(link.name, link.bad) for link in links] + ([("mqtt", mqtt.bad)] if mqtt else []))
        rejected = self.rejected.look([(link.name, link.session.counters.rejected) for link in links])
        self.hour.add(bad + rejected)

    def _look_at_picks(self) -> None:
        recommender = self._state.recommender
        new = min(recommender.shown - self._shown, len(recommender.recent))
        self._shown = recommender.shown
        for shown in islice(reversed(recommender.recent), new):
            self.pick_s.observe(shown.latency_us / 1e6)

    def _look_at_store(self) -> None:
        figures = self._state.store.figures
        self.commit_s.take(figures.commit_s)
        self.fsync_s.take(figures.fsync_s)

    def _look_at_parts(self) -> None:
        parts = self._state.supervisor.parts
        for name, part in parts.items():
            new = part.restarts - self._restarts.get(name, 0)
            if new > 0:
                self.restarts[name if name in self.restarts or len(self.restarts) < MAX_LABELS else OTHERS] += new
                self._failed_s[name] = time.monotonic()
            self._restarts[name] = part.restarts
        for name in self._restarts.keys() - parts.keys():
            del self._restarts[name]
            self._failed_s.pop(name, None)
