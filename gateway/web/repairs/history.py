"""Since when each repair is there, and how often it came: one that comes and goes is one entry with a count. In memory.

Repairs are found anew at each look; this remembers keys alone: of those that are there, and of `REMEMBERED` that went.
What is not there is not told of, however often it came: the count is shown when it comes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.web.repairs.repair import Repair

WITHIN_S = 3_600.0
"""s; what came three times in so long comes and goes."""
REMEMBERED = 512
"""Keys of what went: the oldest goes for one more. What is there is as much as there is of dispensers and ports."""
KEPT_TIMES = 99
"""Times that one key came."""


@dataclass(slots=True)
class _Seen:
    came: datetime
    """The last time."""
    there: bool = True
    came_s: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))


class History:
    """What the looks before this one found."""

    def __init__(self, started: datetime) -> None:
        self._started = started
        self._seen: dict[str, _Seen] = {}
        self._looked = False

    def look(self, found: Iterable[Repair], now_s: float, now: datetime) -> list[Repair]:
        """What was found now, with `since` and `count`. `now_s`: the monotonic clock."""
        told, there = [], set()
        for repair in found:
            there.add(repair.key)
            seen = self._note(repair, now_s, now)
            told.append(replace(repair, since=repair.since or seen.came, count=len(seen.came_s)))
        self._let_go(there, now_s)
        self._looked = True
        return told

    def _let_go(self, there: set[str], now_s: float) -> None:
        gone = [key for key in self._seen if key not in there]  # what is there was put behind them
        for key in gone:
            self._seen[key].there = False
            self._forget_old(self._seen[key], now_s)
        for place, key in enumerate(reversed(gone)):
            if place >= REMEMBERED or not self._seen[key].came_s:
                del self._seen[key]

    def _note(self, repair: Repair, now_s: float, now: datetime) -> _Seen:
        seen = self._seen.pop(repair.key, None)
        if seen is None:  # what the first look finds was there at the start
            seen = _Seen(now if self._looked else self._started)
            seen.came_s.append(now_s)
        elif not seen.there:
            seen.came_s.append(now_s)
            seen.came = now
        self._forget_old(seen, now_s)
        seen.there = True
        self._seen[repair.key] = seen
        return seen

    @staticmethod
    def _forget_old(seen: _Seen, now_s: float) -> None:
        keep = 1 if seen.there else 0  # what is there came once at least
        while len(seen.came_s) > keep and now_s - seen.came_s[0] > WITHIN_S:
            seen.came_s.popleft()
