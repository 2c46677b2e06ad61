"""A bundle that was released, on trial: first it looks on beside the ranker in use, then it answers on probation.

`releases` asks, once a second as long as there is one, and keeps what becomes of it; `Trial` is the part that knows the
rankers. What it looked on at is forgotten by a restart, and begins anew; what customers said of its picks is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import probation
from gateway.bundle_folder import Bundles
from gateway.rankers import Rankers
from gateway.shadow import Shadow
from heat.errors import ModelError
from models.bundle import load
from models.experiment import Experiment
from models.ranker import OnnxRanker, Ranker, in_numpy, open_ranker

log = logging.getLogger("gateway.bundle_trial")


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a new bundle looks on: so many slates, or hours, whatever is over first."""

    slates: int = 50
    hours: float = 24.0


class Trial:
    """The trials of one gateway's bundles."""

    def __init__(self, rankers: Rankers, terms: Terms, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._rankers = rankers
        self._terms = terms
        self._clock_s = clock_s
        self._path: Path | None = None
        self._since_s = 0.0

    async def looks_on(self, path: Path) -> str | None:
        """How far a bundle is with looking on; None once it may answer.

        Raises:
            ModelError: it must not.
        """
        rankers = self._rankers
        if rankers.current.scorer == "rule":
            return None  # anything that is valid is better
        if self._path != path or rankers.shadow is None:
            opened = await asyncio.to_thread(_opened, path, rankers.current)
            rankers.shadow = Shadow(opened, self._terms.slates)
            self._path, self._since_s = path, self._clock_s()
        shadow = rankers.shadow
        if not shadow.done and self._clock_s() - self._since_s < self._terms.hours * 3600:
            return f"it looks on: {shadow.slates} of {shadow.wanted} slates"
        self.stop()
        shadow.check()
        log.info("%s looked on at %d slates, and would have led %d alike", path.name, shadow.slates, shadow.same)
        return None

    def stop(self) -> None:
        """Nothing looks on any more."""
        self._path = self._rankers.shadow = None

    def why_back(self, reader: sqlite3.Connection) -> str | None:
        """Why the bundle in use, which is on probation, is to be taken back, if it is."""
        return probation.why_back(*self._outcomes(reader))

    def settled(self, reader: sqlite3.Connection) -> bool:
        """Whether its probation is over; one that is part of an experiment stays on it."""
        return self._rankers.experiment is None and probation.settled(self._outcomes(reader)[0])

    def _outcomes(self, reader: sqlite3.Connection) -> tuple[probation.Outcomes, probation.Outcomes]:
        rankers = self._rankers
        before = rankers.before.name if rankers.before is not None else "rule"
        return rankers.outcomes(reader, rankers.current.name), rankers.outcomes(reader, before)


async def use_rankers(rankers: Rankers, bundles: Bundles, plain: Path) -> ModelError | None:
    """Rank by these bundles from now on, in NumPy; `plain` is the one that gateway.toml names. What is wrong, if it is.

    Nobody waits for it: while they are opened, picks go by what there was.
    """

    def opened() -> tuple[Ranker, Ranker | None, Experiment | None, ModelError | None]:
        current, error = open_ranker(bundles.now or plain)
        if not bundles.on_trial:
            return current, None, None, error
        return current, open_ranker(bundles.before or plain)[0], experiment_of(bundles.now), error

    current, before, experiment, error = await asyncio.to_thread(opened)
    rankers.use(current, before, experiment)
    return error


def experiment_of(path: Path | None) -> Experiment | None:
    """The experiment that a bundle is part of, if it is and can be read."""
    with contextlib.suppress(ModelError):
        return load(path).manifest.experiment if path is not None else None
    return None


def _opened(path: Path, like: Ranker) -> Ranker:
    """A bundle's ranker, by what computes the scores of the one in use: it was tried in a process of its own already.

    Raises:
        ModelError: it can't be opened.
    """
    return OnnxRanker(load(path)) if like.scorer == "onnx" else in_numpy(load(path))
