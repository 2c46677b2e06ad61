"""The list of troubles, as far as it tells of dispensers that wait to be let in, and of the file that lets them in."""

from __future__ import annotations

import time
from collections.abc import Iterator

from firmware_bridge.verbs import SetPlanogram
from gateway.state import GatewayState
from gateway.strangers import Stranger
from gateway.web import reads
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import titled, waiting_view
from gateway.web.glance import Trouble

HEARD_S = 60.0
"""s; one that was silent for longer was taken away. A dispenser that is turned away tries again within 8 s."""
TOLD = 8
"""Dispensers that are told of one by one."""


def adoption_troubles(state: GatewayState, dispensers: list[DispenserView]) -> Iterator[Trouble]:
    """The entries; of dispensers that wait, the dispenser that came last first."""
    now_s = time.monotonic()
    waiting = [stranger for stranger in state.dispensers.strangers if now_s - stranger.last_s < HEARD_S]
    waiting.sort(key=lambda stranger: stranger.first_seen, reverse=True)
    yield from (_waits(state, stranger) for stranger in waiting[:TOLD])
    if more := waiting[TOLD:]:
        yield Trouble(
            code="dispensers_wait",
            urgent=True,
            what=f"{len(more)} more dispensers wait to be let in",
            fix="picante dispensers list names them; a fleet adopts itself by a provisioning file",
        )
    yield from (_differs(dispenser) for dispenser in dispensers if _should_differ_no_more(state, dispenser))
    for dispenser in dispensers:
        if state.adoption.is_stubborn(dispenser.name, bytes):
            yield Trouble(
                code="key_not_taken",
                urgent=False,
                what=f"{titled(dispenser)} does not take its new key; the old one counts",
                fix=f"picante dispensers commands {dispenser.name} tells what it says to that; update its firmware",
            )
    provisioning = state.provisioning
    if provisioning is not None and provisioning.error is not None:
        yield Trouble(
            code="provisioning_invalid",
            urgent=False,
            what=f"The provisioning file can't be read, and the one before counts: {provisioning.error.args[0]}",
            fix=provisioning.error.hint,
        )


def _waits(state: GatewayState, stranger: Stranger) -> Trouble:
    told, name, link = waiting_view(state, stranger), stranger.hello.dispenser, stranger.link
    since = reads.moment(stranger.first_seen * 1000)
    if state.dispensers.keyring.is_adopted(name):
        what = f"The dispenser {name} on {link} is turned away: {told.why}"
        return Trouble(code="dispenser_turned_away", urgent=True, what=what, fix=told.do, since=since)
    what = f"{name} on {link} waits to be adopted: {told.why}"
    return Trouble(code="dispenser_unadopted", urgent=True, what=what, fix=told.do, since=since)


def _should_differ_no_more(state: GatewayState, dispenser: DispenserView) -> bool:
    known = state.dispensers.known.get(dispenser.name)
    if known is None or known.link is None or not any(nozzle.planned for nozzle in dispenser.nozzles):
        return False
    return known.link.session.version < 2 or state.adoption.is_stubborn(dispenser.name, SetPlanogram)


def _differs(dispenser: DispenserView) -> Trouble:
    differing = [nozzle for nozzle in dispenser.nozzles if nozzle.planned]
    on = ", ".join(f"{nozzle.planned} on nozzle {nozzle.nozzle}" for nozzle in differing)
    return Trouble(
        code="planogram_differs",
        urgent=False,
        what=f"{titled(dispenser)} was planned to have {on}, and does not say so",
        fix=f"Set it there by hand, or plan what it has: picante dispensers planogram {dispenser.name} "
        + " ".join(f"{nozzle.nozzle}={nozzle.sauce}" for nozzle in differing),
    )
