"""Reconciliation as a part of `picante cloud run`: each hour, a little after it is over.

Where it is it keeps in a file: hours in which Kafka or the process was away are compared later. Hours that a reader has
not passed yet are compared again, for as long as the topics have them. What was found is told once: in the log, and in
the metrics for the rules of Prometheus.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter, Gauge

from cloud.config import CloudConfig
from cloud.metrics import REGISTRY
from cloud.reconciliation.findings import LOOK, Reached, hour_text
from cloud.reconciliation.gathering import MOST_HOURS, Outcome, Stopped, closed_hours, compare
from cloud.reconciliation.kept import Kept, load, save
from cloud.threads import in_thread

log = logging.getLogger("cloud.reconciliation")

LOOK_S = 30.0
"""s between two looks whether an hour is over."""
AGAIN_S = 300.0
"""s, for each hour that waits, after which they are compared again."""
LONGEST_AGAIN_S = 1_800.0
"""s after which they are, however many wait: less than the hour that brings the next."""
FIRST_HOURS = 3
"""Hours that are compared at the very first."""
AT_ONCE_HOURS = 24
"""Hours that are compared at once: so many are in memory."""

FINDINGS = Counter(
    "picante_cloud_reconciliation_findings", "Disagreements found between parts.", ("kind",), registry=REGISTRY
)
WAITING = Gauge("picante_cloud_reconciliation_waiting", "Hours that were not compared in full yet.", registry=REGISTRY)
DONE = Gauge(
    "picante_cloud_reconciliation_time_seconds", "Unix time of the end of the last hour compared.", registry=REGISTRY
)
for _kind in LOOK:
    FINDINGS.labels(_kind)


class Reconciler:
    """Compares hour by hour, and keeps in `directory` how far it is.

    `compare_hours` and `now_s` (Unix time) are what it works with.
    """

    def __init__(
        self,
        compare_hours: Callable[[range, threading.Event, Reached], Outcome],
        now_s: Callable[[], float],
        directory: Path,
    ) -> None:
        self._compare = compare_hours
        self._now_s = now_s
        self._directory = directory
        self._kept: Kept | None = None
        self._not_before_s = 0.0

    def work(self, stop: threading.Event) -> None:
        """Work until told to stop. Raises as `compare` does, and StoreError."""
        while not stop.is_set():
            with suppress(Stopped):
                self.look(stop)
            stop.wait(LOOK_S)

    def look(self, stop: threading.Event) -> Outcome | None:
        """Compare the hours that are due, or a day of them; None if there are none."""
        if self._kept is None:
            self._kept = load(self._directory)
            self._show(self._kept)
        kept, now_s = self._kept, self._now_s()
        hours = self._due(kept, now_s)
        if hours is None:
            return None
        outcome = self._compare(hours, stop, {(name, epoch): end for name, epoch, end in kept.reached})
        self._tell(kept, outcome)
        report = outcome.report
        kept.next_hour = max(kept.next_hour or 0, hours.stop)
        kept.waiting = sorted({*kept.waiting} - {*hours} | {one.hour for one in report.waiting})
        kept.reached = [(*outbox, end) for outbox, end in report.reached.items()]
        save(self._directory, kept)
        self._not_before_s = now_s + min(AGAIN_S * len(kept.waiting), LONGEST_AGAIN_S)
        self._show(kept)
        return outcome

    def _show(self, kept: Kept) -> None:
        WAITING.set(len(kept.waiting))
        DONE.set((kept.next_hour or 0) * 3600)

    def _due(self, kept: Kept, now_s: float) -> range | None:
        """The hours to be compared now: new ones, and else those that wait. Notes what no topic has any more."""
        end = closed_hours(int(now_s * 1000), 0).stop
        oldest = end - MOST_HOURS
        if kept.next_hour is None or kept.next_hour > end + 1:  # somebody's clock was ahead
            kept.next_hour = end - FIRST_HOURS
        if kept.next_hour < oldest:
            log.error("Hours were never compared: %s to %s", hour_text(kept.next_hour), hour_text(oldest))
            kept.next_hour, kept.reached = oldest, []
        if gone := [hour for hour in kept.waiting if hour < oldest]:
            log.error("Hours were never compared in full: %s", ", ".join(map(hour_text, gone)))
            kept.waiting = [hour for hour in kept.waiting if hour >= oldest]
        if kept.next_hour < end:
            return range(kept.next_hour, min(end, kept.next_hour + AT_ONCE_HOURS))
        if kept.waiting and now_s >= self._not_before_s:
            return range(kept.waiting[0], min(kept.waiting[-1] + 1, kept.waiting[0] + AT_ONCE_HOURS))
        return None

    def _tell(self, kept: Kept, outcome: Outcome) -> None:
        told = {*kept.told}
        for finding in outcome.report.findings:
            if finding not in told:
                kept.told.append(finding)
                FINDINGS.labels(finding.kind).inc()
                where = f"{hour_text(finding.hour)}, {finding.source or 'unknown source'}"
                log.error("Disagreement in %s: %s. %s", where, finding.what, LOOK[finding.kind])


async def run(config: CloudConfig) -> None:
    """The part of `picante cloud run`. Raises SinkUnavailable, SinkRefused, ConfigError, StoreError."""
    reconciler = Reconciler(
        lambda hours, stop, reached: compare(config, hours, stop, reached),
        time.time,
        config.path(config.cloud.data_dir),
    )
    await in_thread("reconciliation", reconciler.work)
