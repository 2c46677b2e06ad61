"""How well the gateway judges sensors: `python -m benchmarks.sensors` prints, for each fault, how many are found, when.

The truth is the simulator's plant: bottles that are poured from and changed, meters and level sensors with noise, and
at a known time a leak, a drift, or a sensor that sticks. The judgement sees minutes of readings alone, 12 readings a
minute where a dispenser sends 60, so its noise is twice what it is in a shop. A false alarm is any finding without a
fault; after a fault, any finding of another code before the right one.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.aggregates import FLOW, LEVEL, TEMPERATURE, Aggregate, Sensor, Sums
from gateway.judge import Judge, Limits
from gateway.plausibility import Code
from heat.catalog import default_catalog
from hw_sim.physics import Physics
from hw_sim.plant import LOW_TANK_UL, Nozzle, Plant

MINUTE_MS, HOUR_MINUTES, DAY_MINUTES = 60_000, 60, 1_440
READS = 12
"""A minute."""
OPEN_HOURS = range(11, 23)
POUR_UL = (4_000, 20_000)
FIRST_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000


@dataclass(frozen=True)
class Fault:
    """Something that breaks, and the code that should be told of it."""

    name: str
    code: str | None
    begin: Callable[[Plant, int], None]
    """Given the plant and the nozzle."""


def _leak(ul_s: float) -> Callable[[Plant, int], None]:
    def begin(plant: Plant, nozzle: int) -> None:
        plant.nozzles[nozzle].leak_ul_s = ul_s

    return begin


def _step(share: float) -> Callable[[Plant, int], None]:
    def begin(plant: Plant, nozzle: int) -> None:
        plant.meters[nozzle].pulses_per_ml *= 1 + share

    return begin


def _creep(per_h: float) -> Callable[[Plant, int], None]:
    def begin(plant: Plant, nozzle: int) -> None:
        plant.meters[nozzle].creep_per_h = per_h

    return begin


def _stick(plant: Plant, nozzle: int) -> None:
    plant.gauges[nozzle].stuck = True


FAULTS = (
    Fault("none", None, lambda _plant, _nozzle: None),
    Fault("leak of 36 ml/h", "leak", _leak(10.0)),
    Fault("leak of 7.2 ml/h", "leak", _leak(2.0)),
    Fault("leak of 1.8 ml/h", "leak", _leak(0.5)),
    Fault("meter 10 % off at once", "drift", _step(0.10)),
    Fault("meter 6 % off at once", "drift", _step(-0.06)),
    Fault("meter creeps 0.1 %/h", "drift", _creep(0.001)),
    Fault("level sensor sticks", "stuck_level", _stick),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one run."""

    days: float
    found_h: float | None
    """Hours from the fault's beginning to its finding."""
    false: Counter[str]


def run(fault: Fault, seed: int, days: int, sensor: str = "ultrasonic", fault_day: float = 4.5) -> Outcome:
    """Judge one dispenser of two nozzles for so many days; its fault begins on `fault_day`, on nozzle 1."""
    judge, false, told = Judge(Limits()), Counter[str](), set[tuple[Code, int]]()
    begun: int | None = None
    found_h = None
    for minute, sums in _minutes(fault, seed, days, sensor, fault_day):
        if begun is None and minute >= fault_day * DAY_MINUTES:
            begun = minute
        judge.minute("bar-1", FIRST_MS + minute * MINUTE_MS, MINUTE_MS, sums)
        now = {(finding.code, finding.nozzle) for finding in judge.findings().get("bar-1", ())}
        for code, nozzle in now - told:
            if begun is not None and (code, nozzle) == (fault.code, 1):
                found_h = found_h if found_h is not None else (minute - begun) / HOUR_MINUTES
            elif found_h is None or nozzle != 1:
                false[code] += 1
        told = now
    return Outcome(days, found_h, false)


def _minutes(fault: Fault, seed: int, days: int, sensor: str, fault_day: float) -> Iterator[tuple[int, Sums]]:
    rng = random.Random(f"{seed}:{fault.name}:{sensor}")
    sauces = list(default_catalog().values())
    plant = Plant(
        [Nozzle(number, sauces[number]) for number in (1, 2)],
        Physics(level_sensor=sensor),  # type: ignore[arg-type]
        rng,
    )
    broken = False
    before = dict.fromkeys(plant.nozzles, 0)
    for minute in range(days * DAY_MINUTES):
        if not broken and minute >= fault_day * DAY_MINUTES:
            plant.settle(minute * MINUTE_MS)
            fault.begin(plant, 1)
            broken = True
        values: dict[Sensor, list[int]] = {}
        busy = 0.1 if minute // HOUR_MINUTES % 24 in OPEN_HOURS else 0.0
        for read in range(READS):
            now_ms = minute * MINUTE_MS + read * MINUTE_MS // READS
            for number, nozzle in plant.nozzles.items():
                if rng.random() < busy / READS:
                    if nozzle.level_ul < LOW_TANK_UL:
                        plant.refill(number, now_ms)
                    else:
                        plant.dose(number, rng.randint(*POUR_UL), now_ms)
            readings = plant.readings(now_ms)
            for one in readings.nozzles:
                values.setdefault(Sensor(FLOW, one.nozzle), []).append(one.pulses - before[one.nozzle])
                values.setdefault(Sensor(LEVEL, one.nozzle), []).append(round(one.level_ml))
                before[one.nozzle] = one.pulses
            values.setdefault(Sensor(TEMPERATURE, 0), []).append(round(readings.cabinet_c * 100))
        yield minute, {key: Aggregate.of(of) for key, of in values.items()}


def main() -> int:
    """Run all, and print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.sensors", description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--days", type=int, default=10)
    options.add_argument("--first", type=int, default=1)
    chosen = options.parse_args()
    sys.stdout.write(f"{'sensor':12} {'fault':24} found    median    worst   false alarms in a dispenser-month\n")
    for sensor in ("ultrasonic", "hydrostatic"):
        for fault in FAULTS:
            runs = [run(fault, seed, chosen.days, sensor) for seed in range(chosen.first, chosen.first + chosen.seeds)]
            false = sum((each.false for each in runs), Counter[str]())
            months = sum(each.days for each in runs) / 30
            found = sorted(each.found_h for each in runs if each.found_h is not None)
            times = f"{statistics.median(found):7.1f} h {found[-1]:6.1f} h" if found else "        -        -"
            sys.stdout.write(
                f"{sensor:12} {fault.name:24} {len(found):2}/{len(runs):<2} {times}   "
                f"{sum(false.values()) / months:.2f} {dict(false) if false else ''}\n"
            )
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
