"""Dispensers as somebody looks for them: by a word and a state, a page at a time, whoever needs somebody first.

Of all of them one row each is read; what the sensors and screens say is put together for one page alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.state import GatewayState
from gateway.web import dispenser_views
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import Known, batched
from gateway.web.readings import gauged_ml
from gateway.web.repairs.of_bottles import LOW_ML
from gateway.web.watch import Watch

State = Literal["waiting", "away", "care", "well"]
"""Turned away for want of a key; not there; there, and something about it should be seen to; there."""
STATES: tuple[State, ...] = get_args(State)
HEARD_S = 60.0
"""s; one that waits and was silent for longer was taken away. It tries again within 8 s."""
PAGE_SIZE = 24


@dataclass(frozen=True, slots=True)
class Found:
    """A page of them."""

    dispensers: list[DispenserView]
    states: dict[str, State]
    """Of those on the page, by name."""
    counts: dict[State, int]
    """Of all that the word fits, by state."""
    total: int
    page: int
    pages: int


async def look_for(  # noqa: PLR0913 -- what a person may ask for
    state: GatewayState,
    watch: Watch,
    *,
    search: str = "",
    only: State | None = None,
    page: int = 1,
    size: int = PAGE_SIZE,
    urgent_first: bool = True,
) -> Found:
    """One page. A page beyond the last is the last. Customers' questions come between. Raises sqlite3.Error."""
    words = search.casefold().split()
    fitting = []
    for some in batched([one for one in dispenser_views.everybody(state) if _fits(state, one, words)]):
        fitting += [(one, state_of(state, watch, one.name, one.nozzles)) for one in some]
        await asyncio.sleep(0)
    counts = {each: sum(its == each for _, its in fitting) for each in STATES}
    chosen = [(one, its) for one, its in fitting if only is None or its == only]
    if urgent_first:
        chosen.sort(key=lambda each: (STATES.index(each[1]), _called(state, each[0]).casefold()))
    pages = max(-(-len(chosen) // size), 1)
    page = min(max(page, 1), pages)
    shown = chosen[(page - 1) * size : page * size]
    views: list[DispenserView] = []
    for some in batched([one for one, _ in shown]):
        views += dispenser_views.dispenser_views(state, watch, some)
        await asyncio.sleep(0)
    return Found(views, {one.name: its for one, its in shown}, counts, len(chosen), page, pages)


def _called(state: GatewayState, one: Known) -> str:
    return state.plans.of(one.name).name or one.name


def _fits(state: GatewayState, one: Known, words: Iterable[str]) -> bool:
    """Whether each word is in its id, its name, or a sauce on it."""
    if not words:
        return True
    sauces = (sauce for _, sauce, _ in one.nozzles)
    names = (f"{sauce} {known.name if (known := state.catalog.get(sauce)) else ''}" for sauce in sauces)
    text = "\n".join([one.name, state.plans.of(one.name).name or "", *names]).casefold()
    return all(word in text for word in words)


def state_of(state: GatewayState, watch: Watch, name: str, nozzles: Iterable[tuple[int, str, int]]) -> State:
    """Of one. `nozzles` are (nozzle, sauce, level in ml), as its last HELLO told of them."""
    known, stranger = state.dispensers.known.get(name), state.dispensers.strangers.get(name)
    if known is None or not known.online:
        waits = stranger is not None and time.monotonic() - stranger.last_s < HEARD_S
        return "waiting" if waits else "away"
    if state.samples.findings.get(name):
        return "care"
    for nozzle, sauce, told_ml in nozzles:
        read_ml = gauged_ml(state, name, nozzle)
        level_ml = watch.levels.level_ml(name, nozzle) if read_ml is None else read_ml
        if (told_ml if level_ml is None else level_ml) <= LOW_ML or sauce not in state.catalog:
            return "care"
    return "well"
