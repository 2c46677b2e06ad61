"""A dispenser as customers use it: what they do becomes an event in the ring (and in the journal), and wakes the line.

Customers, load and the control socket all come through here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import Picks
from heat.events import Verdict
from hw_sim.board import Board
from hw_sim.power import PowerCut
from hw_sim.question import ASK_GIVE_UP_MS


class Unit(Board):
    """A dispenser that customers can use."""

    async def ask(
        self,
        *,
        token: str | None = None,
        mood: str | None = None,
        avoid: tuple[str, ...] = (),
        adult: bool = False,
    ) -> Picks | None:
        """Ask the gateway for picks, and show them; None if it did not answer in time."""
        if not self.powered:
            return None
        answer = self.answers.ask()
        session, now_ms = self.twin.session, self.firmware.now_ms()
        self.twin.touch(now_ms)
        if token is not None:
            self._recorder.note("claim", token, session, now_ms)
        self.firmware.mcu.ask(session, now_ms, token=token, dial=self.twin.dial, mood=mood, avoid=avoid, adult=adult)
        self.line.wake()
        try:
            # a line that is stuck does not run the firmware's timers
            async with asyncio.timeout(ASK_GIVE_UP_MS / 1000 + 0.5):
                picks = await answer
        except TimeoutError:
            return None
        if picks is not None:
            self._recorder.note("answered", picks.pick_id, session, self.firmware.now_ms())
        return picks

    def begin_session(self) -> int:
        """A customer steps up; the session's number, or 0 without power."""
        if not self.powered:
            return 0
        self.twin.touch(self.firmware.now_ms())
        return self.twin.begin_session()

    def state_preference(self, body: StatedBody) -> int | None:
        """A stated preference; the event's sequence."""
        return self._is_done(lambda now_ms: self.twin.state_preference(body, now_ms))

    def pour(self, nozzle: int, volume_ul: int) -> int | None:
        """A pour that ends now; the event's sequence, or None if nothing came."""
        return self._note_accepted(nozzle, self._is_done(lambda now_ms: self.twin.pour(nozzle, volume_ul, now_ms)))

    def pour_surely(self, nozzle: int, volume_ul: int) -> int | None:
        """`pour` by a customer who presses again where the screen asks whether it is meant."""
        sequence = self.pour(nozzle, volume_ul)
        return self.pour(nozzle, volume_ul) if sequence is None and self.asks(nozzle) else sequence

    def asks(self, nozzle: int) -> bool:
        """Whether the screen asks if a pour from this nozzle is meant."""
        return self.twin.asks_at(self.firmware.now_ms()) == nozzle

    async def pour_slowly(self, nozzle: int, volume_ul: int) -> int | None:
        """A pour that takes the time that it takes; None, too, if the power fails meanwhile."""
        if not self.powered:
            return None
        self.twin.open_valve(nozzle, volume_ul, self.firmware.now_ms())
        if self.asks(nozzle):
            return None
        await asyncio.sleep(self.twin.pour_ms(nozzle, volume_ul) / 1000)
        return self._note_accepted(nozzle, self._is_done(self.twin.close_valve))

    def press(self, verdict: Verdict) -> int | None:
        """A verdict on what was poured last; the event's sequence, or None if nothing was poured."""
        return self._is_done(lambda now_ms: self.twin.press(verdict, now_ms))

    def refill(self, nozzle: int) -> int | None:
        """Somebody puts a full bottle on a nozzle; the event's sequence."""
        return self._happens(lambda now_ms: self.twin.refill(nozzle, now_ms))

    def refill_low_tanks(self) -> None:
        """The staff looks after the bottles."""
        for nozzle in self.twin.low_tanks():
            self.refill(nozzle)

    def _is_done(self, what: Callable[[int], int | None]) -> int | None:
        """A customer does something: `_happens`."""
        if self.powered:
            self.twin.touch(self.firmware.now_ms())
        return self._happens(what)

    def _happens(self, what: Callable[[int], int | None]) -> int | None:
        """Something happens in front of it, now: its event's sequence, or None if it makes none or has no power."""
        if not self.powered:
            return None
        try:
            now_ms = self.firmware.now_ms()
            self.twin.look(now_ms)
            sequence = what(now_ms)
        except PowerCut:
            self.power_off()
            return None
        self.line.wake()
        return sequence

    def _note_accepted(self, nozzle: int, sequence: int | None) -> int | None:
        pick_id = self.twin.shown_pick_id(self.twin.tanks[nozzle].sauce.id)
        if sequence is not None and pick_id is not None:
            self.answers.accept(pick_id)
        return sequence
