"""A new ranker beside the one that answers: it is asked the same, and answers nobody, until it has shown itself.

What it says of each slate is compared with what was shown. It never stands in the way: it is asked after the answer was
written, and an error of it is a count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from heat.errors import ModelError
from models.features import Matrix
from models.manifest import AGAIN
from models.probe import BUDGET_US
from models.ranker import Ranker, rank

SLOW_SHARE = 0.05
"""Of the slates may take longer: a Pi does other things, too."""


def _now_us() -> int:
    return time.perf_counter_ns() // 1_000


@dataclass(slots=True)
class Shadow:
    """A ranker on its first trial, over `wanted` slates."""

    ranker: Ranker
    wanted: int
    slates: int = 0
    errors: int = 0
    slow: int = 0
    same: int = 0
    """Slates on whose best sauce both agree."""
    clock_us: Callable[[], int] = field(default=_now_us, repr=False)

    def look(self, features: Matrix, scores: Matrix) -> None:
        """Score a slate, of which the ranker that answered said `scores`. Raises nothing of the ranker's."""
        if self.done or not len(features):
            return
        self.slates += 1
        begun = self.clock_us()
        try:
            said = self.ranker.scores(features)
        except Exception:  # noqa: BLE001 -- whatever it dies of is what this trial is for
            self.errors += 1
            return
        self.slow += self.clock_us() - begun > BUDGET_US
        if said.shape != scores.shape or not np.isfinite(said).all():
            self.errors += 1
        else:
            self.same += rank(said, 1) == rank(scores, 1)

    @property
    def done(self) -> bool:
        """Whether it has seen enough, or failed."""
        return self.slates >= self.wanted or self.errors > 0

    def check(self) -> None:
        """Raises ModelError if it must not answer anybody, as far as it was seen."""
        if self.errors:
            told = f"beside the ranker in use it failed on {self.errors} of {self.slates} slates"
            raise ModelError(told, hint=AGAIN, reason="model")
        if self.slow > max(SLOW_SHARE * self.slates, 1):
            told = f"it took more than {BUDGET_US / 1000:g} ms for {self.slow} of {self.slates} slates"
            raise ModelError(told, hint="Train a smaller model", reason="latency")
