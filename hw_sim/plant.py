"""What a dispenser is made of besides firmware: bottles, nozzles, meters, sensors, cabinet, drip tray. Pure, seeded.

Here lives the truth (what is in a bottle, what a meter's factor has become), which the firmware sees through its
sensors alone: `Plant.readings`. Time is the firmware's uptime in ms, passed in; leaks and drifts are reckoned when
somebody looks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from heat.catalog import Sauce
from hw_sim.physics import IDEAL, NOMINAL_PULSES_PER_ML, Cabinet, FlowMeter, Physics, flow_ul_s, level_sensor

TANK_UL = 750_000
"""µl; a full bottle."""
FLOW_UL_S = 4_000
"""µl a second of a middling sauce through an open nozzle."""
LOW_TANK_UL = 40_000
"""µl; below this somebody brings a new bottle."""
EMPTY_ML = 5
"""ml; the sensors can't tell less from nothing."""
TRAY_UL = 250_000
TRAY_FULL_UL = 200_000
"""µl that the drip tray holds, and at which its float switches."""
DRIP_SHARE = 0.005
"""Share of a pour that drips into the tray."""


@dataclass(slots=True)
class Nozzle:
    """One nozzle and the bottle on it, as they are in truth."""

    number: int
    sauce: Sauce
    level_ul: float = TANK_UL
    leak_ul_s: float = 0.0
    """µl a second that it drips without being asked."""
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Dose:
    """A pour as the firmware measured it."""

    volume_ul: int
    """Pulses by calibration."""
    duration_ms: int


@dataclass(frozen=True, slots=True)
class NozzleReadings:
    """What the firmware can know of one nozzle."""

    nozzle: int
    level_ml: float
    """By the level sensor."""
    pulses: int
    """Of its flow meter, since the boot."""
    stalls: int
    """Times since the boot that its valve was opened and no pulse came."""


@dataclass(frozen=True, slots=True)
class Readings:
    """All that the firmware's sensors say at one moment."""

    uptime_ms: int
    cabinet_c: float
    door_open: bool
    tray_full: bool
    nozzles: tuple[NozzleReadings, ...]


class Plant:
    """One dispenser's hardware.

    `calibration(nozzle)` is what the firmware takes for a meter's pulses per ml, `tare_ml(nozzle)` what it takes for a
    level sensor's reading of an empty bottle.
    """

    def __init__(
        self,
        nozzles: Iterable[Nozzle],
        physics: Physics = IDEAL,
        rng: random.Random | None = None,
        calibration: Callable[[int], float] = lambda _: NOMINAL_PULSES_PER_ML,
        tare_ml: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        rng = rng or random.Random(0)
        self.nozzles = {nozzle.number: nozzle for nozzle in nozzles}
        self.meters = {number: FlowMeter(physics, rng) for number in self.nozzles}
        # apart, so that what is poured does not depend on how often somebody looks
        looking = random.Random(rng.getrandbits(64))
        self.gauges = {number: level_sensor(physics.level_sensor, looking) for number in self.nozzles}
        self.cabinet = Cabinet(physics, looking)
        self.tray_ul = 0.0
        self._stalls = dict.fromkeys(self.nozzles, 0)
        self._calibration = calibration
        self._tare_ml = tare_ml
        self._settled_ms = 0

    # -- what happens -------------------------------------------------------------------------------------------------

    def dose(self, number: int, wanted_ul: int, now_ms: int) -> Dose | None:
        """Pour until the meter has counted `wanted_ul`, or the bottle is empty; None if no pulse came."""
        self.settle(now_ms)
        nozzle, meter, calibration = self.nozzles[number], self.meters[number], self._calibration(number)
        pulses = max(round(wanted_ul * calibration / 1000), 1)
        truth_ul = meter.volume_ul(pulses)
        if nozzle.blocked:
            pulses, truth_ul = 0, 0.0
        elif truth_ul > nozzle.level_ul:
            pulses, truth_ul = int(pulses * nozzle.level_ul / truth_ul), nozzle.level_ul
        duration_ms = round(truth_ul * 1000 / self.flow_ul_s(number))
        self._drain(nozzle, truth_ul)
        meter.pulses += pulses
        if not pulses:
            self._stalls[number] += 1
            return None
        return Dose(round(pulses * 1000 / calibration), duration_ms)

    def spill(self, number: int, open_ms: int, now_ms: int) -> None:
        """Its valve stood open for so long, and nobody counted: the power failed."""
        self.settle(now_ms)
        nozzle = self.nozzles[number]
        if not nozzle.blocked:
            self._drain(nozzle, min(self.flow_ul_s(number) * open_ms / 1000, nozzle.level_ul))

    def refill(self, number: int, now_ms: int) -> None:
        """Put a full bottle on a nozzle."""
        self.settle(now_ms)
        self.nozzles[number].level_ul = TANK_UL

    def empty_tray(self, now_ms: int) -> None:
        """Pour the drip tray away."""
        self.settle(now_ms)
        self.tray_ul = 0.0

    def reboot(self, off_ms: int) -> None:
        """The firmware starts again after `off_ms` without power: its counters are gone, its uptime begins at 0."""
        self._age(off_ms)
        self._settled_ms = 0
        self._stalls = dict.fromkeys(self.nozzles, 0)
        for meter in self.meters.values():
            meter.pulses = 0

    def settle(self, now_ms: int) -> None:
        """Reckon what time has done since somebody looked last. Call it before a leak, a drift or the door changes."""
        self._age(max(now_ms - self._settled_ms, 0))
        self._settled_ms = max(now_ms, self._settled_ms)

    # -- what is there ------------------------------------------------------------------------------------------------

    def flow_ul_s(self, number: int) -> float:
        """µl a second through this nozzle when it is open: by its sauce, and by how warm that is."""
        return flow_ul_s(FLOW_UL_S, self.nozzles[number].sauce.id, self.cabinet.celsius)

    def level_ml(self, number: int) -> int:
        """What the firmware believes to be in a bottle, as HELLO tells it: whole ml, and 0 where it can't tell."""
        level_ml = int(self.gauge_ml(number) - self._tare_ml(number))
        return level_ml if level_ml >= EMPTY_ML else 0

    def gauge_ml(self, number: int) -> float:
        """What a nozzle's level sensor reads, ml, before anything is taken off."""
        return self.gauges[number].read(self.nozzles[number].level_ul / 1000)

    def readings(self, now_ms: int) -> Readings:
        """What every sensor says now."""
        self.settle(now_ms)
        return Readings(
            now_ms,
            self.cabinet.thermometer.read(self.cabinet.celsius),
            self.cabinet.door_open,
            self.tray_ul >= TRAY_FULL_UL,
            tuple(self._read(nozzle) for nozzle in self.nozzles.values()),
        )

    def _read(self, nozzle: Nozzle) -> NozzleReadings:
        number = nozzle.number
        level_ml = max(self.gauge_ml(number) - self._tare_ml(number), 0.0)
        return NozzleReadings(number, level_ml, self.meters[number].pulses, self._stalls[number])

    def _age(self, elapsed_ms: int) -> None:
        self.cabinet.age(elapsed_ms)
        for meter in self.meters.values():
            meter.age(elapsed_ms)
        for nozzle in self.nozzles.values():
            if nozzle.leak_ul_s:
                lost_ul = min(nozzle.leak_ul_s * elapsed_ms / 1000, nozzle.level_ul)
                nozzle.level_ul -= lost_ul
                self._catch(lost_ul)

    def _drain(self, nozzle: Nozzle, volume_ul: float) -> None:
        nozzle.level_ul -= volume_ul
        self._catch(volume_ul * DRIP_SHARE)

    def _catch(self, volume_ul: float) -> None:
        self.tray_ul = min(self.tray_ul + volume_ul, TRAY_UL)
