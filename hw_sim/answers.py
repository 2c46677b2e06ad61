"""What a dispenser has asked, what came of it, and what customers made of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from firmware_bridge.messages import Picks

LATENCIES_KEPT = 1_000


class Answers:
    """A dispenser's: the one that is waited for, and figures of all."""

    def __init__(self) -> None:
        self.asked = self.shown = self.accepted = 0
        """Questions, picks that came, and picks of which one was poured (a second helping counts no second time)."""
        self.ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        """How long the last ones took."""
        self._asked_s = 0.0
        self._waiting: asyncio.Future[Picks | None] | None = None
        self._accepted_pick_id: str | None = None

    def ask(self) -> asyncio.Future[Picks | None]:
        """A question is asked now; its answer, or None if the dispenser gives up."""
        self.asked += 1
        self._asked_s = time.monotonic()
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def show(self, picks: Picks) -> None:
        """Picks came."""
        self.shown += 1
        self._settle(picks)

    def give_up(self) -> None:
        """None will come."""
        self._settle(None)

    def accept(self, pick_id: str) -> None:
        """One of these picks was poured."""
        if pick_id != self._accepted_pick_id:
            self.accepted += 1
            self._accepted_pick_id = pick_id

    def _settle(self, picks: Picks | None) -> None:
        if self._waiting is None or self._waiting.done():
            return
        if picks is not None:
            self.ms.append((time.monotonic() - self._asked_s) * 1000)
        self._waiting.set_result(picks)
