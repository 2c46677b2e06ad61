"""A judged policy's chances of what the simulation logged: rows out of which its value is told (`models.off_policy`).

The visits are those on which the policy is judged by showing its own picks; here it shows nothing, and only the logged
slates, what was poured because of them, and the chances of both policies count: what a chain of shops would have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.evaluation.estimates import LoggedVisit
from models.explore import SLOTS, slates
from models.features import Matrix, features
from models.off_policy import Floats, chances, foreseen, over
from models.ranker import Ranker
from picante import logging_policy
from picante.simulated import Moment


class LogReader:
    """Reads the log for one ranker, as a gateway serves it. `weights`, those of a slate logit, foresee pours."""

    def __init__(self, ranker: Ranker, weights: Sequence[float]) -> None:
        self.visits: list[LoggedVisit] = []
        self._ranker = ranker
        self._weights = np.array(weights)

    def read(self, seed: int, moment: Moment) -> None:
        """One visit of a seed's."""
        question = moment.question
        menu, context = question.menu, question.context
        could = slates(self._ranker, question.reading, menu, context, explore=True)
        pours = self._foreseen(features(question.reading, menu, context))
        shown = [menu.rows[sauce] for sauce in moment.shown]
        logged = logging_policy.chances(menu.ids, context.popularity or {}, moment.shown)
        earned = foreseen(could, pours)
        self.visits.append(
            LoggedVisit(
                customer=(seed, moment.customer),
                earned=tuple(float(sauce == moment.chosen) for sauce in moment.shown),
                ratios=over(chances(could, shown), logged),
                foreseen=(*earned, *[0.0] * (SLOTS - len(earned))),
                foreseen_shown=tuple(pours[shown].tolist()),
            )
        )

    def _foreseen(self, matrix: Matrix) -> Floats:
        """How likely each sauce is poured, wherever it stands: (sauces,)."""
        utility = matrix @ self._weights
        shares = np.exp(utility - utility.max())
        return np.asarray(shares / shares.sum())
