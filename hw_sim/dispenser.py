"""A dispenser's twin: its plant behind a dial, buttons, a screen. Pure; time is its uptime in ms, passed in.

What happens at it becomes an event through `record`, which is the ring's end of the firmware. `mcu` speaks for it on
the wire and puts the picks on its screen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from firmware_bridge.bodies import EventBody, PouredBody, RatedBody, RefilledBody, StatedBody
from firmware_bridge.messages import NozzleInfo, PickInfo, Picks
from heat.events import Verdict
from hw_sim.plant import LOW_TANK_UL, TANK_UL, Plant, Readings
from hw_sim.screen import Shown, render, render_question

SESSION_MS = 60_000
"""ms after a customer's last touch for which they are taken to stand there, unless the screen went idle before."""

CONFIRM_MS = 10_000
"""ms within which the second press at a nozzle confirms the first."""

Log = Callable[[int, EventBody, int], int]
"""Where a dispenser's events go: (session, body, uptime in ms) -> sequence."""


@dataclass(frozen=True, slots=True)
class Pouring:
    """A valve that stands open."""

    nozzle: int
    wanted_ul: int
    opened_ms: int


@dataclass(frozen=True, slots=True)
class Sure:
    """The screen asks whether it is meant; a press at the same nozzle is the answer."""

    nozzle: int
    until_ms: int


class Dispenser:
    """One dispenser, seen from in front of it."""

    def __init__(
        self,
        name: str,
        plant: Plant,
        record: Log,
        new_session: Callable[[], int],
        locked: Callable[[], bool] = lambda: False,
        confirm: Callable[[], Collection[int]] = tuple,
    ) -> None:
        self.name = name
        self.plant = plant
        self.tanks = plant.nozzles
        self.dial: int | None = None
        self.session = 0
        self.shown = Shown()
        self.in_service = True
        """False while a technician's command has a valve open: it pours for no customer."""
        self.blinks = 0
        """Times that it was told to blink."""
        self.blinks_until_ms = 0
        self._record = record
        self._new_session = new_session
        self._locked = locked
        self._confirm = confirm
        self._sure: Sure | None = None
        self._unasked_until_ms: int | None = None
        self._last_poured: str | None = None
        self._pouring: Pouring | None = None
        self._touched_ms: int | None = None

    # -- what a customer does -----------------------------------------------------------------------------------------

    def begin_session(self) -> int:
        """A customer steps up: a new session number, an empty screen."""
        self.session = self._new_session()
        self.shown = Shown()
        self._unasked_until_ms = None
        self.dial = None
        self._last_poured, self._sure = None, None
        return self.session

    def touch(self, now_ms: int) -> None:
        """A customer's hand is on it; whatever else they do, this goes with it."""
        self._touched_ms = now_ms

    def leave(self) -> None:
        """The customer is done, and the screen goes idle: the session is over."""
        self.session, self.dial, self.shown = 0, None, Shown()
        self._last_poured, self._touched_ms, self._sure = None, None, None

    def attended(self, now_ms: int) -> bool:
        """Whether a customer's session is not over."""
        return self.pouring or (self._touched_ms is not None and now_ms - self._touched_ms < SESSION_MS)

    def turn_dial(self, position: int) -> None:
        """Set the dial, 0 (mildest) to 100. It is told with the next ASK."""
        self.dial = position

    def state_preference(self, body: StatedBody, now_ms: int) -> int:
        """The customer says how hot they like it."""
        return self._record(self.session, body, now_ms)

    def pour(self, number: int, volume_ul: int, now_ms: int) -> int | None:
        """Pour from a nozzle, as far as its bottle goes; the event's sequence, or None if nothing came.

        Nothing comes while it is locked, nor at the first press where one must be confirmed.

        `now_ms` is when the valve closed. The event tells what the meter counted; what left the bottle is the plant's
        secret.
        """
        return self._dose(number, volume_ul, now_ms) if self.pours and self._is_meant(number, now_ms) else None

    def _dose(self, number: int, volume_ul: int, now_ms: int) -> int | None:
        dose = self.plant.dose(number, volume_ul, now_ms)
        if dose is None:
            return None
        sauce = self.tanks[number].sauce.id
        self._last_poured = sauce
        body = PouredBody(
            nozzle=number,
            sauce=sauce,
            volume_ul=dose.volume_ul,
            duration_ms=dose.duration_ms,
            pick_id=self.shown_pick_id(sauce),
            confirmed=number in self._confirm(),
        )
        return self._record(self.session, body, now_ms)

    def asks_at(self, now_ms: int) -> int | None:
        """The nozzle at which the screen asks for a second press, if it asks."""
        return self._sure.nozzle if self._sure is not None and now_ms < self._sure.until_ms else None

    def _is_meant(self, number: int, now_ms: int) -> bool:
        """Whether a press at a nozzle pours; where it must be confirmed, the first one makes the screen ask."""
        asked_at, self._sure = self.asks_at(now_ms), None
        if number in self._confirm() and asked_at != number:
            self._sure = Sure(number, now_ms + CONFIRM_MS)
        return self._sure is None

    def pour_ms(self, number: int, volume_ul: int) -> int:
        """How long that pour keeps the valve open, in ms."""
        return round(volume_ul * 1000 / self.plant.flow_ul_s(number))

    def open_valve(self, number: int, volume_ul: int, now_ms: int) -> None:
        """Begin a pour that takes its time; `close_valve` ends it. Nothing happens where it does not pour."""
        if self.pours and self._is_meant(number, now_ms):
            self._pouring = Pouring(number, volume_ul, now_ms)

    @property
    def pours(self) -> bool:
        """Whether it pours for customers: it is not locked, and no command has a valve open."""
        return self.in_service and not self._locked()

    @property
    def pouring(self) -> bool:
        """Whether a valve stands open."""
        return self._pouring is not None

    def close_valve(self, now_ms: int) -> int | None:
        """The pour is through: as `pour`. None, too, if the power failed meanwhile."""
        pouring, self._pouring = self._pouring, None
        if pouring is None or not self.pours:
            return None
        return self._dose(pouring.nozzle, pouring.wanted_ul, now_ms)

    def lose_power(self, now_ms: int) -> None:
        """The screen is dark and nobody knows whose session it was. A valve that stood open spills uncounted."""
        if self._pouring is not None:
            self.plant.spill(self._pouring.nozzle, now_ms - self._pouring.opened_ms, now_ms)
        self._pouring = None
        self.leave()
        self._unasked_until_ms, self.blinks_until_ms = None, 0

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
        self.plant.refill(number, now_ms)
        body = RefilledBody(nozzle=number, sauce=self.tanks[number].sauce.id, volume_ul=TANK_UL)
        return self._record(0, body, now_ms)

    def low_tanks(self) -> list[int]:
        """The nozzles whose bottle is nearly empty."""
        return [number for number, nozzle in self.tanks.items() if nozzle.level_ul < LOW_TANK_UL]

    # -- the firmware's side ------------------------------------------------------------------------------------------

    def nozzles(self) -> tuple[NozzleInfo, ...]:
        """The nozzles as HELLO tells of them."""
        return tuple(
            NozzleInfo(nozzle=nozzle.number, sauce=nozzle.sauce.id, level_ml=self.plant.level_ml(nozzle.number))
            for nozzle in self.tanks.values()
        )

    def readings(self, now_ms: int) -> Readings:
        """What every sensor says now."""
        return self.plant.readings(now_ms)

    def show(self, picks: Picks) -> None:
        """Put picks on the screen."""
        self.shown = Shown(picks.picks, picks.pick_id)
        self._unasked_until_ms = None

    def show_own_choice(self) -> None:
        """No answer came: the customer chooses without picks."""
        self.shown = Shown()

    # -- what commands do ---------------------------------------------------------------------------------------------

    def blink(self, until_ms: int) -> None:
        """Blink, for somebody who looks for this one."""
        self.blinks += 1
        self.blinks_until_ms = until_ms

    def show_unasked(self, picks: tuple[PickInfo, ...], pick_id: str, until_ms: int) -> None:
        """Put picks on the screen that no customer asked for; `look` takes them off again."""
        self.shown = Shown(picks, pick_id)
        self._unasked_until_ms = until_ms

    def show_address(self, url: str, until_ms: int) -> None:
        """Put an address on the screen; `look` takes it off again."""
        self.shown = Shown(address=url)
        self._unasked_until_ms = until_ms

    def look(self, now_ms: int) -> None:
        """Take off the screen what has been there for long enough."""
        if self._unasked_until_ms is not None and now_ms >= self._unasked_until_ms:
            self.shown, self._unasked_until_ms = Shown(), None
        if self.asks_at(now_ms) is None:
            self._sure = None

    def render_screen(self) -> str:
        """The screen, drawn as text."""
        status = f"session {self.session}" + (f" · dial {self.dial}" if self.dial is not None else "")
        if not self.pours:
            status = "locked" if self._locked() else "service"
        own_choice = [f"{nozzle.number:>2} {nozzle.sauce.name}" for nozzle in self.tanks.values()]
        if self._sure is not None:
            sauce = self.tanks[self._sure.nozzle].sauce.name
            return render_question(sauce, self._sure.nozzle, title=f"PICANTE {self.name}", status=status)
        return render(self.shown, title=f"PICANTE {self.name}", status=status, own_choice=own_choice)

    def shown_pick_id(self, sauce: str) -> str | None:
        """The impression that shows this sauce now, if one does."""
        return self.shown.pick_id if any(pick.sauce == sauce for pick in self.shown.picks) else None
