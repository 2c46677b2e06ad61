"""When a gateway tells of itself, beside its events: regularly, and soon after something important has changed.

The uplink asks; what is told is made when it is asked for, so nothing waits while Kafka is away: the newest alone
counts. A record that failed is put off, ever longer: Kafka's taking events must not wait for its taking heartbeats.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, Protocol

from cloud_sync.record import Record
from heat.errors import PicanteError, SinkRefused, SinkUnavailable

log = logging.getLogger(__name__)

EVERY_S = 30.0
"""s from one heartbeat to the next, while nothing important changes."""
SOON_S = 3.0
"""s at least between two: what comes and goes is told of ten times in half a minute at most."""
LOOK_S = 1.0
"""s between two looks whether something important has changed."""
LONGEST_S = 600.0
"""s for which heartbeats are put off at most, and at once where Kafka refuses them: somebody has to mend that."""

Pack = Callable[[Iterable[Record]], Awaitable[Sequence[Any]]]
"""The sink's `pack`: records into batches for one transaction."""


class Teller(Protocol):
    """Who knows what there is to tell."""

    def important(self) -> Hashable:
        """What is told of at once when it changes."""

    async def tell(self) -> Record:
        """All that there is to tell now. Raises PicanteError where it can't be read."""


class Pulse:
    """Tells the uplink when there is something to tell, and what."""

    def __init__(self, teller: Teller | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_error: str | None = None
        """Why the last one could not be sent; None once one was."""
        self.count = 0
        """Heartbeats that Kafka took, since the process began."""
        self._teller = teller
        self._clock = clock
        self._told: Hashable = None
        self._telling: Hashable = None
        self._not_before_s = self._next_s = float("-inf")
        self._failures = 0

    async def next(self, pack: Pack) -> Sequence[Any]:
        """The next heartbeat, ready to be sent, once it is due. It may be cancelled at any time."""
        if (teller := self._teller) is None:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets that event")
        while True:
            if not self._due(teller):
                await asyncio.sleep(LOOK_S)
                continue
            try:
                telling = teller.important()
                packed = await pack([await teller.tell()])
            except PicanteError as error:
                self.failed(error)
                continue
            self._telling = telling
            return packed

    def sent(self) -> None:
        """Kafka has what `next` returned last."""
        now_s = self._clock()
        self._told = self._telling
        self._not_before_s, self._next_s = now_s + SOON_S, now_s + EVERY_S
        self._failures, self.last_error = 0, None
        self.count += 1

    def failed(self, error: PicanteError) -> None:
        """It could not be sent, for whatever reason."""
        away = isinstance(error, SinkUnavailable) and not isinstance(error, SinkRefused)
        pause_s = min(EVERY_S * 2**self._failures, LONGEST_S) if away else LONGEST_S
        self._failures = min(self._failures + 1, 8)
        self._not_before_s = self._next_s = self._clock() + pause_s
        if self.last_error is None and not away:  # else the uplink tells of it
            log.warning("Heartbeats wait for %.0f s: %s", pause_s, error)
        self.last_error = str(error)

    def hurry(self) -> None:
        """What was put off is due now: somebody has mended it, as it seems."""
        self._not_before_s = self._next_s = float("-inf")

    def _due(self, teller: Teller) -> bool:
        now_s = self._clock()
        if now_s >= self._next_s:
            return True
        return now_s >= self._not_before_s and teller.important() != self._told


NO_PULSE = Pulse(None)
"""It has nothing to tell, and never fails."""
