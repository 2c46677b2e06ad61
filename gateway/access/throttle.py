"""How often one may ask: so many at once, then so many a second. Far above what people and their programs need."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

KEPT = 2_000
"""Askers that are remembered; the oldest go first."""


class Throttle:
    """A bucket of tries for each asker, which fills again; `now_s` is a monotonic clock."""

    def __init__(self, at_once: int, per_s: float, now_s: Callable[[], float]) -> None:
        self._at_once = at_once
        self._per_s = per_s
        self._now_s = now_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def pause_s(self, asker: str) -> float:
        """Take one try; how long to wait where none is left: nothing is taken then, and 0 is to go on."""
        now_s = self._now_s()
        left, seen_s = self._left.get(asker, (float(self._at_once), now_s))
        left = min(self._at_once, left + (now_s - seen_s) * self._per_s)
        pause_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._left[asker] = left if pause_s else left - 1, now_s
        self._left.move_to_end(asker)
        if len(self._left) > KEPT:
            self._left.popitem(last=False)
        return pause_s
