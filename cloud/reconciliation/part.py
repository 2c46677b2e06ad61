"""Reconciliation as a part of `picante cloud run`: each hour, a little after it is over.

Hours that a reader has not passed yet are compared again five minutes later, for a day at most. What was found is told
once: in the log, and in the metrics for the rules of Prometheus.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import Counter, Gauge

from cloud.config import CloudConfig
from cloud.metrics import REGISTRY
from cloud.reconciliation.findings import LOOK, Finding, hour_text
from cloud.reconciliation.gathering import Outcome, Stopped, closed_hours, compare
from cloud.threads import in_thread

log = logging.getLogger("cloud.reconciliation")

LOOK_S = 30.0
"""s between two looks whether an hour is over."""
AGAIN_S = 300.0
"""s after which hours are compared again for which somebody was not ready."""
FIRST_HOURS = 3
"""Hours that are compared after a start: it is not known what an earlier process has seen."""
LONGEST_HOURS = 24
"""Hours for which somebody who is not ready is waited for."""
REMEMBERED = 1_000
"""Findings that are remembered, so that none is told twice."""

FINDINGS = Counter(
    "picante_cloud_reconciliation_findings", "Disagreements found between parts.", ("kind",), registry=REGISTRY
)
WAITING = Gauge(
    "picante_cloud_reconciliation_waiting", "What could not be compared yet, at the last comparison.", registry=REGISTRY
)
DONE = Gauge(
    "picante_cloud_reconciliation_time_seconds", "Unix time of the end of the last hour compared.", registry=REGISTRY
)
for _kind in LOOK:
    FINDINGS.labels(_kind)


class Reconciler:
    """Compares hour by hour. `compare_hours` and `now_s` (Unix time) are what it works with."""

    def __init__(self, compare_hours: Callable[[range, threading.Event], Outcome], now_s: Callable[[], float]) -> None:
        self._compare = compare_hours
        self._now_s = now_s
        self._next: int | None = None
        """The first hour that was not compared in full."""
        self._not_before_s = 0.0
        self._told: dict[Finding, None] = {}

    def work(self, stop: threading.Event) -> None:
        """Work until told to stop. Raises as `compare` does."""
        while not stop.is_set():
            with suppress(Stopped):
                self.look(stop)
            stop.wait(LOOK_S)

    def look(self, stop: threading.Event) -> Outcome | None:
        """Compare the hours that are due; None if there are none."""
        now_s = self._now_s()
        end = closed_hours(int(now_s * 1000), 0).stop
        first = max(end - FIRST_HOURS if self._next is None else self._next, end - LONGEST_HOURS)
        if first >= end or now_s < self._not_before_s:
            return None
        outcome = self._compare(range(first, end), stop)
        self._tell(outcome)
        waits = bool(outcome.report.waiting)
        self._next, self._not_before_s = (first if waits else end), (now_s + AGAIN_S if waits else 0.0)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        WAITING.set(len(outcome.report.waiting))
        DONE.set(outcome.hours.stop * 3600)
        for finding in outcome.report.findings:
            if finding not in self._told:
                self._told[finding] = None
                FINDINGS.labels(finding.kind).inc()
                where = f"{hour_text(finding.hour)}, {finding.source or 'unknown source'}"
                log.error("Disagreement in %s: %s. %s", where, finding.what, LOOK[finding.kind])
        while len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]


async def run(config: CloudConfig) -> None:
    """The part of `picante cloud run`. Raises SinkUnavailable, SinkRefused, ConfigError."""
    reconciler = Reconciler(lambda hours, stop: compare(config, hours, stop), time.time)
    await in_thread("reconciliation", reconciler.work)
