"""Dispensers that wait to be let in, what they were told and did not take, and the file that lets them in."""

from __future__ import annotations

import time
from collections.abc import Iterator

from firmware_bridge.verbs import SetPlanogram
from gateway.state import GatewayState
from gateway.strangers import FOR_WANT_OF_A_KEY, Stranger
from gateway.web import reads
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import titled, waiting_view
from gateway.web.hearsay import heard
from gateway.web.language import Listed, Text
from gateway.web.repairs.repair import Fix, Repair

HEARD_S = 60.0
"""s; one that was silent for longer was taken away. A dispenser that is turned away tries again within 8 s."""
TOLD = 8
"""Dispensers that are told of one by one."""
ADOPT = Fix("adopt", Text("Adopt it"))
TELL_AGAIN = Fix("tell", Text("Tell it again"))
AS_IT_IS = Fix("as-it-is", Text("Keep what it has"))
NEW_KEY = Fix("rotate", Text("Send it another key"))


def adoption_repairs(state: GatewayState, dispensers: list[DispenserView]) -> Iterator[Repair]:
    """The entries; of dispensers that wait, the dispenser that came last first."""
    now_s = time.monotonic()
    waiting = [stranger for stranger in state.dispensers.strangers if now_s - stranger.last_s < HEARD_S]
    waiting.sort(key=lambda stranger: stranger.first_seen, reverse=True)
    yield from (_waits(state, stranger) for stranger in waiting[:TOLD])
    if more := len(waiting[TOLD:]):
        what = Text("{n} more dispenser waits to be let in", "{n} more dispensers wait to be let in", n=more)
        steps = (Text("Adopt them on the page of dispensers"), Text("Or have a provisioning file adopt them"))
        yield Repair("dispensers_wait", what, steps, fixes=(Fix("dispensers", Text("Dispensers"), link="/dispensers"),))
    yield from (_differs(dispenser) for dispenser in dispensers if _should_differ_no_more(state, dispenser))
    yield from (_keeps_its_key(one) for one in dispensers if state.adoption.is_stubborn(one.name, bytes))
    provisioning = state.provisioning
    if provisioning is not None and provisioning.error is not None:
        detail = str(provisioning.error.args[0])
        what = Text("The provisioning file can't be read, and the one before counts: {detail}", detail=heard(detail))
        yield Repair("provisioning_invalid", what, (provisioning.error.hint, Text("It is read again by itself")))


def turned_away(state: GatewayState) -> Iterator[Repair]:
    """Dispensers that got a REJECT for another reason than their key."""
    for link in state.links:
        rejected = link.session.counters.rejected
        reason = list(rejected)[-1] if rejected and not link.open else None
        if reason is None or reason in FOR_WANT_OF_A_KEY:  # they are told of by name
            continue
        values = {"port": link.name}
        steps: tuple[Text, ...]
        match reason:
            case "version":
                what = Text(
                    "The dispenser on {port} is turned away: it speaks another version of the protocol", **values
                )
                steps = (Text("Update its firmware, or this gateway"),)
            case "malformed":
                what = Text("The dispenser on {port} is turned away: what it says of itself makes no sense", **values)
                steps = (Text("Update its firmware"), Text("If it stays so, replace it"))
            case "stale_ring":
                what = Text("The dispenser on {port} is turned away: its memory was set back", **values)
                steps = (Text("It starts anew by itself"), Text("If it stays so, clear its memory"))
            case "replaced":
                what = Text("The dispenser on {port} is turned away: another one has its name and key", **values)
                steps = (Text("Give one of the two another name and another key"),)
            case _:
                what = Text("The dispenser on {port} is turned away: {detail}", detail=reason, **values)
                steps = (Text("See the daemon's log"),)
        yield Repair("dispenser_turned_away", what, steps, link.name)


def _waits(state: GatewayState, stranger: Stranger) -> Repair:
    told, name = waiting_view(state, stranger), stranger.hello.dispenser
    values = {"dispenser": name, "port": stranger.link.rpartition("/")[2], "detail": heard(told.why)}
    since = reads.moment(stranger.first_seen * 1000)
    page = Fix("dispenser", Text("Look at it"), link=f"/dispensers/{name}")
    if state.dispensers.keyring.is_adopted(name):
        what = Text("The dispenser {dispenser} on {port} is turned away: {detail}", **values)
        return Repair("dispenser_turned_away", what, (told.do,), name, since, (page,))
    what = Text("{dispenser} on {port} waits to be adopted: {detail}", **values)
    identify = Text("See that it is the one before you")
    if stranger.takes_a_key and stranger.namesake is None:
        return Repair("dispenser_unadopted", what, (identify, told.do), name, since, (ADOPT, page))
    return Repair("dispenser_unadopted", what, (told.do,), name, since, (page,))


def _should_differ_no_more(state: GatewayState, dispenser: DispenserView) -> bool:
    known = state.dispensers.known.get(dispenser.name)
    if known is None or known.link is None or not any(nozzle.planned for nozzle in dispenser.nozzles):
        return False
    return known.link.session.version < 2 or state.adoption.is_stubborn(dispenser.name, SetPlanogram)


def _differs(dispenser: DispenserView) -> Repair:
    differing = [nozzle for nozzle in dispenser.nozzles if nozzle.planned]
    on = tuple(Text("{sauce} on nozzle {nozzle}", sauce=each.planned, nozzle=each.nozzle) for each in differing)
    what = Text(
        "{dispenser} was planned to have {sauces}, and does not say so", dispenser=titled(dispenser), sauces=Listed(on)
    )
    command = f"picante dispensers planogram {dispenser.name} " + " ".join(
        f"{nozzle.nozzle}={nozzle.sauce}" for nozzle in differing
    )
    steps = (Text("Set it there by hand"), Text("Or plan what it has: {command}", command=command))
    return Repair("planogram_differs", what, steps, dispenser.name, fixes=(TELL_AGAIN, AS_IT_IS))


def _keeps_its_key(dispenser: DispenserView) -> Repair:
    what = Text("{dispenser} does not take its new key; the old one counts", dispenser=titled(dispenser))
    steps = (
        Text(
            "{command} tells what it says to that",
            command=f"picante dispensers commands {dispenser.name}",
        ),
        Text("Update its firmware"),
    )
    return Repair("key_not_taken", what, steps, dispenser.name, fixes=(NEW_KEY,))
