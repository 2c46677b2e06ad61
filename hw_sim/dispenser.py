"""A dispenser's twin: nozzles, tanks, dial, buttons, screen. Pure; time is its uptime in ms, passed in.

What happens at it becomes an event through `record`, which is the ring's end of the firmware. `mcu` speaks for it on
the wire and puts the picks on its screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firmware_bridge.messages import (
    EventBody,
    NozzleInfo,
    Picks,
    PouredBody,
    RatedBody,
    RefilledBody,
    StatedBody,
)
from heat.catalog import Sauce
from heat.events import Verdict
from hw_sim.screen import Shown, render

TANK_UL = 750_000
"""µl; a full bottle."""
FLOW_UL_S = 4_000
"""µl a second through an open nozzle."""
LOW_TANK_UL = 40_000
"""µl; below this somebody brings a new bottle."""


Log = Callable[[int, EventBody, int], int]
"""Where a dispenser's events go: (session, body, uptime in ms) -> sequence."""


@dataclass(slots=True)
class Nozzle:
    """One nozzle and the bottle on it."""

    number: int
    sauce: Sauce
    level_ul: int = TANK_UL
    flow_ul_s: int = FLOW_UL_S


class Dispenser:
    """One dispenser, seen from in front of it."""

    def __init__(self, name: str, nozzles: Sequence[Nozzle], record: Log, new_session: Callable[[], int]) -> None:
        self.name = name
        self.tanks = {nozzle.number: nozzle for nozzle in nozzles}
        self.dial: int | None = None
        self.session = 0
        self.shown = Shown()
        self._record = record
        self._new_session = new_session
        self._last_poured: str | None = None

    # -- what a customer does -----------------------------------------------------------------------------------------

    def begin_session(self) -> int:
        """A customer steps up: a new session number, an empty screen."""
        self.session = self._new_session()
        self.shown = Shown()
        self.dial = None
        self._last_poured = None
        return self.session

    def turn_dial(self, position: int) -> None:
        """Set the dial, 0 (mildest) to 100. It is told with the next ASK."""
        self.dial = position

    def state_preference(self, body: StatedBody, now_ms: int) -> int:
        """The customer says how hot they like it."""
        return self._record(self.session, body, now_ms)

    def pour(self, number: int, volume_ul: int, now_ms: int) -> int | None:
        """Pour from a nozzle, as far as its tank goes; the event's sequence, or None if the tank is empty.

        `now_ms` is when the valve closed.
        """
        nozzle = self.tanks[number]
        volume_ul = min(volume_ul, nozzle.level_ul)
        if volume_ul <= 0:
            return None
        nozzle.level_ul -= volume_ul
        self._last_poured = nozzle.sauce.id
        body = PouredBody(
            nozzle=number,
            sauce=nozzle.sauce.id,
            volume_ul=volume_ul,
            duration_ms=self.pour_ms(number, volume_ul),
            pick_id=self.shown_pick_id(nozzle.sauce.id),
        )
        return self._record(self.session, body, now_ms)

    def pour_ms(self, number: int, volume_ul: int) -> int:
        """How long that pour keeps the valve open, in ms."""
        return volume_ul * 1000 // self.tanks[number].flow_ul_s

    def press(self, verdict: Verdict, now_ms: int) -> int | None:
        """Press a verdict about the sauce poured last; None (and no event) if nothing was poured."""
        sauce = self._last_poured
        if sauce is None:
            return None
        body = RatedBody(sauce=sauce, verdict=verdict, pick_id=self.shown_pick_id(sauce))
        return self._record(self.session, body, now_ms)

    # -- what the staff does ------------------------------------------------------------------------------------------

    def refill(self, number: int, now_ms: int) -> int:
        """Put a full bottle on a nozzle. No customer is concerned."""
        nozzle = self.tanks[number]
        nozzle.level_ul = TANK_UL
        return self._record(0, RefilledBody(nozzle=number, sauce=nozzle.sauce.id, volume_ul=TANK_UL), now_ms)

    def low_tanks(self) -> list[int]:
        """The nozzles whose bottle is nearly empty."""
        return [number for number, nozzle in self.tanks.items() if nozzle.level_ul < LOW_TANK_UL]

    # -- the firmware's side ------------------------------------------------------------------------------------------

    def nozzles(self) -> tuple[NozzleInfo, ...]:
        """The nozzles as HELLO tells of them."""
        return tuple(
            NozzleInfo(nozzle=nozzle.number, sauce=nozzle.sauce.id, level_ml=nozzle.level_ul // 1000)
            for nozzle in self.tanks.values()
        )

    def show(self, picks: Picks) -> None:
        """Put picks on the screen."""
        self.shown = Shown(picks.picks, picks.pick_id)

    def show_own_choice(self) -> None:
        """No answer came: the customer chooses without picks."""
        self.shown = Shown()

    def render_screen(self) -> str:
        """The screen, drawn as text."""
        status = f"session {self.session}" + (f" · dial {self.dial}" if self.dial is not None else "")
        own_choice = [f"{nozzle.number:>2} {nozzle.sauce.name}" for nozzle in self.tanks.values()]
        return render(self.shown, title=f"PICANTE {self.name}", status=status, own_choice=own_choice)

    def shown_pick_id(self, sauce: str) -> str | None:
        """The impression that shows this sauce now, if one does."""
        return self.shown.pick_id if any(pick.sauce == sauce for pick in self.shown.picks) else None
