"""What a customer can be trusted to stand: the heat above which nothing is shown, and the sauces to explore.

Two bounds, since two things are asked. What the ranker holds for the best may lie a little above the tolerance that is
believed in: it is liked. What is shown to learn something must be unlikely to hurt, with all that is not known counted:
how unsure the belief is, and how unsure the label.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from heat.reading import Reading
from heat.scale import MAX_MO
from models.features import Context, Menu

Flags: TypeAlias = NDArray[np.bool_]

MARGIN_MO = 500
"""mo; how far above the tolerance a pick may lie: labels are no surer than this."""
FILL_MO = 1000
"""mo; how far above the limit sauces may lie that only fill up the screen.

Of the slots shown in the worlds of `hw_sim.shoppers`, 0.5 to 1.4 % were far too hot where anything filled up: menus
that have nothing mild. So they are 0.1 to 0.4 %, and a pick is poured on as many visits, to a tenth of a percent."""
HURTS_Z = 0.524
"""Standard deviations; a sauce that lies so far below the tolerance hurts three customers in ten.

With a label's usual 600 mo that is 300 mo below a tolerance that is known well. At cold start, when the prior's 2,500
mo count most, it leaves what lies below 6,400 SHU, seven of the 24 sauces that Picante ships with; at one in ten four
would be left, too few to learn from."""


def limit_mo(reading: Reading, context: Context, margin_mo: int = MARGIN_MO) -> int:
    """The heat above which nothing is shown that the menu has something milder for.

    A customer who turns the dial up asks for it: the limit is never below the dial. One who called the last sauce too
    hot is shown nothing near it, whatever the profile says. For one of whom nothing is known the margin is kept on the
    other side: of what simulated strangers saw, 0.7 % was far too hot in one world, and a pick is poured as often.
    `margin_mo` is how far above the tolerance a pick may lie otherwise.
    """
    tolerance = reading.state.tolerance_mo
    if context.last_verdict == "too_hot" and context.last_poured is not None:
        return min(tolerance + margin_mo, context.last_poured.heat.milli_octaves - MARGIN_MO)
    if context.dial is not None:
        tolerance = max(tolerance, context.dial.milli_octaves)
    elif not reading.evidence:
        return tolerance - MARGIN_MO
    return tolerance + margin_mo


def hurts_mo(context: Context) -> int:
    """The heat that the customer called too hot just now; without such a word, more than any sauce has."""
    if context.last_verdict == "too_hot" and context.last_poured is not None:
        return context.last_poured.heat.milli_octaves
    return MAX_MO + 1


def bearable(reading: Reading, menu: Menu, context: Context) -> Flags:
    """The sauces of the menu that may be shown to learn: those within the limit that hurt three in ten at most.

    True heat lies around the label as `Normal(heat, label's sd)`, the true tolerance around the one that is believed in
    as `Normal(tolerance, state's sd)`: the two move together, the tolerance being told from the taste. So

        P(true heat > true tolerance) <= 0.3   if   heat + 0.524 * sqrt(label's sd ** 2 + state's sd ** 2) <= tolerance

    Who dials a heat knows what it is like: up to the dial, only the label can be wrong.
    """
    label = menu.variance.astype(np.float64) * 1e6
    state = reading.state
    sure = state.tolerance_mo - HURTS_Z * np.sqrt(label + state.sd_mo**2)
    if context.dial is not None:
        sure = np.maximum(sure, context.dial.milli_octaves - HURTS_Z * np.sqrt(label))
    result: Flags = menu.heat_mo <= np.minimum(sure, limit_mo(reading, context))
    return result
