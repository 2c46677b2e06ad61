"""The gateway's figures for Prometheus, read when they are asked for.

Labels are bounded: outcomes, reasons and states are closed sets, dispensers are those that have a key, links are at
most `watch.MAX_LABELS` and one for all others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cloud_sync.downlink import State as DownlinkState
from cloud_sync.uplink import State as UplinkState
from firmware_bridge.moves import State as LinkState
from gateway import regulars
from gateway.orders import ENDS, WAITING
from gateway.plausibility import Code
from gateway.samples import OUTCOMES
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.status import VERSION
from gateway.web.watch import MAX_LABELS, Histogram, Watch


class Figures(Collector):
    """Collects everything anew at each scrape."""

    def __init__(self, state: GatewayState, watch: Watch) -> None:
        self._state = state
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """All metric families."""
        self._watch.look()
        for family in (
            self._process,
            self._events,
            self._links,
            self._commands,
            self._picks,
            self._store,
            self._samples,
            self._outbox,
            self._uplink,
            self._downlink,
        ):
            yield from family()

    def _process(self) -> Iterator[Metric]:
        state = self._state
        yield InfoMetricFamily("picante_build", "Version of Picante.", {"version": VERSION})
        yield _gauge("picante_start_time_seconds", "Unix time at which the gateway started.", state.started)
        yield _gauge("picante_clock_known", "1 while the gateway knows what time it is.", state.clock.now().known)
        yield CounterMetricFamily(
            "picante_clock_steps", "Times that the clock was set by more than half a second.", state.clock.steps
        )
        yield _counters(
            "picante_part_restarts", "Failures after which a part was started again.", "part", self._watch.restarts
        )

    def _events(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "picante_events", "Events delivered, by what became of them.", labels=("outcome", "kind")
        )
        for outcome, count in sorted(self._state.ingest.counters.items()):
            family.add_metric(_outcome(outcome), count)
        yield family
        lost = {loss.dispenser: loss.events for loss in reads.losses(self._state.reader)}
        yield _counters("picante_lost_events", "Events that full rings pushed out before they came.", "dispenser", lost)

    def _links(self) -> Iterator[Metric]:
        state = self._state
        known = state.dispensers.known
        yield _gauge(
            "picante_dispensers_online",
            "Dispensers with an open link.",
            sum(d.online for d in known.values()),
        )
        strangers = state.dispensers.strangers
        yield _gauge("picante_dispensers_waiting", "Dispensers that are turned away for want of a key.", len(strangers))
        yield CounterMetricFamily(
            "picante_dispensers_waiting_dropped", "Those of them that had to make way for others.", strangers.dropped
        )
        openings = {name: dispenser.openings for name, dispenser in known.items()}
        yield _counters("picante_link_openings", "Link sessions opened.", "dispenser", openings)
        yield _counters("picante_link_closings", "Link sessions ended.", "reason", state.dispensers.closings)
        links = GaugeMetricFamily("picante_links", "Links by the state of their session.", labels=("state",))
        states = Counter(link.session.state for link in state.links)
        for link_state in LinkState:
            links.add_metric((link_state.value,), states[link_state])
        yield links
        yield _pairs("picante_bad_frames", "Frames and messages that were none.", self._watch.bad.total)
        text = "Dispensers that Home Assistant is not told of: it would be too much at once."
        yield _gauge("picante_home_assistant_untold", text, len(state.untold))
        resends = state.dispensers.resends(state.links)
        yield _counters("picante_link_resends", "Events that were not the next in sequence.", "reason", resends)
        yield _pairs("picante_link_rejections", "HELLOs turned away.", self._watch.rejected.total)

    def _commands(self) -> Iterator[Metric]:
        commands = self._state.commands
        ended: dict[str, int] = {state: commands.ended[state] for state in ENDS}
        yield _counters("picante_commands_ended", "Commands to dispensers that ended.", "state", ended)
        waiting = GaugeMetricFamily("picante_commands_open", "Commands that have not ended.", labels=("state",))
        for state in (*WAITING, "unknown"):
            waiting.add_metric((state,), commands.open[state])  # type: ignore[index]  # of these states
        yield waiting

    def _picks(self) -> Iterator[Metric]:
        recommender = self._state.recommender
        ranker = recommender.ranker
        yield InfoMetricFamily(
            "picante_ranker", "What ranks, and what computes it.", {"ranker": ranker.name, "scorer": ranker.scorer}
        )
        family = CounterMetricFamily(
            "picante_impressions", "Picks shown, and those of them that could not be recorded.", labels=("outcome",)
        )
        family.add_metric(("shown",), recommender.shown)
        family.add_metric(("not_stored",), recommender.not_stored)
        yield family
        failed = CounterMetricFamily(
            "picante_ranker_errors", "Slates that a ranker failed on; another one answered.", labels=("ranker",)
        )
        for name, count in recommender.rankers.errors.most_common(MAX_LABELS):
            failed.add_metric((name,), count)
        yield failed
        text = "Time from the last byte of a question to the first byte of its picks."
        yield _histogram("picante_pick_latency_seconds", text, self._watch.pick_s)

    def _store(self) -> Iterator[Metric]:
        store = self._state.store
        text = "Time of a commit, from the first piece of its work until it was on disk."
        yield _histogram("picante_commit_seconds", text, self._watch.commit_s)
        text = "Time of a commit's COMMIT statement: writing to the WAL and waiting for its fsync, seldom a checkpoint."
        yield _histogram("picante_commit_fsync_seconds", text, self._watch.fsync_s)
        yield CounterMetricFamily(
            "picante_commits", "Commits of the store that changed something.", store.figures.commits
        )
        yield CounterMetricFamily("picante_commit_pieces", "Pieces of work in these commits.", store.figures.pieces)
        yield CounterMetricFamily("picante_store_full", "Refusals for want of space.", store.figures.full)
        yield _gauge("picante_store_broken", "1 once the store failed for good.", store.broken is not None)
        aside = sum(Path(each.directory).exists() for each in store.quarantined)
        yield _gauge("picante_store_quarantined", "Damaged databases and journals that were set aside.", aside)
        yield _gauge("picante_store_bytes", "Bytes of the database in use.", reads.used_bytes(self._state.reader))
        yield _gauge("picante_store_quota_bytes", "Bytes that the database may take.", store.settings.quota_bytes)

    def _samples(self) -> Iterator[Metric]:
        samples = self._state.samples
        counts = {name: samples.counters[name] for name in OUTCOMES}
        counts["dropped"] += samples.file.dropped
        yield _counters("picante_samples", "SAMPLEs of dispensers, by what became of them.", "outcome", counts)
        shed = sum(known.shed for known in samples.readings.values())
        yield _gauge("picante_samples_shed", "SAMPLEs that dispensers have not sent since their boots.", shed)
        yield _gauge("picante_samples_bytes", "Bytes of the file of sensor readings.", samples.file_bytes)
        yield CounterMetricFamily(
            "picante_samples_begun_anew", "Times that a damaged file of readings was deleted.", samples.file.begun_anew
        )
        made = self._state.summaries.made
        yield CounterMetricFamily("picante_summaries", "Hours of dispensers' sensors summed up for the cloud.", made)
        found = Counter(finding.code for findings in samples.findings.values() for finding in findings)
        findings = GaugeMetricFamily("picante_findings", "What the sensors say is wrong, by kind.", labels=("kind",))
        for code in get_args(Code):
            findings.add_metric((code,), found[code])
        yield findings

    def _outbox(self) -> Iterator[Metric]:
        backlog, now = reads.backlog(self._state.reader), self._state.clock.now()
        oldest_ms = backlog.oldest_ms if backlog.oldest_ms is not None and now.known else now.wall_ms
        yield _gauge("picante_outbox_rows", "Rows that are not in Kafka.", backlog.pending)
        yield _gauge(
            "picante_outbox_oldest_age_seconds", "Age of the first of them.", max(now.wall_ms - oldest_ms, 0) / 1000
        )
        yield CounterMetricFamily("picante_outbox_position", "Position of the last row stored.", backlog.stored)
        yield CounterMetricFamily(
            "picante_outbox_confirmed_position", "Position up to which Kafka has all rows.", backlog.confirmed
        )

    def _uplink(self) -> Iterator[Metric]:
        if self._state.uplink is None:
            return
        status = self._state.uplink.status
        text = "Time of a transaction, from its begin until Kafka had committed it."
        yield _histogram("picante_uplink_transaction_seconds", text, self._watch.transaction_s)
        states = {name: name == status.state for name in get_args(UplinkState)}
        yield StateSetMetricFamily("picante_uplink_state", "State of the way to Kafka.", states)
        yield _gauge("picante_uplink_state_seconds", "Time since that state began.", time.monotonic() - status.since_s)
        for name, text, value in (
            ("transactions", "Transactions committed.", status.transactions),
            ("sent", "Records in committed transactions.", status.sent),
            ("dead_letters", "Dead letters among them.", status.dead_letters),
            ("redelivered", "Records among them that Kafka may have had before.", status.redelivered),
            ("failures", "Times that the way broke.", status.failures),
            ("refusals", "Those of them that have to be mended at somebody's credentials.", status.refusals),
        ):
            yield CounterMetricFamily(f"picante_uplink_{name}", text, value)

    def _downlink(self) -> Iterator[Metric]:
        customers, used_bytes = regulars.figures(self._state.reader)
        yield _gauge("picante_regulars", "Customers of whom the cloud told.", customers)
        yield _gauge("picante_regulars_bytes", "Bytes of the store that they take, about.", used_bytes)
        releases = GaugeMetricFamily("picante_release", "Number of what is released to us.", labels=("kind", "state"))
        for one in self._state.releases.report():
            releases.add_metric((one.kind, one.state), one.number)
        yield releases
        if self._state.downlink is None:
            return
        status = self._state.downlink.status
        states = {name: name == status.state for name in get_args(DownlinkState)}
        yield StateSetMetricFamily("picante_downlink_state", "State of the way down from Kafka.", states)
        yield _gauge("picante_downlink_behind", "Offsets up to the ends of the topics.", status.behind)
        for name, text, value in (
            ("records", "Records read.", status.records),
            ("passed_over", "Records among them that made no sense.", status.passed_over),
            ("snapshots", "Partitions that were read anew, whole.", status.snapshots),
            ("failures", "Times that the way broke.", status.failures),
        ):
            yield CounterMetricFamily(f"picante_downlink_{name}", text, value)


def _outcome(outcome: str) -> tuple[str, str]:
    """`ingest`'s outcome as the labels (outcome, kind): an event type means that it was stored."""
    if outcome.startswith("picante."):
        return "stored", outcome.split(".")[1]
    name, _, reason = outcome.partition(":")
    return name, reason


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _counters(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, count in sorted(counts.items()):
        family.add_metric((key,), count)
    return family


def _pairs(name: str, text: str, counts: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=("link", "reason"))
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, text, buckets=histogram.cumulative(), sum_value=histogram.total)
