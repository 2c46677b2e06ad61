"""Bottles that are empty, or will be soon, and sauces that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.web.dispenser_answers import DispenserView, ForecastView
from gateway.web.glance import Trouble

LOW_ML = 60
"""ml; a busy evening pours so much of one sauce."""
SOON_H = 6.0
"""h before a bottle is empty from which on that is told."""


def bottle_troubles(dispensers: list[DispenserView]) -> Iterator[Trouble]:
    """The list."""
    for dispenser in dispensers:
        for nozzle in dispenser.nozzles if dispenser.online else []:
            where = f"nozzle {nozzle.nozzle} of {dispenser.name}"
            if nozzle.heat is None:
                fix = "Set the nozzle to one of the catalogue's sauces; meanwhile it is not among the picks"
                yield _urgent("unknown_sauce", f"{nozzle.sauce} on {where} is not in the catalogue", fix)
            elif nozzle.level_ml <= LOW_ML:
                left = f"is down to {nozzle.level_ml} ml" if nozzle.level_ml else "is empty"
                when = f", and empty {_when(nozzle.empty_in)}" if nozzle.empty_in and nozzle.level_ml else ""
                yield _later("bottle_low", f"{nozzle.name} {left}{when}", f"Put a new bottle on {where}")
            elif nozzle.empty_in is not None and nozzle.empty_in.hours <= SOON_H:
                what = f"{nozzle.name} will be empty {_when(nozzle.empty_in)}"
                yield _later("bottle_ending", what, f"Have a new bottle at hand for {where}")


def _when(forecast: ForecastView) -> str:
    span = f"{forecast.earliest_h:.0f} to {forecast.latest_h:.0f}"
    return f"in about {forecast.hours:.0f} h ({span})" if forecast.hours >= 1 else "within the hour"


def _urgent(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=True, what=what, fix=fix)


def _later(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=False, what=what, fix=fix)
