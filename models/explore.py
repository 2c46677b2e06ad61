"""Scores -> the picks on the screen, each with the chance that it had to be shown.

Greedy, the three best-scored sauces within the limit are shown (`models.safety`), with chance 1. With a seed, and where
the bundle knows how wrong its weights may be, the policy explores: it shows by a weight vector that may be the true
one, or now and then anything that is safe (`models.mixture`), and says with which chance. What it may show, safe, is
what is unlikely to hurt, and what greedy would show anyway. A newcomer, of whom no pour is known, always sees the best
guess in slot 1: only the other slots are drawn.

The chances are those of the policy as a whole, whatever of it drew: logs of both parts judge another policy alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heat.catalog import Sauce
from heat.errors import ModelError
from heat.events import Impression
from heat.reading import Reading
from models.explain import reasons
from models.features import Context, Matrix, Menu, features
from models.logged import asked
from models.manifest import AGAIN
from models.mixture import Mixture, mixture
from models.ranker import Ranker, top
from models.safety import FILL_MO, MARGIN_MO, bearable, hurts_mo, limit_mo

SLOTS = 3
"""Picks on a dispenser's screen."""
SEED_BITS = 53
"""Of the chance that an ask takes: what JSON's numbers carry."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One sauce to show: its row in the menu, its score, why (at most 32 characters), and its propensity.

    `fits` unless it lies above the limit, and only fills up.
    """

    row: int
    sauce: Sauce
    score: float
    propensity: float
    why: str
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a policy shows, best first: which part of it drew, by which seed, and the chance of this very slate."""

    picks: tuple[Pick, ...]
    policy: Literal["greedy", "thompson", "uniform"] = "greedy"
    seed: int | None = None
    slate_propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class Slates:
    """All that could be shown at one ask. `best` and then `rest` is greedy's slate; `rest` is above the limit.

    `explored` is the policy over what stands before `rest`; None where there is nothing to explore.
    """

    scores: Matrix
    matrix: Matrix
    best: list[int]
    rest: list[int]
    explored: Mixture | None


def suggest(
    ranker: Ranker, reading: Reading, menu: Menu, context: Context, *, seed: int | None = None, slots: int = SLOTS
) -> Chosen:
    """The picks for this customer: `slots` of them, or the whole menu if it is smaller. Without a seed, greedy.

    Where fewer than `slots` sauces lie within the limit, the mildest of the others fill up, as far as `FILL_MO` above
    it; but nothing as hot as what was too hot just now. Then there are fewer picks: the mildest alone, if need be. The
    rule shows nothing above the tolerance, or the dial, at all.

    Raises:
        ModelError: the ranker gave scores that no event could tell of.
    """
    could = slates(ranker, reading, menu, context, explore=seed is not None, slots=slots)
    if seed is None or could.explored is None:
        return Chosen(_picks(could, could.best, [1.0] * slots, ranker, reading, menu, context))
    policy, shown = could.explored.draw(seed)
    chances = could.explored.chances(shown)
    picks = _picks(could, shown, chances.slots + [1.0] * slots, ranker, reading, menu, context)
    return Chosen(picks, policy, seed, chances.slate)


def slates(
    ranker: Ranker, reading: Reading, menu: Menu, context: Context, *, explore: bool, slots: int = SLOTS
) -> Slates:
    """What the policy shows at this ask, and with which chances.

    Raises:
        ModelError: the ranker gave scores that no event could tell of.
    """
    matrix = features(reading, menu, context)
    scores = ranker.scores(matrix)
    if not np.isfinite(scores).all():
        told = f"{ranker.name} gave a sauce a score that is no number"
        raise ModelError(told, hint=AGAIN, reason="model")
    by_rule = ranker.scorer == "rule"  # it has learnt nothing of what people like beyond: it shows nothing there
    limit = limit_mo(reading, context, 0 if by_rule else MARGIN_MO)
    within = np.flatnonzero(menu.heat_mo <= limit)
    best: list[int] = within[top(scores[within][None], min(slots, len(within)))[0]].tolist()
    rest: list[int] = []
    if len(best) < slots and not by_rule:
        beyond = np.flatnonzero((menu.heat_mo > limit) & (menu.heat_mo < hurts_mo(context)))
        mildest = beyond[np.lexsort((-scores[beyond], menu.heat_mo[beyond]))]
        near = mildest[menu.heat_mo[mildest] <= limit + FILL_MO]
        # a dispenser that has nothing for this customer shows the mildest it has
        rest = (near[: slots - len(best)] if best or len(near) else mildest[:1]).tolist()
    if not (explore and best) or ranker.deviations is None:
        return Slates(scores, matrix, best, rest, None)
    safe = bearable(reading, menu, context)
    safe[best] = True
    # what a newcomer said before the first pour is evidence, and makes no regular
    cold = None if any(window.pours for window in reading.windows) else best[0]
    explored = mixture(matrix, scores, ranker.deviations, np.flatnonzero(safe), len(best), cold)
    return Slates(scores, matrix, best, rest, explored)


def replay(impression: Impression, ranker: Ranker) -> Chosen | None:
    """What this ranker shows at the ask of a logged impression, out of the event alone; None: it doesn't say enough.

    Of the ranker that answered it, the very same picks, scores, chances: to the bit (`agrees`).
    """
    question = asked(impression)
    return None if question is None else suggest(ranker, *question, seed=impression.seed)


def agrees(impression: Impression, chosen: Chosen) -> bool:
    """Whether an impression is what the policy chose: picks, scores and chances to the bit."""
    logged = [(pick.sauce, pick.score, pick.propensity) for pick in impression.picks]
    return (
        logged == [(pick.sauce.id, pick.score, pick.propensity) for pick in chosen.picks]
        and (impression.policy, impression.seed) == (chosen.policy, chosen.seed)
        and (impression.slate_propensity or 1.0) == chosen.slate_propensity
    )


def _picks(  # noqa: PLR0913, PLR0917 -- a pick says all that it was made of
    could: Slates,
    shown: Sequence[int],
    chances: Sequence[float],
    ranker: Ranker,
    reading: Reading,
    menu: Menu,
    context: Context,
) -> tuple[Pick, ...]:
    rows = [*shown, *could.rest]
    if not rows:
        return ()
    why = reasons(rows, could.matrix, ranker.weights, reading, menu, context)
    return tuple(
        Pick(row, menu.sauces[row], float(could.scores[row]), chance, line, place < len(shown))
        for place, (row, chance, line) in enumerate(zip(rows, chances, why, strict=False))
    )
