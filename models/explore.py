"""Scores -> the picks on the screen, each with the chance that it had to be shown.

This policy is greedy: it shows the three best-scored sauces that the customer can be trusted to stand. What it
shows it shows with propensity 1, and it learns nothing about what it never shows: logs made under it can't judge
another policy.
"""

from __future__ import annotations

from dataclasses import dataclass

from heat.catalog import Sauce
from heat.reading import Reading
from heat.scale import MAX_MO
from models.explain import reason
from models.features import Context, Menu, features
from models.ranker import Ranker, rank

SLOTS = 3
"""Picks on a dispenser's screen."""
MARGIN_MO = 500
"""mo; how far above the tolerance a pick may lie: labels are no surer than this."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One sauce to show: its row in the menu, its score, why (at most 32 characters), and its propensity."""

    row: int
    sauce: Sauce
    score: float
    propensity: float
    why: str


def limit_mo(reading: Reading, context: Context) -> int:
    """The heat above which nothing is shown unless the menu has nothing milder.

    A customer who turns the dial up asks for it: the limit is never below the dial. One who called the last sauce too
    hot is shown nothing near it, whatever the profile says.
    """
    tolerance = reading.state.tolerance_mo
    if context.last_verdict == "too_hot" and context.last_poured is not None:
        return min(tolerance + MARGIN_MO, context.last_poured.heat.milli_octaves - MARGIN_MO)
    if context.dial is not None:
        tolerance = max(tolerance, context.dial.milli_octaves)
    return tolerance + MARGIN_MO


def hurts_mo(context: Context) -> int:
    """The heat that the customer called too hot just now; without such a word, more than any sauce has."""
    if context.last_verdict == "too_hot" and context.last_poured is not None:
        return context.last_poured.heat.milli_octaves
    return MAX_MO + 1


def suggest(ranker: Ranker, reading: Reading, menu: Menu, context: Context, slots: int = SLOTS) -> tuple[Pick, ...]:
    """The picks for this customer, best first: `slots` of them, or the whole menu if it is smaller.

    Where fewer than `slots` sauces lie within the limit, the mildest of the others fill up; but nothing as hot as what
    was too hot just now: then there are fewer picks.
    """
    if not len(menu):
        return ()
    matrix = features(reading, menu, context)
    scores = ranker.scores(matrix)
    order = rank(scores, len(menu))
    limit = limit_mo(reading, context)
    within = [row for row in order if menu.milli_octaves[row] <= limit]
    beyond = [row for row in order if limit < menu.milli_octaves[row] < hurts_mo(context)]
    beyond.sort(key=menu.milli_octaves.__getitem__)
    rows = (within + beyond)[:slots]
    return tuple(
        Pick(
            row, menu.sauces[row], float(scores[row]), 1.0, reason(row, matrix, ranker.weights, reading, menu, context)
        )
        for row in rows
    )
