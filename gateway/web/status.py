"""The gateway at a glance: what the page, `/api/v1/status` and the event streams tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version

from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import SyncView
from gateway.web.dispenser_views import shown_view
from gateway.web.glance import Counts, GatewayView, PickTimes, Status, Told
from gateway.web.language import language
from gateway.web.repairs.answers import repair_view
from gateway.web.repairs.board import Board
from gateway.web.sentences import tell
from gateway.web.watch import Watch
from heat.events import Impression, Sampled

EVENTS = 14
"""Sentences told."""
ROWS = 60
"""Rows looked through for them: about every third event of a busy evening is an impression."""
PICKS = 8
_UNTOLD = {Impression.type, Sampled.type}
"""They are told elsewhere on the page, or are for the cloud alone."""
VERSION = version("picante")


def snapshot(state: GatewayState, watch: Watch, board: Board) -> Status:
    """Everything as it is now."""
    repairs, (dispensers, sync) = board.repairs, board.views
    recent = state.recommender.recent
    return Status(
        now=reads.moment(time.time() * 1000),
        gateway=_gateway(state),
        repairs=[repair_view(repair, language("en")) for repair in repairs],
        counts=_counts(state, sync),
        dispensers=dispensers,
        times=pick_times(state),
        picks=[shown_view(state, shown) for shown in list(recent)[: -PICKS - 1 : -1]],
        events=_events(state),
        sync=sync,
        backlog=list(watch.pending),
    )


def pick_times(state: GatewayState) -> PickTimes:
    """How long the last picks took."""
    return _quantiles([shown.latency_us for shown in state.recommender.recent])


def _gateway(state: GatewayState) -> GatewayView:
    section = state.config.gateway
    return GatewayView(
        id=section.id,
        store=section.store,
        region=section.region,
        version=VERSION,
        started=reads.moment(state.started * 1000),
        ranker=state.recommender.ranker.name,
        scorer=state.recommender.ranker.scorer,
        clock_known=state.clock.now().known,
        database_bytes=reads.used_bytes(state.reader),
        quota_bytes=state.store.settings.quota_bytes,
    )


def _counts(state: GatewayState, sync: SyncView) -> Counts:
    counters = state.ingest.counters
    return Counts(
        stored=sync.stored,
        in_kafka=sync.confirmed,
        pending=sync.pending,
        refused=sum(count for outcome, count in counters.items() if outcome.startswith("refused:")),
        duplicates=counters["duplicate"],
        picks_shown=state.recommender.shown,
    )


def _quantiles(latencies_us: Sequence[int]) -> PickTimes:
    if not latencies_us:
        return PickTimes(count=0, p50_us=None, p99_us=None)
    ordered = sorted(latencies_us)
    return PickTimes(
        count=len(ordered),
        p50_us=ordered[len(ordered) // 2],
        p99_us=ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)],
    )


def _events(state: GatewayState) -> list[Told]:
    rows = (row for row in reads.last_rows(state.reader, ROWS) if row.type not in _UNTOLD)
    return [tell(row, state.catalog) for row, _ in zip(rows, range(EVENTS), strict=False)]
