"""One simulated dispenser, whole: twin, ring, firmware and line, on the event loop.

What customers, load and the control socket do to a dispenser goes through here: it becomes an event in the ring (and
in the journal), and the line is woken.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import Command, NozzleInfo, Picks, Result
from heat.events import Verdict
from hw_sim.dispenser import Dispenser
from hw_sim.eeprom import Eeprom
from hw_sim.firmware import Firmware
from hw_sim.journal import Recorder
from hw_sim.mcu import Identity, LinkState, Mcu
from hw_sim.plant import Plant
from hw_sim.question import ASK_GIVE_UP_MS
from hw_sim.ring import RingHeader

LATENCIES_KEPT = 1_000


class Line(Protocol):
    """A dispenser's way to the gateway."""

    bad_frames: int

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""

    def plug(self) -> None:
        """Put the cable in."""

    def unplug(self) -> None:
        """Pull it."""

    def wake(self) -> None:
        """The firmware may have something to say."""

    async def aclose(self) -> None:
        """Leave in good order."""


class Unit:
    """A dispenser that customers can use. It is its own firmware's panel."""

    def __init__(
        self,
        identity: Identity,
        plant: Plant,
        recorder: Recorder,
        eeprom: Eeprom,
        random_bytes: Callable[[int], bytes],
        make_line: Callable[[Firmware], Line],
    ) -> None:
        self.name = identity.dispenser
        self.eeprom = eeprom
        self.in_use = asyncio.Lock()
        """Held by the one customer who stands in front of it."""
        self.asked = self.shown = self.accepted = 0
        """Questions, picks that came, and picks of which one was poured (a second helping counts no second time)."""
        self.answer_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.twin = Dispenser(self.name, plant, recorder.record, recorder.ring.new_session)
        self._recorder = recorder
        self._changed = asyncio.Event()
        self._answer: asyncio.Future[Picks | None] | None = None
        self._accepted_pick_id: str | None = None
        mcu = Mcu(identity, recorder.ring, self, random_bytes, lambda: recorder.renew(new_generation(random_bytes)))
        self.firmware = Firmware(mcu, self._changed.set)
        self.line = make_line(self.firmware)

    # -- the firmware's panel -----------------------------------------------------------------------------------------

    def nozzles(self) -> tuple[NozzleInfo, ...]:
        """See `mcu.Panel`."""
        return self.twin.nozzles()

    def show(self, picks: Picks) -> None:
        """See `mcu.Panel`."""
        self.twin.show(picks)
        self.shown += 1
        self._settle(picks)

    def show_own_choice(self) -> None:
        """See `mcu.Panel`."""
        self.twin.show_own_choice()
        self._settle(None)

    def keep_key(self, key: bytes) -> None:
        """See `mcu.Panel`."""

    def carry_out(self, command: Command, now_ms: int) -> Result | None:
        """See `mcu.Panel`."""
        return Result(command=command.id, outcome="unsupported", detail=f"not known at {now_ms}")

    # -- what happens in front of it ----------------------------------------------------------------------------------

    async def ask(self, *, token: str | None = None, mood: str | None = None) -> Picks | None:
        """Ask the gateway for picks, and show them; None if it did not answer in time."""
        begun = time.monotonic()
        answer: asyncio.Future[Picks | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        session, now_ms = self.twin.session, self.firmware.now_ms()
        if token is not None:
            self._recorder.note("claim", token, session, now_ms)
        self.firmware.mcu.ask(session, now_ms, token=token, dial=self.twin.dial, mood=mood)
        self.asked += 1
        self.line.wake()
        try:
            # a line that is stuck does not run the firmware's timers
            async with asyncio.timeout(ASK_GIVE_UP_MS / 1000 + 0.5):
                picks = await answer
        except TimeoutError:
            return None
        if picks is not None:
            self.answer_ms.append((time.monotonic() - begun) * 1000)
            self._recorder.note("answered", picks.pick_id, session, self.firmware.now_ms())
        return picks

    def begin_session(self) -> int:
        """A customer steps up; the session's number."""
        return self.twin.begin_session()

    def state_preference(self, body: StatedBody) -> int:
        """A stated preference; the event's sequence."""
        sequence = self.twin.state_preference(body, self.firmware.now_ms())
        self.line.wake()
        return sequence

    def pour(self, nozzle: int, volume_ul: int) -> int | None:
        """A pour that ends now; the event's sequence, or None if the tank is empty."""
        sequence = self.twin.pour(nozzle, volume_ul, self.firmware.now_ms())
        pick_id = self.twin.shown_pick_id(self.twin.tanks[nozzle].sauce.id)
        if sequence is not None and pick_id not in (None, self._accepted_pick_id):
            self.accepted += 1
            self._accepted_pick_id = pick_id
        self.line.wake()
        return sequence

    def press(self, verdict: Verdict) -> int | None:
        """A verdict on what was poured last; the event's sequence, or None if nothing was poured."""
        sequence = self.twin.press(verdict, self.firmware.now_ms())
        self.line.wake()
        return sequence

    def refill(self, nozzle: int) -> int:
        """Somebody puts a full bottle on a nozzle; the event's sequence."""
        sequence = self.twin.refill(nozzle, self.firmware.now_ms())
        self.line.wake()
        return sequence

    def refill_low_tanks(self) -> None:
        """The staff looks after the bottles."""
        for nozzle in self.twin.low_tanks():
            self.refill(nozzle)

    # -- what is known of it ------------------------------------------------------------------------------------------

    @property
    def header(self) -> RingHeader:
        """The ring's header."""
        return self._recorder.ring.header

    @property
    def full(self) -> bool:
        """Whether the next event would push others out of the ring."""
        return self._recorder.ring.full

    @property
    def online(self) -> bool:
        """Whether the dispenser believes that a gateway listens."""
        return self.firmware.mcu.state is LinkState.OPEN

    def event_id(self, sequence: int) -> str:
        """The identity of an event of the present generation."""
        return f"{self.name}:{self.header.generation:08x}:{sequence}"

    async def changed(self) -> None:
        """Wait until something came from the gateway (an ACK, say)."""
        self._changed.clear()
        await self._changed.wait()

    async def aclose(self) -> None:
        """Leave the line and close the ring, which stays on disk."""
        await self.line.aclose()
        self._recorder.ring.close()

    def _settle(self, picks: Picks | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(picks)


def new_generation(random_bytes: Callable[[int], bytes]) -> int:
    """A ring generation: any number of 32 bits but 0."""
    return int.from_bytes(random_bytes(4)) or 1
