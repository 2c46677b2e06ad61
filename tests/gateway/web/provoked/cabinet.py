"""A simulated cabinet in virtual time: the simulator's bottles, meters and sensors, and its firmware's SAMPLEs of them.

What breaks is broken as `picante sim ctl` breaks it; hours of readings pass in a second.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from firmware_bridge.messages import Hello
from gateway.clock import Clock
from gateway.judge import Limits
from gateway.sample_file import SampleFile
from gateway.samples import Samples
from heat.catalog import default_catalog
from hw_sim.physics import Physics
from hw_sim.plant import Nozzle, Plant
from hw_sim.sampler import IDLE_MS, Sampler
from tests.gateway.conftest import HandClock
from tests.gateway.web.conftest import Inside

MINUTE_MS = 60_000
LOW_UL = 200_000
"""µl in its bottle below which somebody changes it."""
TURN_MINUTES = 5
"""Minutes of readings that the gateway looks at in one go."""


class Cabinet:
    """One dispenser with one bottle."""

    def __init__(self, samples: Samples, hand: HandClock, hello: Hello, room_c: float = 26.0) -> None:
        self.plant = Plant(
            [Nozzle(1, default_catalog()["table-red"])],
            Physics(level_sensor="hydrostatic", room_c=room_c),
            random.Random(7),
        )
        self.samples = samples
        self._hand, self._began_ms, self._name = hand, hand.boot_ms, hello.dispenser
        self._sampler = Sampler(1000 // IDLE_MS)
        samples.greet(hello)

    @property
    def now_ms(self) -> int:
        """Its firmware's uptime."""
        return self._hand.boot_ms - self._began_ms

    async def go_on(self, minutes: int, pour_ml: float = 0.0, every: int = 3) -> None:
        """Time passes, and every so many minutes somebody pours."""
        for minute in range(minutes):
            for second in range(MINUTE_MS // IDLE_MS):
                self._hand.go_on(IDLE_MS)
                if pour_ml and minute % every == 0 and second == MINUTE_MS // IDLE_MS // 2:
                    self._pour(pour_ml)
                for sample in self._sampler.read(self.plant.readings(self.now_ms)):
                    self.samples.take(self._name, sample)
            if minute % TURN_MINUTES == TURN_MINUTES - 1 or minute == minutes - 1:
                await self.samples.turn()

    def _pour(self, ml: float) -> None:
        if self.plant.nozzles[1].level_ul < LOW_UL:
            self.plant.refill(1, self.now_ms)
        self.plant.dose(1, round(ml * 1000), self.now_ms)


@asynccontextmanager
async def cabinet_of(inside: Inside, directory: Path, room_c: float = 26.0) -> AsyncIterator[Cabinet]:
    """The daemon reads a simulated cabinet by a clock that goes as fast as the test wants."""
    hand = HandClock()
    clock = Clock("system", hand, hand.boot_ns, directory / "nobody-says-so")
    clock.now()
    before = inside.state.samples
    path = directory / "samples-of-a-cabinet.db"
    samples = inside.state.samples = Samples(SampleFile(path, 2**24, "boot"), clock, Limits())
    try:
        yield Cabinet(samples, hand, inside.hello(), room_c)
    finally:
        inside.state.samples = before
        samples.close()
        path.unlink(missing_ok=True)
