"""The list itself: everything that is wrong now, out of the daemon's state and what was read of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import SyncView
from gateway.web.dispenser_answers import DispenserView
from gateway.web.repairs import of_dispensers
from gateway.web.repairs.facts import Facts
from gateway.web.repairs.of_adoption import adoption_repairs, turned_away
from gateway.web.repairs.of_bottles import bottle_repairs, unfit_repairs
from gateway.web.repairs.of_clock import clock_repairs
from gateway.web.repairs.of_machine import FILLS_WITHIN_S, access_repairs, fills, machine_repairs, setup_repairs
from gateway.web.repairs.of_parts import model_repairs, part_repairs, release_repairs
from gateway.web.repairs.of_ports import port_repairs
from gateway.web.repairs.of_sensors import sensor_repairs
from gateway.web.repairs.of_store import store_repairs
from gateway.web.repairs.of_sync import dead_letters, sync_repairs
from gateway.web.repairs.repair import Repair
from gateway.web.watch import Watch

SETTLING_S = 10.0
"""s after the start in which dispensers and ports may still be on their way."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look needs beside the daemon's state."""

    watch: Watch
    dispensers: list[DispenserView]
    sync: SyncView
    facts: Facts | None
    """None until they were read for the first time."""
    downloaded: set[str] = field(default_factory=set)
    """Names of what was set aside and has been taken away."""


def look(state: GatewayState, seen: Seen) -> Iterator[Repair]:
    """The list, in no order that matters; of one key there may be two."""
    settled = state.up_s >= SETTLING_S
    yield from store_repairs(state, seen.downloaded)
    yield from access_repairs(state.access)
    yield from setup_repairs(state.config)
    yield from clock_repairs(state.clock, state.config)
    if seen.facts is not None:
        yield from machine_repairs(seen.facts, _now(state))
    yield from part_repairs(state, seen.watch)
    yield from sync_repairs(state, seen.sync)
    if seen.facts is not None and seen.facts.letters:
        yield dead_letters(seen.facts.letters)
    yield from turned_away(state)
    yield from adoption_repairs(state, seen.dispensers)
    yield from of_dispensers.offline(seen.dispensers) if settled else ()
    yield from of_dispensers.untold(state)
    yield from of_dispensers.lost_events(state)
    if settled:
        yield from port_repairs(state, {one.link for one in seen.dispensers if not one.online and one.link})
    yield from of_dispensers.commands(state)
    yield from model_repairs(state)
    yield from release_repairs(state)
    yield from sensor_repairs(state, seen.dispensers)
    yield from bottle_repairs(seen.dispensers)
    yield from unfit_repairs(state)
    yield from of_dispensers.above_the_limit(state)
    room_s = None if seen.facts is None else seen.facts.room_s
    if room_s is not None and room_s < FILLS_WITHIN_S and seen.sync.state not in {"idle", "draining"}:
        yield fills(room_s)


def _now(state: GatewayState) -> datetime | None:
    now = state.clock.now()
    return reads.moment(now.wall_ms) if now.known else None
