"""Events without customers: valid pours, verdicts and statements, at a rate or as fast as the ring takes them.

Their content follows from the seed alone; how much of it carries a pick_id depends on what the gateway shows.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from firmware_bridge.bodies import StatedBody
from heat.events import Verdict
from hw_sim.scenario import LoadSettings
from hw_sim.unit import Unit

BURST = 50
"""Events between two turns that the loop's other tasks get."""
MADE_UP_S = 0.5
"""s of events that are made up for: a busy loop's. What was longer (the power was off, somebody poured) is let go."""
WORDS = ("mild", "medium", "hot", "extra hot")
VERDICTS: tuple[Verdict, ...] = ("too_hot", "just_right", "more")


@dataclass(frozen=True, slots=True)
class Share:
    """One dispenser's part of the load."""

    events_per_s: float
    total: int | None
    ask_share: float
    customers: int


def share_of(settings: LoadSettings, index: int, count: int) -> Share:
    """The part of dispenser `index` of `count`; the parts' totals add up."""
    total = None
    if settings.total is not None:
        total = settings.total // count + (1 if index < settings.total % count else 0)
    return Share(settings.events_per_s / count, total, settings.ask_share, settings.customers)


async def keep_loading(unit: Unit, share: Share, rng: random.Random, opened: asyncio.Event) -> None:
    """Make events while `opened`, until the share's total is in the ring or has been."""
    pace = _Pace(unit, share.events_per_s)
    while share.total is None or unit.header.generated < share.total:
        await opened.wait()
        await unit.power.wait()
        async with unit.in_use:
            if not opened.is_set():
                continue
            unit.begin_session()
            if rng.random() < share.ask_share and unit.online:
                await unit.ask(token=f"load-{rng.randrange(share.customers):06d}")
            for _ in range(rng.randint(1, 5)):
                if not opened.is_set() or (share.total is not None and unit.header.generated >= share.total):
                    break
                await pace.next_turn()
                _make_event(unit, rng)
            unit.twin.leave()


class Beat:
    """When the next event is due. Pure; times in s, of any clock."""

    def __init__(self, gap_s: float, now_s: float) -> None:
        self._gap_s = gap_s
        self._due_s = now_s

    def next_s(self, now_s: float) -> float:
        """When the next one is due: a gap after the last, or now, if it is late by more than `MADE_UP_S`."""
        self._due_s += self._gap_s
        if self._due_s < now_s - MADE_UP_S:
            self._due_s = now_s
        return self._due_s


class _Pace:
    """Waits for the next event's turn: its time, or room in the ring."""

    def __init__(self, unit: Unit, events_per_s: float) -> None:
        self._unit = unit
        self._beat = Beat(1 / events_per_s, asyncio.get_running_loop().time()) if events_per_s else None
        self._burst = 0

    async def next_turn(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._burst = (self._burst + 1) % BURST
        if self._beat is not None:
            wait_s = self._beat.next_s(now_s) - now_s
            if wait_s > 0:
                await asyncio.sleep(wait_s)
        while self._beat is None and self._unit.full:
            await self._unit.changed()
        if self._burst == 0:
            await asyncio.sleep(0)


def _make_event(unit: Unit, rng: random.Random) -> None:
    chance = rng.random()
    number = rng.choice(list(unit.twin.tanks))
    volume_ul = rng.randint(300, 9_000)
    position, word, verdict = rng.randint(0, 100), rng.choice(WORDS), rng.choice(VERDICTS)
    if chance < 0.10:
        unit.state_preference(StatedBody(word=word))
    elif chance < 0.15:
        unit.state_preference(StatedBody(dial=position))
    elif chance < 0.40 and unit.press(verdict) is not None:
        pass
    elif unit.twin.tanks[number].level_ul < volume_ul:
        unit.refill(number)
    else:
        unit.pour_surely(number, volume_ul)
