"""Verbs that make trouble, and those that end it: cable, power, firmware, meters, sensors, nozzles.

What makes trouble is written into the journal as a `fault`, whether somebody asked for it or a scenario's schedule did.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hw_sim.unit import Unit
from hw_sim.verbs import AtDispenser, NotDone, check_nozzle, check_powered

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
IN_WRITE_S = 20.0
"""Seconds that a power cut waits for a write to fall into."""


class Trouble(AtDispenser, frozen=True, kw_only=True):
    """Something that the journal hears of."""

    def note(self, unit: Unit) -> None:
        """Write it into the journal."""
        fields = msgspec.structs.asdict(self)
        del fields["dispenser"]
        unit.note_fault(str(self.__struct_config__.tag), **fields)


# -- cable, power, firmware ----------------------------------------------------------------------------------------


class Unplug(Trouble, frozen=True, kw_only=True):
    """Pull the cable, for good or for some seconds."""

    seconds: Seconds | None = None

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        self.note(unit)
        unit.unplug()
        unit.later(self.seconds, unit.plug)
        return {}


class Plug(AtDispenser, frozen=True, kw_only=True):
    """Put the cable back."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        unit.plug()
        return {}


class Power(Trouble, frozen=True, kw_only=True):
    """Turn it off (for some seconds), on, or off and on; in_write: once so many bytes of the next write are through."""

    to: Literal["off", "on", "cycle"]
    seconds: Seconds | None = None
    in_write: Annotated[int, Meta(ge=0, le=4096)] | None = None

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        self.note(unit)
        if self.to != "on":
            await self._turn_off(unit)
        if self.to == "off":
            unit.later(self.seconds, unit.power_on)
        else:
            unit.power_on()
        return {"boot": unit.header.boot}

    async def _turn_off(self, unit: Unit) -> None:
        if self.in_write is None or not unit.powered:
            unit.power_off()
            return
        unit.cut_power_in_next_write(self.in_write)
        try:
            async with asyncio.timeout(IN_WRITE_S):
                while unit.powered:
                    await unit.changed()
        except TimeoutError:
            raise NotDone(
                f"{unit.name} has written nothing for {IN_WRITE_S:.0f} s: its power fails at its next write",
                hint="Let something happen there",
            ) from None


class Reset(Trouble, frozen=True, kw_only=True):
    """Hold the reset button: the key and all settings are gone, as from the factory; events stay in the ring."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        self.note(unit)
        unit.power_off()
        # the log of commands stays: what was done is not done again
        unit.eeprom.update(
            key=None, pending_key=None, calibration={}, planogram={}, tare_ml={}, locked=False, confirm=()
        )
        unit.power_on()
        return {"boot": unit.header.boot}


class Freeze(Trouble, frozen=True, kw_only=True):
    """Let the firmware hang, for good or for some seconds: nothing is sent or read."""

    seconds: Seconds | None = None

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        self.note(unit)
        check_powered(unit)
        unit.freeze()
        unit.later(self.seconds, unit.thaw)
        return {}


class Thaw(AtDispenser, frozen=True, kw_only=True):
    """Let the firmware go on where it hung."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        unit.thaw()
        return {}


class Babble(Trouble, frozen=True, kw_only=True):
    """Send garbage for some seconds."""

    seconds: Seconds = 3.0

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        self.note(unit)
        check_powered(unit)
        if not unit.line.plugged:
            raise NotDone(f"the cable of {unit.name} is out", hint=f"`plug {unit.name}` puts it back")
        unit.line.babble(self.seconds)
        return {}


# -- meters, sensors, nozzles ----------------------------------------------------------------------------------------


class Drift(Trouble, frozen=True, kw_only=True):
    """Let a flow meter be off: by a percentage at once, and by another an hour from now on."""

    nozzle: int
    percent: Annotated[float, Meta(ge=-90, le=900)] = 0.0
    percent_per_h: Annotated[float, Meta(ge=-100, le=1_000)] = 0.0

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        meter = unit.twin.plant.meters[check_nozzle(unit, self.nozzle)]
        self.note(unit)
        unit.settle()
        meter.pulses_per_ml *= 1 + self.percent / 100
        meter.creep_per_h = self.percent_per_h / 100
        return {"pulses_per_ml": round(meter.pulses_per_ml, 3)}


class Leak(Trouble, frozen=True, kw_only=True):
    """Let a nozzle drip by itself; 0 µl a second mends it."""

    nozzle: int
    ul_per_s: Annotated[float, Meta(ge=0, le=100_000)] = 50.0

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        nozzle = unit.twin.tanks[check_nozzle(unit, self.nozzle)]
        self.note(unit)
        unit.settle()
        nozzle.leak_ul_s = self.ul_per_s
        return {}


class Stuck(Trouble, frozen=True, kw_only=True):
    """Let a sensor stick at what it read last: a nozzle's level, or (left out) the thermometer. on=false frees it."""

    nozzle: int | None = None
    on: bool = True

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        plant = unit.twin.plant
        sensor = plant.cabinet.thermometer if self.nozzle is None else plant.gauges[check_nozzle(unit, self.nozzle)]
        self.note(unit)
        sensor.stuck = self.on
        return {}


class Block(Trouble, frozen=True, kw_only=True):
    """Clog a nozzle; on=false clears it."""

    nozzle: int
    on: bool = True

    async def at(self, unit: Unit) -> dict[str, Any]:
        """See the module."""
        nozzle = unit.twin.tanks[check_nozzle(unit, self.nozzle)]
        self.note(unit)
        nozzle.blocked = self.on
        return {}


Troubles = Unplug | Power | Reset | Freeze | Babble | Drift | Leak | Stuck | Block
Remedies = Plug | Thaw
