"""A simulated dispenser's sampling in real time: reads when it is due, and offers its firmware what is to be told."""

from __future__ import annotations

import asyncio

from hw_sim.sampler import Sampler
from hw_sim.unit import Unit

FROZEN_S = 0.1
"""s between two looks at whether frozen firmware runs again."""


async def keep_sampling(unit: Unit, hz: int) -> None:
    """Read a dispenser's sensors for ever, `hz` times a second while something flows or somebody looks."""
    sampler, last_ms = Sampler(hz), 0
    while True:
        await unit.power.wait()
        now_ms = unit.firmware.now_ms()
        if now_ms < last_ms:
            sampler = Sampler(hz)  # a boot: what was in RAM is gone
        last_ms = now_ms
        if unit.firmware.frozen:
            await asyncio.sleep(FROZEN_S)
            continue
        if now_ms >= sampler.due_ms:
            looked_at = unit.firmware.mcu.looked_at(now_ms)
            readings = unit.twin.readings(now_ms)
            for sample in sampler.read(readings, pouring=unit.twin.pouring, looked_at=looked_at):
                unit.offer(sample)
        await asyncio.sleep(max(sampler.due_ms - unit.firmware.now_ms(), 5) / 1000)
