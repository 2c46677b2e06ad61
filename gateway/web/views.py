"""Events, profiles, picks and the way to Kafka -> what the API answers. Reading alone; nothing here writes or waits."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway import customers
from gateway.picks import Slate
from gateway.state import GatewayState
from gateway.transaction import read_profile
from gateway.web import reads
from gateway.web.answers import (
    BucketView,
    Digests,
    FlavourView,
    HeatAt,
    LatestView,
    PicksView,
    ProfileView,
    RankedPick,
    StateView,
    SyncView,
    WindowView,
)
from gateway.web.watch import Watch
from heat.events import read_data
from heat.identity import EventId
from heat.reading import HeatState, Reading
from heat.scale import shu


def heat_at(milli_octaves: int) -> HeatAt:
    """A heat on both scales."""
    return HeatAt(milli_octaves=milli_octaves, shu=shu(milli_octaves))


# -- events ---------------------------------------------------------------------------------------------------------


def event(row: reads.Row) -> dict[str, Any]:
    """A row as `answers.EventView`, the stored JSON passed through as it is."""
    view: dict[str, Any] = {
        "position": row.position,
        "id": str(EventId(row.source, row.generation, row.sequence)),
        "type": row.type,
        "source": row.source,
        "subject": row.subject,
        "time": reads.moment(row.time_ms),
        "day": row.day,
        "clock": row.clock,
    }
    if row.reason is None and row.type is not None and read_data(row.type, row.data) is not None:
        return view | {"data": msgspec.Raw(row.data)}
    if row.reason is None:
        return view | {"refusal": {"reason": "damaged", "detail": "its data are no such event"}}
    return view | {"refusal": {"reason": row.reason, "detail": row.detail or ""}}


# -- profiles and picks ---------------------------------------------------------------------------------------------


def profile_view(state: GatewayState, subject: str) -> ProfileView | None:
    """A subject's profile as of now, or None if there is nothing."""
    profile = read_profile(state.reader, subject)
    latest = reads.latest(state.reader, subject)
    if not profile.buckets and latest is None:
        return None
    today = state.clock.now().day
    reading = customers.reading(state.reader, [subject], today, state.recommender.prior)
    buckets, flavours = profile.rows()
    return ProfileView(
        subject=subject,
        day=today,
        evidence=reading.evidence,
        state=_state(reading.state),
        windows=_windows(reading),
        flavours=reading.flavours,
        latest=LatestView(sauce=latest[0], verdict=latest[1]) if latest else None,
        buckets=[BucketView.model_validate(msgspec.structs.asdict(row)) for row in buckets],
        flavour_rows=[FlavourView.model_validate(msgspec.structs.asdict(row)) for row in flavours],
        digest=Digests(all=profile.digest(), own=profile.digest(state.config.gateway.id)),
    )


def picks_view(state: GatewayState, dispenser: str, subject: str | None, slate: Slate) -> PicksView:
    """What would be shown, and why."""
    return PicksView(
        dispenser=dispenser,
        subject=subject,
        ranker=state.recommender.ranker.name,
        state=_state(slate.reading.state),
        candidates=len(slate.menu),
        picks=[
            RankedPick(
                slot=slot,
                nozzle=slate.nozzles[pick.sauce.id],
                sauce=pick.sauce.id,
                name=pick.sauce.name,
                milli_octaves=pick.sauce.heat.milli_octaves,
                shu=pick.sauce.shu,
                score=pick.score,
                propensity=pick.propensity,
                why=pick.why,
            )
            for slot, pick in enumerate(slate.chosen.picks, 1)
        ],
    )


def _state(state: HeatState) -> StateView:
    return StateView(mean=heat_at(state.mean_mo), sd_milli_octaves=state.sd_mo, tolerance=heat_at(state.tolerance_mo))


def _windows(reading: Reading) -> list[WindowView]:
    return [
        WindowView(
            days=window.days,
            pours=window.pours,
            mean=None if window.mean_mo is None else heat_at(window.mean_mo),
        )
        for window in reading.windows
    ]


# -- the way to Kafka -----------------------------------------------------------------------------------------------


def sync_view(state: GatewayState, watch: Watch) -> SyncView:
    """The outbox and the uplink."""
    backlog, now = reads.backlog(state.reader), state.clock.now()
    age_s = None if backlog.oldest_ms is None or not now.known else max(now.wall_ms - backlog.oldest_ms, 0) // 1000
    outbox: dict[str, Any] = {
        "stored": backlog.stored,
        "confirmed": backlog.confirmed,
        "pending": backlog.pending,
        "oldest_age_s": age_s,
        "waits_for_time": backlog.waits_for_time,
    }
    if state.uplink is None:
        return SyncView(mode="off", state="off", since=None, epoch=reads.epoch(state.reader), **outbox)
    status = state.uplink.status
    return SyncView(
        mode=status.position_kept_by,
        state=status.state,
        since=watch.uplink_since(),
        in_flight=status.in_flight,
        transactions=status.transactions,
        sent=status.sent,
        dead_letters=status.dead_letters,
        redelivered=status.redelivered,
        failures=status.failures,
        refusals=status.refusals,
        last_error=status.last_error,
        foreign_instance=status.foreign_instance,
        instance=state.uplink.instance,
        epoch=status.epoch or reads.epoch(state.reader),
        **outbox,
    )
