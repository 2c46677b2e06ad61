"""The physics of a dispenser's parts: how a sauce flows, and what meters and sensors make of the truth. Pure, seeded.

Source of the shapes: viscosity falls with temperature as Andrade's equation has it, laminar flow through a nozzle goes
with one over the viscosity (Hagen-Poiseuille). The numbers are those of table sauces and of catalogue parts.
"""

from __future__ import annotations

import math
import random
import zlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

REFERENCE_MPAS = 300.0
"""mPa s at which a nozzle gives its nominal flow."""
VISCOSITIES_MPAS = (150.0, 600.0)
"""mPa s at 20 °C of the thinnest and the thickest sauce."""
ANDRADE_K = 2_500.0
"""K; a sauce is about a third thinner at 30 °C than at 20."""
NOMINAL_PULSES_PER_ML = 100.0
"""What a flow meter gives by its data sheet."""

LevelSensor = Literal["ultrasonic", "hydrostatic", "ideal"]
_LEVEL_ML: dict[str, tuple[float, float]] = {"ultrasonic": (3.75, 3.75), "hydrostatic": (1.5, 0.5), "ideal": (0.0, 0.0)}
"""Noise (standard deviation) and step, ml. Ultrasound resolves 1 mm of a bottle of 750 ml and 200 mm."""
_CELSIUS_STEP = 1 / 16
"""°C that the cabinet's thermometer resolves."""
_WARMING_S, _COOLING_S = 600.0, 900.0
"""s in which the cabinet comes 63 % nearer to the room's temperature (door open), or to its own (shut)."""
CABINET_C = 20.0


class Physics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How exact the parts are."""

    level_sensor: LevelSensor = "ultrasonic"
    """How bottles are gauged: ultrasonic (coarse), hydrostatic (finer), ideal (the truth)."""
    meter_noise: Annotated[float, Meta(ge=0, le=0.2)] = 0.005
    """How far one pour's volume is off what its pulses say; a share, standard deviation."""
    meter_spread: Annotated[float, Meta(ge=0, le=0.2)] = 0.02
    """How far flow meters are off their data sheet as they are made; a share, standard deviation."""
    celsius_noise: Annotated[float, Meta(ge=0, le=5)] = 0.05
    """Of the cabinet's thermometer, °C, standard deviation."""
    room_c: Annotated[float, Meta(ge=-20, le=60)] = 26.0
    """Temperature of the room, °C."""


IDEAL = Physics(level_sensor="ideal", meter_noise=0.0, meter_spread=0.0, celsius_noise=0.0)
"""Parts without noise, whose readings are the truth."""


def viscosity_mpas(sauce: str, celsius: float) -> float:
    """A sauce's viscosity, mPa s. It follows from the sauce's id: the catalogue has none."""
    thin, thick = VISCOSITIES_MPAS
    at_20: float = thin * (thick / thin) ** (zlib.crc32(sauce.encode()) / 2**32)
    return at_20 * math.exp(ANDRADE_K * (1 / (celsius + 273.15) - 1 / 293.15))


def flow_ul_s(nominal_ul_s: float, sauce: str, celsius: float) -> float:
    """µl a second of this sauce through an open nozzle that gives `nominal_ul_s` of one of `REFERENCE_MPAS`."""
    return nominal_ul_s * REFERENCE_MPAS / viscosity_mpas(sauce, celsius)


class Sensor:
    """Something that is read with noise, in steps. It can get stuck at what it read last."""

    def __init__(self, noise: float, step: float, rng: random.Random) -> None:
        self.stuck = False
        self._noise = noise
        self._step = step
        self._rng = rng
        self._last: float | None = None

    def read(self, truth: float) -> float:
        """What it says where `truth` is."""
        if not self.stuck or self._last is None:
            value = truth + self._rng.gauss(0.0, self._noise) if self._noise else truth
            self._last = round(value / self._step) * self._step if self._step else value
        return self._last


def level_sensor(kind: LevelSensor, rng: random.Random) -> Sensor:
    """A sensor of what is in a bottle, ml."""
    return Sensor(*_LEVEL_ML[kind], rng)


class FlowMeter:
    """A meter in a nozzle's line: pulses for volume. Its factor may creep, which is what calibration is for."""

    def __init__(self, physics: Physics, rng: random.Random) -> None:
        self.pulses = 0
        """Counted since the boot; the firmware's counter is in its RAM."""
        self.pulses_per_ml = NOMINAL_PULSES_PER_ML * (1 + _bounded(rng, physics.meter_spread))
        """The truth, which nobody but the simulator knows."""
        self.creep_per_h = 0.0
        """Share by which the factor changes in an hour."""
        self._noise = physics.meter_noise
        self._rng = rng

    def age(self, elapsed_ms: float) -> None:
        """Let time pass."""
        if self.creep_per_h:
            self.pulses_per_ml *= math.exp(self.creep_per_h * elapsed_ms / 3_600_000)

    def volume_ul(self, pulses: int) -> float:
        """The volume that flows, in truth, while it gives so many pulses, µl."""
        return pulses * 1000 / self.pulses_per_ml * (1 + _bounded(self._rng, self._noise))


class Cabinet:
    """The box around the bottles: it cools, and warms while its door is open."""

    def __init__(self, physics: Physics, rng: random.Random) -> None:
        self.celsius = CABINET_C
        self.door_open = False
        self.thermometer = Sensor(physics.celsius_noise, _CELSIUS_STEP, rng)
        self._room_c = physics.room_c

    def age(self, elapsed_ms: float) -> None:
        """Let time pass."""
        target, slowness_s = (self._room_c, _WARMING_S) if self.door_open else (CABINET_C, _COOLING_S)
        self.celsius = target + (self.celsius - target) * math.exp(-elapsed_ms / 1000 / slowness_s)


def _bounded(rng: random.Random, deviation: float) -> float:
    """A normal deviate of at most three deviations."""
    return min(max(rng.gauss(0.0, deviation), -3 * deviation), 3 * deviation) if deviation else 0.0
