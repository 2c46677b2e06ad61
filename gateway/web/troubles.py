"""Everything that may be wrong, as one list, with what to do about it beside each entry; the worst first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.clock import DAY_MS, HOUR_MS
from gateway.quarantine import Quarantined
from gateway.space import Full
from gateway.state import GatewayState
from gateway.strangers import FOR_WANT_OF_A_KEY
from gateway.web import reads
from gateway.web.adoption_troubles import adoption_troubles
from gateway.web.answers import SyncView
from gateway.web.bottle_troubles import bottle_troubles
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import titled
from gateway.web.glance import Trouble
from gateway.web.limit_troubles import limit_troubles
from gateway.web.port_troubles import port_troubles, tells_of_itself
from gateway.web.sensor_troubles import sensor_troubles
from gateway.web.watch import Watch

SETTLING_S = 10.0
"""s after the start in which dispensers, Kafka and the broker may still be on their way."""
FULL_SHARE = 0.9
"""Share of the store's quota above which it is told of."""
LOSS_TOLD_MS = DAY_MS
"""ms for which lost events are told of: a technician looks once a day at most."""
DISK_LOW_BYTES = 200 * 1024 * 1024
"""Bytes; a disk with less left is told of."""
FAILED_COMMAND_MS = HOUR_MS
"""ms for which a failed command is told of, unless another one to its dispenser ends well before."""
NAMED = 3
"""Commands, or dispensers, that are named in a warning."""

_TURNED_AWAY = {
    "version": ("it speaks another version of the protocol", "Update its firmware, or this gateway"),
    "malformed": ("what it says of itself makes no sense", "Update its firmware; if it stays so, replace it"),
    "stale_ring": ("its memory was set back", "It starts anew by itself; if it stays so, clear its memory"),
    "replaced": ("another dispenser has its name and key", "Give one of the two another name and another key"),
}


def troubles(state: GatewayState, watch: Watch, dispensers: list[DispenserView], sync: SyncView) -> list[Trouble]:
    """The list."""
    found = [
        *_of_store(state),
        *_of_clock(state),
        *_of_parts(state, watch),
        *_of_sync(state, sync),
        *_of_links(state),
        *adoption_troubles(state, dispensers),
        *_of_dispensers(state, dispensers),
        *_of_home(state),
        *_of_rings(state),
        *_of_ports(state, dispensers),
        *_of_commands(state),
        *_of_model(state),
        *_of_releases(state),
        *sensor_troubles(state, dispensers),
        *bottle_troubles(dispensers),
        *limit_troubles(state),
    ]
    return sorted(found, key=lambda trouble: not trouble.urgent)


def _of_store(state: GatewayState) -> Iterator[Trouble]:
    store = state.store
    if store.broken is not None:
        yield _urgent("store_broken", "The store is broken: nothing is taken in", str(store.broken))
    if store.full is not None:
        yield _full(store.full, store.settings.data_dir)
    elif (share := reads.used_bytes(state.reader) / store.settings.quota_bytes) > FULL_SHARE:
        fix = "Let Kafka take what waits, or raise quota_mb in gateway.toml"
        yield _urgent("store_filling", f"The store is {share:.0%} full", fix)
    for aside in store.quarantined:
        if Path(aside.directory).exists():
            yield _set_aside(aside)
    free = shutil.disk_usage(store.settings.data_dir).free
    if free < DISK_LOW_BYTES:
        yield _urgent("disk_low", f"The disk has {free // 1024**2} MB left", "Delete what is not needed")


def _full(full: Full, data_dir: Path) -> Trouble:
    why, fix = {
        "disk": ("no space is left on its disk", f"Delete what is not needed on the disk of {data_dir}"),
        "quota": ("it has used up its quota", "Let Kafka take what waits, or raise quota_mb in gateway.toml"),
    }[full.of]
    return Trouble(
        code="store_full",
        urgent=True,
        what=f"The store is full: {why}. Dispensers keep their events, and picks go on",
        fix=f"{fix}; it ends by itself when there is room",
        since=reads.moment(full.since * 1000),
    )


def _set_aside(aside: Quarantined) -> Trouble:
    if aside.part == "journal":
        what = "The database's journal was damaged: its last commits are lost"
    elif aside.lost is None:
        what = "The database was damaged, and a new one begun: what Kafka did not have is lost to it"
    else:
        what = f"The database was damaged, and a new one begun: {aside.lost:,} events at most had not reached Kafka"
    return Trouble(
        code="store_quarantined",
        urgent=True,
        what=what,
        fix=f"Copy {aside.directory} away for salvage, then delete it; change the disk if this happens again",
        since=reads.moment(aside.time * 1000),
    )


def _of_clock(state: GatewayState) -> Iterator[Trouble]:
    now, doubt = state.clock.now(), state.clock.doubt
    if doubt is not None:
        off = _span(abs(doubt.off_ms))
        if state.clock.offset_ms is not None:
            what = f"The clock jumped {'ahead' if doubt.off_ms > 0 else 'back'} by {off}"
        elif doubt.off_ms > 0:
            what = "The clock is more than half a year ahead of the newest event"
        else:
            what = f"The clock is {off} behind the newest event"
        yield _urgent(
            "clock_jumped",
            f"{what}: it is not believed yet",
            f"If it is wrong, set it, or let the network do so. If it is right, touch {_word(state)}: that is the"
            f" network's word. Events wait; in {_span(max(doubt.until_ms - now.boot_ms, 0))} it is believed anyway",
        )
    elif (waits_ms := state.clock.waits_ms()) is not None:
        events = f"wait for it, {_span(waits_ms)} at most" if waits_ms else "go up without a sure day"
        by_hand = "set its clock" if state.config.clock.trust == "system" else f"set its clock and touch {_word(state)}"
        fix = f"Connect the gateway to a network once, or {by_hand}; events {events}"
        yield _urgent("clock_unknown", "The gateway does not know what time it is", fix)


def _word(state: GatewayState) -> Path:
    """The file whose touch says that the clock is right."""
    return state.config.path(state.config.clock.synchronised)


def _span(ms: int) -> str:
    """A time in the two or so digits that a person wants, to the nearest."""
    for unit, long in (("days", DAY_MS), ("hours", HOUR_MS), ("minutes", 60_000)):
        if ms >= 2 * long:
            return f"{(ms + long // 2) // long} {unit}"
    return f"{-(-ms // 1000)} s"


def _of_dispensers(state: GatewayState, dispensers: list[DispenserView]) -> Iterator[Trouble]:
    if state.up_s < SETTLING_S:
        return
    for dispenser in dispensers:
        if dispenser.adopted and not dispenser.online and dispenser.waiting is None:
            yield Trouble(
                code="dispenser_offline",
                urgent=True,
                what=f"{titled(dispenser)} is offline",
                fix=_way(dispenser.link or ""),
                since=dispenser.since,
            )


def _of_home(state: GatewayState) -> Iterator[Trouble]:
    if state.untold:
        who = ", ".join(sorted(state.untold)[:NAMED]) + (" and more" if len(state.untold) > NAMED else "")
        fix = "It says that it has more nozzles than any: have it say HELLO again, or update its firmware"
        yield _later("home_untold", f"Home Assistant is not told of {who}: it would be too much at once", fix)


def _of_rings(state: GatewayState) -> Iterator[Trouble]:
    for loss in reads.losses(state.reader):
        if time.time() * 1000 - loss.last_ms < LOSS_TOLD_MS:
            yield Trouble(
                code="events_lost",
                urgent=False,
                what=f"{loss.dispenser} lost {loss.events:,} events: its memory was full before they got here",
                fix="They can't be had again. Find out why it was offline for so long, or give it a larger memory",
                since=reads.moment(loss.last_ms),
            )


def _of_ports(state: GatewayState, dispensers: list[DispenserView]) -> list[Trouble]:
    if state.up_s < SETTLING_S:
        return []
    offline = {dispenser.link for dispenser in dispensers if not dispenser.online and dispenser.link}
    return list(port_troubles(state, offline))


def _way(link: str) -> str:
    if not link:
        return "It has never been here: plug it in, or take it out of the provisioning file, and forget it"
    if link.startswith("mqtt:"):
        return "Check its power and its network"
    return f"Check its power and its cable ({link.rpartition('/')[2]})"


def _of_links(state: GatewayState) -> Iterator[Trouble]:
    for link in state.links:
        rejected = link.session.counters.rejected
        reason = list(rejected)[-1] if rejected and not link.open else None
        if reason is not None and reason not in FOR_WANT_OF_A_KEY:  # they are told of by name
            why, fix = _TURNED_AWAY.get(reason, (reason, "See the daemon's log"))
            yield _urgent("dispenser_turned_away", f"The dispenser on {link.name} is turned away: {why}", fix)


def _of_parts(state: GatewayState, watch: Watch) -> Iterator[Trouble]:
    for part in state.supervisor.parts.values():
        if part.name == "uplink" and (part.state != "stopped" or _is_foreign(state)):
            continue  # it tells of itself
        if part.name == "downlink" and part.state != "stopped" and _is_cut_off(state):
            continue  # the uplink tells why
        if tells_of_itself(state, part.name):
            continue
        if part.state == "stopped" or (part.state == "waiting" and watch.failing(part.name)):
            what, fix = _split(part.error or f"{part.name} failed")
            yield Trouble(
                code="part_stopped" if part.state == "stopped" else "part_failing",
                urgent=True,
                what=what,
                fix=fix or "It is tried again every few seconds",
                since=reads.moment(part.since * 1000),
            )


def _of_releases(state: GatewayState) -> Iterator[Trouble]:
    for one in state.releases.report():
        if one.state == "refused":
            what = f"{one.kind.capitalize()} {one.number}, released for {one.target}, is refused: {one.detail}"
            yield _later("release_refused", what, "Release one that is mended, or withdraw it: picante cloud release")


def _is_cut_off(state: GatewayState) -> bool:
    return state.uplink is not None and state.uplink.status.state in {"unreachable", "refused"}


def _is_foreign(state: GatewayState) -> bool:
    return state.uplink is not None and state.uplink.status.state == "foreign"


def _of_sync(state: GatewayState, sync: SyncView) -> Iterator[Trouble]:
    if sync.state == "foreign":
        what, fix = _split(sync.last_error or "")
        yield Trouble(
            code="sync_foreign", urgent=True, what=f"Nothing goes to Kafka: {what}", fix=fix, since=sync.since
        )
        return
    if sync.state == "refused":
        what, fix = _split(sync.last_error or "")
        yield Trouble(
            code="sync_refused", urgent=True, what=f"Nothing goes to Kafka: {what}", fix=fix, since=sync.since
        )
        return
    if sync.state in {"idle", "draining"} and state.uplink is not None and state.uplink.pulse.last_error is not None:
        what, fix = _split(state.uplink.pulse.last_error)
        yield _later("heartbeat_failing", f"The cloud is not told how this gateway is: {what}", fix)
    still_looking = sync.state == "connecting" and state.up_s > 2 * SETTLING_S
    if (sync.state == "unreachable" or still_looking) and state.config.kafka is not None:
        yield Trouble(
            code="sync_unreachable",
            urgent=True,
            what="Kafka can't be reached; events are kept here",
            fix=f"Check the network, and bootstrap ({state.config.kafka.bootstrap}) and tls of [kafka] in gateway.toml",
            since=sync.since,
        )


def _of_commands(state: GatewayState) -> Iterator[Trouble]:
    """One warning for all: of each dispenser the command that has no answer, or else the last one if it failed."""
    commands, now_ms = state.commands, state.clock.now().wall_ms
    failed = {
        name: order for name, order in commands.unhappy.items() if now_ms - (order.ended_ms or 0) < FAILED_COMMAND_MS
    }
    orders = failed | {order.dispenser: order for order in commands.unanswered()}
    if orders:
        told = [f"{order.verb} at {name} ({order.state})" for name, order in sorted(orders.items())]
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        fix = f"picante dispensers commands {min(orders)} says why; give it again if it should be done"
        yield _later("command_failed", f"Commands that failed, or have no answer: {', '.join(told[:NAMED])}{more}", fix)


def _of_model(state: GatewayState) -> Iterator[Trouble]:
    if state.model_error is not None:
        error, ranker = state.model_error, state.recommender.ranker
        how = "by rule" if ranker.scorer == "rule" else f"with {ranker.name}"
        yield _later("model_fallback", f"Picks are made {how}: {error.args[0]}", error.hint)


def _split(error: str) -> tuple[str, str]:
    """What happened and what to do, out of an error's text (`heat.errors` writes the hint last)."""
    what, _, fix = error.partition(". ")
    return what.rstrip("."), fix


def _urgent(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=True, what=what, fix=fix)


def _later(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=False, what=what, fix=fix)
