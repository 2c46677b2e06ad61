"""Dispensers as the database, their links and their sensors have them -> what the API answers. Reading alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.messages import PickInfo
from gateway.picks import Shown
from gateway.state import GatewayState
from gateway.strangers import Stranger
from gateway.web import reads
from gateway.web.answers import HeatAt, ScreenPick
from gateway.web.dispenser_answers import DispenserView, NozzleView, ShownView, WaitingView
from gateway.web.readings import flaws, forecast_view, gauged_ml, readings_view
from gateway.web.reads import StoredDispenser
from gateway.web.watch import Watch
from heat.scale import shu

TOLD = 500
"""Dispensers that are told of though they have never come."""
AT_ONCE = 10
"""Dispensers that are looked at without a pause: 1.5 ms on a PC, 7 ms on a Pi. A customer's question comes between."""


@dataclass(frozen=True, slots=True)
class Known:
    """What tells of a dispenser: a row, a HELLO that was turned away; neither of one that never came."""

    name: str
    stored: StoredDispenser | None = None
    stranger: Stranger | None = None

    @property
    def nozzles(self) -> list[tuple[int, str, int]]:
        """(nozzle, sauce, level in ml), as its last HELLO said."""
        if self.stored is not None:
            return self.stored.nozzles
        if self.stranger is None:
            return []
        return [(each.nozzle, each.sauce, each.level_ml) for each in self.stranger.hello.nozzles]


def batched(known: Sequence[Known]) -> Iterator[Sequence[Known]]:
    """As many as are looked at in one go."""
    return (known[first : first + AT_ONCE] for first in range(0, len(known), AT_ONCE))


def dispenser_views(state: GatewayState, watch: Watch, ones: Iterable[Known] | None = None) -> list[DispenserView]:
    """All dispensers, or these: what the database has, and what this daemon knows of them itself."""
    screens = {shown.dispenser: shown for shown in state.recommender.recent}  # the newest of each stays
    return [_view(state, watch, one, screens) for one in (everybody(state) if ones is None else ones)]


def dispenser_view(state: GatewayState, watch: Watch, dispenser: str) -> DispenserView | None:
    """One of them."""
    stored, stranger = reads.dispenser(state.reader, dispenser), state.dispensers.strangers.get(dispenser)
    if stored is None and stranger is None and dispenser not in _expected(state):
        return None
    return dispenser_views(state, watch, [Known(dispenser, stored, stranger)])[0]


def everybody(state: GatewayState) -> list[Known]:
    """All dispensers by name: those of the database, those that wait, and those that are adopted and never came."""
    strangers = state.dispensers.strangers
    found = {
        stored.name: Known(stored.name, stored, strangers.get(stored.name)) for stored in reads.dispensers(state.reader)
    }
    for stranger in strangers:
        found.setdefault(stranger.hello.dispenser, Known(stranger.hello.dispenser, None, stranger))
    for name in _expected(state):
        found.setdefault(name, Known(name))
    return sorted(found.values(), key=lambda one: one.name)


def titled(dispenser: DispenserView) -> str:
    """A dispenser in a sentence: by the name that people gave it, and its id."""
    return dispenser.name if dispenser.label is None else f"{dispenser.label} ({dispenser.name})"


def _view(state: GatewayState, watch: Watch, one: Known, screens: Mapping[str, Shown]) -> DispenserView:
    if one.stored is not None:
        return _met(state, watch, one.stored, one.stranger, screens.get(one.name))
    return _absent(state, one.name) if one.stranger is None else _stranger(state, watch, one.stranger)


def _met(
    state: GatewayState, watch: Watch, stored: StoredDispenser, stranger: Stranger | None, screen: Shown | None
) -> DispenserView:
    known = state.dispensers.known.get(stored.name)
    link = known.link if known else None
    lost_ms = state.started * 1000 if stored.lost_ms is None else stored.lost_ms
    return DispenserView(
        name=stored.name,
        label=state.plans.of(stored.name).name,
        adopted=state.dispensers.keyring.is_adopted(stored.name),
        waiting=waiting_view(state, stranger) if stranger else None,
        rotating=state.dispensers.keyring.pending(stored.name) is not None,
        hardware=known.hello.hardware if known else None,
        online=known is not None and known.online,
        link=link.name if link else stored.link,
        since=reads.moment(known.since * 1000 if known else lost_ms),
        firmware=stored.firmware,
        generation=f"{stored.generation:08x}",
        openings=known.openings if known else 0,
        events=known.events if known else 0,
        nozzles=[_nozzle(state, watch, stored.name, *row) for row in stored.nozzles],
        screen=shown_view(state, screen) if screen else None,
        readings=readings_view(state, stored.name),
        pours_today=watch.today.pours(stored.name),
        errors_last_hour=watch.hour.count(link.name if link else stored.link),
    )


def _stranger(state: GatewayState, watch: Watch, stranger: Stranger) -> DispenserView:
    hello = stranger.hello
    return DispenserView(
        name=hello.dispenser,
        label=state.plans.of(hello.dispenser).name,
        adopted=state.dispensers.keyring.is_adopted(hello.dispenser),
        waiting=waiting_view(state, stranger),
        hardware=hello.hardware,
        online=False,
        link=stranger.link,
        since=reads.moment(stranger.last_seen * 1000),
        firmware=hello.firmware,
        generation=f"{hello.generation:08x}",
        openings=0,
        events=0,
        nozzles=[
            _nozzle(state, watch, hello.dispenser, nozzle.nozzle, nozzle.sauce, nozzle.level_ml)
            for nozzle in hello.nozzles
        ],
        screen=None,
        errors_last_hour=watch.hour.count(stranger.link),
    )


def _expected(state: GatewayState) -> list[str]:
    """Who was adopted here, by hand or by a file, and may never have come."""
    fleet = [] if state.provisioning is None else list(state.provisioning.fleet.dispensers)
    return [*state.dispensers.keyring.kept, *fleet][:TOLD]


def _absent(state: GatewayState, dispenser: str) -> DispenserView:
    return DispenserView(
        name=dispenser,
        label=state.plans.of(dispenser).name,
        online=False,
        link=None,
        since=reads.moment(state.started * 1000),
        firmware="",
        generation="",
        openings=0,
        events=0,
        nozzles=[],
        screen=None,
    )


def waiting_view(state: GatewayState, stranger: Stranger) -> WaitingView:
    """Why it waits, and what to do about it."""
    why, do = state.adoption.advice(stranger)
    return WaitingView(
        reason=stranger.reason,
        why=why,
        do=do,
        first_seen=reads.moment(stranger.first_seen * 1000),
        times=stranger.times,
    )


def _nozzle(state: GatewayState, watch: Watch, dispenser: str, nozzle: int, sauce_id: str, level_ml: int) -> NozzleView:
    sauce = state.catalog.get(sauce_id)
    planned = state.plans.of(dispenser).planogram.get(nozzle)
    counted_ml = level_ml if (now := watch.levels.level_ml(dispenser, nozzle)) is None else now
    read_ml = gauged_ml(state, dispenser, nozzle)
    return NozzleView(
        nozzle=nozzle,
        sauce=sauce_id,
        name=sauce.name if sauce else sauce_id,
        heat=HeatAt(milli_octaves=sauce.heat.milli_octaves, shu=sauce.shu) if sauce else None,
        level_ml=counted_ml if read_ml is None else read_ml,
        level_from="count" if read_ml is None else "sensor",
        counted_ml=counted_ml,
        flaws=flaws(state, dispenser, nozzle),
        planned=planned if planned != sauce_id else None,
        empty_in=forecast_view(state, dispenser, nozzle),
    )


def shown_view(state: GatewayState, shown: Shown) -> ShownView:
    """Picks that were shown."""
    return ShownView(
        time=reads.moment(shown.time_ms),
        dispenser=shown.dispenser,
        subject=shown.subject,
        pick_id=shown.pick_id,
        latency_us=shown.latency_us,
        picks=[
            ScreenPick(
                nozzle=pick.nozzle,
                sauce=pick.sauce,
                name=pick.name,
                milli_octaves=pick.milli_octaves,
                shu=_label_shu(state, pick),
                why=pick.why,
            )
            for pick in shown.picks
        ],
    )


def _label_shu(state: GatewayState, pick: PickInfo) -> int:
    """What the label says; rounding to milli-octaves and back would say 6,501 for 6,500."""
    sauce = state.catalog.get(pick.sauce)
    return sauce.shu if sauce is not None else shu(pick.milli_octaves)
