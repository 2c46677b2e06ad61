"""All dispensers' minutes -> what is not right at them, and when their bottles will be empty. No I/O.

It knows nothing but the minutes that it was given, so a start of the gateway reads the stored ones again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from firmware_bridge.messages import MAX_NOZZLES
from gateway.aggregates import DOOR, FLOW, HOUR_MS, LEVEL, TEMPERATURE, TRAY, Aggregate, Sensor, Sums
from gateway.forecast import Forecast, Usage
from gateway.plausibility import Code, Finding, NozzleWatch, Stuck

Meters = dict[tuple[str, int], float]
"""Pulses a millilitre, by dispenser and nozzle."""

log = logging.getLogger("gateway.judge")

MAX_DISPENSERS = 1_000
DOOR_MINUTES = 5
"""Minutes for which the door may stand open: a bottle is changed in two."""
TRAY_MINUTES = 2
CELSIUS_MINUTES = 10
"""Minutes for which the temperature must be out of its range, or back in it by `BACK_CENTI_C`."""
BACK_CENTI_C = 50
STUCK_CELSIUS_MINUTES = 60
AWAY_MS = 2 * HOUR_MS
"""ms without a minute after which nothing is foretold: nobody knows what is in the bottles now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The cabinet's temperatures, °C."""

    coldest_c: float = 5.0
    warmest_c: float = 30.0


@dataclass(slots=True)
class _Lasting:
    """A condition that must last for so many minutes to begin, and to end."""

    minutes: int
    end_minutes: int
    finding: Finding | None = None
    _for: int = 0

    def look(self, code: Code, at_ms: int, *, wrong: bool, right: bool, amount: float = 0.0) -> None:
        """Look at a minute, which may be neither wrong nor right."""
        toward = wrong if self.finding is None else right
        self._for = self._for + 1 if toward else 0
        if self.finding is None and self._for >= self.minutes:
            self.finding, self._for = Finding(code, 0, at_ms, amount), 0
        elif self.finding is not None and self._for >= self.end_minutes:
            self.finding, self._for = None, 0
        elif self.finding is not None and wrong:
            self.finding = Finding(code, 0, self.finding.since_ms, amount)


@dataclass(slots=True)
class _Cabinet:
    warm: _Lasting = field(default_factory=lambda: _Lasting(CELSIUS_MINUTES, CELSIUS_MINUTES))
    cold: _Lasting = field(default_factory=lambda: _Lasting(CELSIUS_MINUTES, CELSIUS_MINUTES))
    door: _Lasting = field(default_factory=lambda: _Lasting(DOOR_MINUTES, 1))
    tray: _Lasting = field(default_factory=lambda: _Lasting(TRAY_MINUTES, TRAY_MINUTES))
    thermometer: Stuck = field(default_factory=lambda: Stuck(STUCK_CELSIUS_MINUTES))
    stuck: Finding | None = None

    def minute(self, at_ms: int, sums: Sums, limits: Limits) -> None:
        if (celsius := sums.get(Sensor(TEMPERATURE, 0))) is not None:
            self._temperature(at_ms, celsius, limits)
        if (door := sums.get(Sensor(DOOR, 0))) is not None:
            self.door.look("door_open", at_ms, wrong=door.least > 0, right=door.last == 0)
        if (tray := sums.get(Sensor(TRAY, 0))) is not None:
            self.tray.look("tray_full", at_ms, wrong=tray.least > 0, right=tray.most == 0)

    def _temperature(self, at_ms: int, celsius: Aggregate, limits: Limits) -> None:
        mean, cold, warm = celsius.mean, 100 * limits.coldest_c, 100 * limits.warmest_c
        self.warm.look("too_warm", at_ms, wrong=mean > warm, right=mean < warm - BACK_CENTI_C, amount=mean)
        self.cold.look("too_cold", at_ms, wrong=mean < cold, right=mean > cold + BACK_CENTI_C, amount=mean)
        self.thermometer.look(celsius)
        if not self.thermometer.stuck:
            self.stuck = None
        elif self.stuck is None:
            self.stuck = Finding("stuck_thermometer", 0, at_ms, celsius.last)

    def findings(self) -> list[Finding]:
        found = (self.warm.finding, self.cold.finding, self.door.finding, self.tray.finding, self.stuck)
        return [finding for finding in found if finding is not None]


@dataclass(slots=True)
class _Dispenser:
    cabinet: _Cabinet = field(default_factory=_Cabinet)
    nozzles: dict[int, NozzleWatch] = field(default_factory=dict)
    usage: dict[int, Usage] = field(default_factory=dict)
    levels_ml: dict[int, float] = field(default_factory=dict)
    heard_ms: int = 0
    """When its newest minute began."""

    def minute(self, at_ms: int, covered_ms: int, sums: Sums, limits: Limits, learned: dict[int, float]) -> None:
        self.heard_ms = at_ms
        self.cabinet.minute(at_ms, sums, limits)
        for sensor in sums:
            if sensor.channel == LEVEL and sensor.nozzle not in self.nozzles and len(self.nozzles) < MAX_NOZZLES:
                self.nozzles[sensor.nozzle] = NozzleWatch(sensor.nozzle, learned.get(sensor.nozzle))
                self.usage[sensor.nozzle] = Usage()
        for nozzle, watch in self.nozzles.items():
            flow, level = sums.get(Sensor(FLOW, nozzle)), sums.get(Sensor(LEVEL, nozzle))
            watch.minute(at_ms, covered_ms, flow, level)
            if flow is not None:
                self.usage[nozzle].add(at_ms // HOUR_MS, watch.ml(flow.sum))
            if level is not None:
                self.levels_ml[nozzle] = level.mean

    def forecasts(self, now_ms: int) -> Iterator[tuple[int, Forecast]]:
        if abs(now_ms - self.heard_ms) > AWAY_MS:
            return
        for nozzle, usage in self.usage.items():
            forecast = usage.forecast(self.levels_ml.get(nozzle, 0.0), now_ms / HOUR_MS)
            if forecast is not None:
                yield nozzle, forecast


class Judge:
    """What is known of all dispensers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._dispensers: dict[str, _Dispenser] = {}
        self._learned: dict[str, dict[int, float]] = {}
        """Factors that were learned before the start."""
        self._failed: set[str] = set()
        """Dispensers whose judgement went wrong since the start, no more than `MAX_DISPENSERS`."""

    def minute(self, dispenser: str, at_ms: int, covered_ms: int, sums: Sums) -> None:
        """Take in a minute of one dispenser; they come in their order. `at_ms` is Unix time, or any other count."""
        if dispenser not in self._dispensers and len(self._dispensers) >= MAX_DISPENSERS:
            return
        known = self._dispensers.setdefault(dispenser, _Dispenser())
        with self._alone(dispenser):
            known.minute(at_ms, covered_ms, sums, self._limits, self._learned.get(dispenser, {}))

    def forget_meter(self, dispenser: str, nozzle: int) -> None:
        """A meter was calibrated or changed."""
        self._learned.get(dispenser, {}).pop(nozzle, None)
        known = self._dispensers.get(dispenser)
        if known is not None and nozzle in known.nozzles:
            known.nozzles[nozzle].forget_meter()

    def forget_leak(self, dispenser: str, nozzle: int) -> None:
        """A leak was mended, as somebody says."""
        known = self._dispensers.get(dispenser)
        if known is not None and nozzle in known.nozzles:
            known.nozzles[nozzle].forget_leak()

    def recall(self, meters: Meters) -> None:
        """Go on with what meters were learned to be, before the first minute."""
        for (dispenser, nozzle), pulses_per_ml in meters.items():
            self._learned.setdefault(dispenser, {})[nozzle] = pulses_per_ml

    def learned(self) -> Meters:
        """What meters were learned to be, those of dispensers that are away too."""
        found = {(name, nozzle): each for name, nozzles in self._learned.items() for nozzle, each in nozzles.items()}
        for name, known in self._dispensers.items():
            for nozzle, watch in known.nozzles.items():
                if watch.pulses_per_ml is not None:
                    found[name, nozzle] = watch.pulses_per_ml
        return found

    def findings(self) -> dict[str, list[Finding]]:
        """What is not right, by dispenser."""
        found = {
            name: known.cabinet.findings() + [f for watch in known.nozzles.values() for f in watch.findings()]
            for name, known in self._dispensers.items()
        }
        return {name: findings for name, findings in found.items() if findings}

    def forecasts(self, now_ms: int) -> dict[tuple[str, int], Forecast]:
        """When bottles will be empty, by dispenser and nozzle, where there is enough to go by."""
        found: dict[tuple[str, int], Forecast] = {}
        for name, known in list(self._dispensers.items()):
            with self._alone(name):
                found.update(((name, nozzle), forecast) for nozzle, forecast in known.forecasts(now_ms))
        return found

    @contextmanager
    def _alone(self, dispenser: str) -> Iterator[None]:
        """What can't be judged of one dispenser is told once, and begun anew; the others are judged."""
        try:
            yield
        except Exception:
            if dispenser not in self._failed and len(self._failed) < MAX_DISPENSERS:
                self._failed.add(dispenser)
                log.exception("%s can't be judged by its readings, which are looked at anew; report this", dispenser)
            self._dispensers.pop(dispenser, None)
