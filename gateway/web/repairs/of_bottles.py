"""Bottles that are empty, or will be soon, that must not be poured from, and sauces that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.lots import Bottle
from gateway.state import GatewayState
from gateway.web.dispenser_answers import DispenserView, ForecastView, NozzleView
from gateway.web.language import Amount, Span, Text
from gateway.web.repairs.repair import Fix, Repair

LOW_ML = 60
"""ml; a busy evening pours so much of one sauce."""
SOON_H = 6.0
"""h before a bottle is empty from which on that is told."""


def bottle_repairs(dispensers: list[DispenserView]) -> Iterator[Repair]:
    """The list."""
    for dispenser in dispensers:
        for nozzle in dispenser.nozzles if dispenser.online else []:
            if not _is_well(nozzle):  # of 2,400 nearly all are, and have no words made of them
                yield from _of_nozzle(dispenser.name, nozzle)


def _is_well(nozzle: NozzleView) -> bool:
    ends = nozzle.empty_in is not None and nozzle.empty_in.hours <= SOON_H
    return nozzle.heat is not None and nozzle.level_ml > LOW_ML and not ends


def unfit_repairs(state: GatewayState) -> Iterator[Repair]:
    """Bottles past their date, or of a lot that was recalled. `state.lots` has them, wherever their dispensers are."""
    for bottle in state.lots.hanging:
        if (why := state.lots.unfit(bottle)) is None:
            continue
        known = state.catalog.get(bottle.sauce)
        values = {
            "sauce": known.name if known else bottle.sauce,
            "nozzle": bottle.nozzle,
            "dispenser": bottle.dispenser,
            "lot": bottle.lot,
        }
        page = f"/dispensers/{bottle.dispenser}/nozzles/{bottle.nozzle}/bottle"
        fix = Fix("bottle", Text("Change the bottle"), link=page)
        change = Text("Take the bottle off nozzle {nozzle} of {dispenser}, and put another one on", **values)
        subject = f"{bottle.dispenser}-{bottle.nozzle}"
        if why == "recalled":
            what = Text("{sauce} on nozzle {nozzle} of {dispenser} is of lot {lot}, which was recalled", **values)
            lock = Text("Until then, lock the dispenser: it pours for nobody")
            yield Repair("bottle_recalled", what, (change, lock), subject, fixes=(fix, *_lock(state, bottle)))
        else:
            what = Text("{sauce} on nozzle {nozzle} of {dispenser} is past its date", **values)
            yield Repair("bottle_expired", what, (change,), subject, fixes=(fix,))


def _lock(state: GatewayState, bottle: Bottle) -> tuple[Fix, ...]:
    """A button, where the dispenser is there to be locked."""
    there = state.dispensers.reach(bottle.dispenser) is not None
    return (Fix("lock", Text("Lock the dispenser"), hold=True),) if there else ()


def _of_nozzle(dispenser: str, nozzle: NozzleView) -> Iterator[Repair]:
    values = {"sauce": nozzle.name, "nozzle": nozzle.nozzle, "dispenser": dispenser}
    subject = f"{dispenser}-{nozzle.nozzle}"
    page = (Fix("bottle", Text("Change the bottle"), link=f"/dispensers/{dispenser}/nozzles/{nozzle.nozzle}/bottle"),)
    change = (Text("Put a new bottle on nozzle {nozzle} of {dispenser}", **values),)
    if nozzle.heat is None:
        what = Text("{sauce} on nozzle {nozzle} of {dispenser} is not in the catalogue", **values)
        steps = (Text("Set the nozzle to one of the catalogue's sauces"),)
        plan = (Fix("nozzles", Text("Set the sauce"), link=f"/dispensers/{dispenser}/nozzles"),)
        yield Repair("unknown_sauce", what, steps, subject, fixes=plan)
    elif not nozzle.level_ml:
        yield Repair("bottle_low", Text("{sauce} is empty", **values), change, subject, fixes=page)
    elif nozzle.level_ml <= LOW_ML:
        values["level"] = Amount(nozzle.level_ml, "milliliter")
        if nozzle.empty_in is None:
            what = Text("{sauce} is down to {level}", **values)
        else:
            what = Text("{sauce} is down to {level}, and empty in about {span}", **values, **_when(nozzle.empty_in))
        yield Repair("bottle_low", what, change, subject, fixes=page)
    elif nozzle.empty_in is not None and nozzle.empty_in.hours <= SOON_H:
        what = Text(
            "{sauce} will be empty in about {span} ({earliest} to {latest})", **values, **_when(nozzle.empty_in)
        )
        have = (Text("Have a new bottle at hand for nozzle {nozzle} of {dispenser}", **values),)
        yield Repair("bottle_ending", what, have, subject, fixes=page)


def _when(forecast: ForecastView) -> dict[str, Span]:
    """In whole hours, or the page would change at every look."""
    spans = {"span": forecast.hours, "earliest": forecast.earliest_h, "latest": forecast.latest_h}
    return {name: Span(max(round(hours), 1) * 3600) for name, hours in spans.items()}
