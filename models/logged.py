"""What a ranker knew at a pick <-> the members of the impression that keep it. Pure.

`gateway.picks` logs with `known` and `offered`; whoever trains gets the very same features back with `asked`, out of
the event alone: no catalogue that has changed, no profile that has gone on since.
"""

from __future__ import annotations

from heat.catalog import Sauce
from heat.events import FlavourShare, Impression, Known, Offered, PourWindow, SaucePours
from heat.reading import HeatState, Reading, Window
from models.features import Context, Menu


def known(reading: Reading, menu: Menu, context: Context) -> Known:
    """What is known of the customer, as far as the menu's features are made of it."""
    state, last, pours = reading.state, context.last_poured, context.pours or {}
    return Known(
        mean_mo=state.mean_mo,
        sd_mo=state.sd_mo,
        tolerance_mo=state.tolerance_mo,
        evidence=reading.evidence,
        windows=tuple(PourWindow(window.days, window.pours, window.mean_mo) for window in reading.windows),
        flavours=tuple(FlavourShare(tag, reading.flavours[tag]) for tag in menu.tags if tag in reading.flavours),
        dial=context.dial,
        mood=context.mood,
        last_sauce=None if last is None else last.id,
        last_shu=None if last is None else last.shu,
        last_verdict=context.last_verdict,
        pours=tuple(SaucePours(id_, pours[id_]) for id_ in menu.ids if pours.get(id_, 0) > 0),
        hour=context.hour,
        temperature_c=context.temperature_c,
    )


def offered(menu: Menu, context: Context) -> tuple[Offered, ...]:
    """A row a sauce of the menu, in its order."""
    shares = context.popularity
    return tuple(
        Offered(
            sauce.shu,
            sauce.sd_milli_octaves,
            float(sauce.popularity if shares is None else shares.get(sauce.id, 0.0)),
            sauce.flavours,
        )
        for sauce in menu.sauces
    )


def asked(impression: Impression) -> tuple[Reading, Menu, Context] | None:
    """What `models.features.features` was given at the pick; None for an impression that didn't keep it.

    The names of the sauces are their ids.
    """
    if (knew := impression.known) is None or len(impression.offered) != len(impression.candidates):
        return None
    reading = Reading(
        state=HeatState(knew.mean_mo, knew.sd_mo, knew.tolerance_mo),
        evidence=knew.evidence,
        windows=tuple(Window(window.days, window.pours, window.mean_mo) for window in knew.windows),
        flavours={flavour.tag: flavour.share for flavour in knew.flavours},
    )
    rows = list(zip(impression.candidates, impression.offered, strict=True))
    menu = Menu([_sauce(id_, row.shu, row.sd_milli_octaves, row.flavours) for id_, row in rows])
    last = None
    if knew.last_sauce is not None and knew.last_shu is not None:
        last = _sauce(knew.last_sauce, knew.last_shu)
    shares = {id_: row.popularity for id_, row in rows}
    context = Context(
        dial=knew.dial,
        mood=knew.mood,
        popularity=shares,
        last_poured=last,
        last_verdict=knew.last_verdict,
        pours={row.sauce: row.pours for row in knew.pours},
        hour=knew.hour,
        temperature_c=knew.temperature_c,
    )
    return reading, menu, context


def _sauce(id_: str, shu: int, sd_milli_octaves: int = 0, flavours: tuple[str, ...] = ()) -> Sauce:
    return Sauce(id=id_, name=id_, shu=shu, sd_milli_octaves=sd_milli_octaves, flavours=flavours)
