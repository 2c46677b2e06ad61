"""What can be done to a simulated dispenser through the control socket: one type a verb, which is its request as well.

`{"do": "leak", "dispenser": "bar-1", "nozzle": 2}` is checked by its type and done by its `at`, which returns what the
answer carries, raises ConfigError and names what there is, or NotDone if nothing came of it. Here stands what people
do; scripted customers are in `visits`, and what makes trouble in `trouble`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from heat.errors import ConfigError
from heat.events import Verdict
from hw_sim.unit import Unit


class NotDone(ConfigError):
    """It was understood, and nothing happened, or less than was asked for."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="do", tag=str.lower):
    """Something that the simulator is asked to do."""


class AtDispenser(Request, frozen=True, kw_only=True):
    """Something that is done to one dispenser."""

    dispenser: str


# -- what people do ------------------------------------------------------------------------------------------------


class Screen(AtDispenser, frozen=True, kw_only=True):
    """Read the screen: `text` as drawn, and its content."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        shown = unit.twin.shown
        return {
            "text": unit.screen(),
            "session": unit.twin.session,
            "dial": unit.twin.dial,
            "address": shown.address,
            "pick_id": shown.pick_id,
            "picks": [msgspec.structs.asdict(pick) for pick in shown.picks],
        }


class Press(AtDispenser, frozen=True, kw_only=True):
    """Press a verdict about the sauce poured last."""

    verdict: Verdict

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        return _event(unit, pressed(unit, self.verdict))


class Pour(AtDispenser, frozen=True, kw_only=True):
    """Pour from a nozzle or a sauce (left out: the first nozzle), which takes its time unless quick."""

    nozzle: int | None = None
    sauce: str | None = None
    ml: Annotated[float, Meta(gt=0, le=1_000)] = 3.0
    quick: bool = False
    confirm: bool = True
    """Press again where the screen asks whether it is meant."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        async with unit.in_use:
            check_awake(unit)
            nozzle = next(iter(unit.twin.tanks))
            if self.nozzle is not None:
                nozzle = check_nozzle(unit, self.nozzle)
            elif self.sauce is not None:
                nozzle = nozzle_of(unit, self.sauce)
            if unit.twin.session == 0 or not unit.twin.attended(unit.firmware.now_ms()):
                unit.begin_session()
            volume_ul = round(self.ml * 1000)
            sequence = await poured(unit, nozzle, volume_ul, quick=self.quick, confirm=self.confirm)
        return {"nozzle": nozzle, "sauce": unit.twin.tanks[nozzle].sauce.id, **_event(unit, sequence)}


class Refill(AtDispenser, frozen=True, kw_only=True):
    """Put a full bottle on a nozzle."""

    nozzle: int

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        check_awake(unit)
        return _event(unit, unit.refill(check_nozzle(unit, self.nozzle)))


class Door(AtDispenser, frozen=True, kw_only=True):
    """Open or shut the cabinet."""

    to: Literal["open", "shut"]

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        unit.settle()
        unit.twin.plant.cabinet.door_open = self.to == "open"
        return {}


class Tray(AtDispenser, frozen=True, kw_only=True):
    """Empty the drip tray."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        unit.twin.plant.empty_tray(unit.firmware.now_ms())
        return {}


# -- what comes of it --------------------------------------------------------------------------------------------------


def check_powered(unit: Unit) -> None:
    """Raises NotDone."""
    if not unit.powered:
        raise NotDone(f"{unit.name} has no power", hint=f"`power {unit.name} on` gives it some")


def check_awake(unit: Unit) -> None:
    """Raises NotDone where nobody is served: without power, or while the firmware hangs."""
    check_powered(unit)
    if unit.firmware.frozen:
        raise NotDone(f"the firmware of {unit.name} hangs", hint=f"`thaw {unit.name}` lets it go on")


def pressed(unit: Unit, verdict: Verdict) -> int:
    """Press a verdict; its event's sequence. Raises NotDone."""
    check_awake(unit)
    sequence = unit.press(verdict)
    if sequence is None:
        check_awake(unit)
        raise NotDone(f"nothing was poured at {unit.name} in this session")
    return sequence


async def poured(unit: Unit, nozzle: int, volume_ul: int, *, quick: bool, confirm: bool = True) -> int:
    """Pour; the event's sequence. Raises NotDone if nothing came, or less than was asked for.

    With `confirm`, press again where the screen asks whether it is meant.
    """
    tank = unit.twin.tanks[nozzle]
    closed, left_ul = _why_closed(unit, nozzle), tank.level_ul
    sequence = await _pressed_at(unit, nozzle, volume_ul, quick=quick)
    if sequence is None and confirm and unit.asks(nozzle):
        sequence = await _pressed_at(unit, nozzle, volume_ul, quick=quick)
    if sequence is None:
        check_awake(unit)
        if unit.asks(nozzle):
            raise NotDone(f"nothing was poured at {unit.name}: its screen asks to press nozzle {nozzle} again")
        why = closed or _why_closed(unit, nozzle) or "its power failed meanwhile"
        raise NotDone(f"nothing was poured at {unit.name}: {why}")
    if volume_ul > left_ul:
        told = f"only {left_ul / 1000:.1f} of {volume_ul / 1000:.1f} ml were left at nozzle {nozzle} of {unit.name}"
        raise NotDone(f"{told}: they were poured, as event {unit.event_id(sequence)}")
    return sequence


async def _pressed_at(unit: Unit, nozzle: int, volume_ul: int, *, quick: bool) -> int | None:
    return unit.pour(nozzle, volume_ul) if quick else await unit.pour_slowly(nozzle, volume_ul)


def _why_closed(unit: Unit, nozzle: int) -> str | None:
    """Why nothing comes from a nozzle."""
    if not unit.twin.pours:
        return "it is locked, or in service"
    tank = unit.twin.tanks[nozzle]
    if tank.blocked:
        return f"nozzle {nozzle} is blocked"
    return f"the bottle on nozzle {nozzle} is empty" if tank.level_ul <= 0 else None


# -- what there is -----------------------------------------------------------------------------------------------------


def nozzle_of(unit: Unit, sauce: str) -> int:
    """The nozzle with this sauce. Raises ConfigError, naming the sauces."""
    for tank in unit.twin.tanks.values():
        if tank.sauce.id == sauce:
            return tank.number
    sauces = ", ".join(tank.sauce.id for tank in unit.twin.tanks.values())
    raise ConfigError(f"{unit.name} has no {sauce!r}", hint=f"It has {sauces}")


def check_nozzle(unit: Unit, nozzle: int) -> int:
    """`nozzle`, if there is one. Raises ConfigError, naming those that there are."""
    if nozzle not in unit.twin.tanks:
        known = ", ".join(f"{tank.number} ({tank.sauce.id})" for tank in unit.twin.tanks.values())
        raise ConfigError(f"{unit.name} has no nozzle {nozzle}", hint=f"It has {known}")
    return nozzle


def _event(unit: Unit, sequence: int | None) -> dict[str, Any]:
    return {"event": unit.event_id(sequence) if sequence is not None else None, "session": unit.twin.session}


People = Screen | Press | Pour | Refill | Door | Tray
