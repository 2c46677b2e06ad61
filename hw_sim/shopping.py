"""Customers at a dispenser: they come, maybe say what they like, ask, read the screen, pour, rate, and go."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime

from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import PickInfo
from heat.catalog import Sauce
from hw_sim.scenario import CrowdSettings
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import Visit
from hw_sim.shoppers.weather import temperature_c
from hw_sim.shoppers.world import Crowd
from hw_sim.unit import Unit

READING_S = 2.5
TASTING_S = 4.0
"""Seconds that people take, at pace 1."""
SECOND_HELPING = 0.12
"""Chance of pouring the same once more within seconds, as real customers do."""


async def keep_shop(
    unit: Unit, crowd: Crowd, settings: CrowdSettings, rng: random.Random, opened: asyncio.Event
) -> None:
    """Let one customer after another come to a dispenser while it is opened, for ever. Now is day 0."""
    begun = datetime.now().astimezone()
    while True:
        await asyncio.sleep(rng.expovariate(1 / settings.visit_every_s))
        await opened.wait()
        shopper = crowd.draw(rng)
        async with unit.in_use:
            if not opened.is_set():
                continue
            now = datetime.now().astimezone()
            day = max((now.date() - begun.date()).days, 0)
            visit = shopper.arrive(rng, day, now.hour, temperature_c(crowd.seed, day, now.hour))
            await shop(unit, shopper, visit, settings.pace)
            unit.twin.leave()
            unit.refill_low_tanks()


async def shop(unit: Unit, shopper: Shopper, visit: Visit, pace: float) -> None:
    """One visit, from stepping up to leaving."""
    unit.begin_session()
    _say(unit, visit)
    picks = await unit.ask(token=shopper.token, mood=visit.mood)
    await asyncio.sleep(READING_S * pace)
    shown: tuple[PickInfo, ...] = picks.picks if picks is not None else ()
    offer = {tank.sauce.id: (number, tank.sauce) for number, tank in unit.twin.tanks.items() if tank.level_ul > 0}
    chosen = shopper.choose(visit, [sauce for _, sauce in offer.values()], [pick.sauce for pick in shown])
    if chosen is None:
        return
    number, sauce = offer[chosen]
    await _pour(unit, shopper, visit, number, sauce, pace)
    await asyncio.sleep(TASTING_S * pace)
    verdict = shopper.rate(visit, sauce)
    if verdict is not None:
        unit.press(verdict)
    if verdict != "too_hot" and random.Random(visit.seed + 3).random() < SECOND_HELPING:
        await _pour(unit, shopper, visit, number, sauce, pace)


def _say(unit: Unit, visit: Visit) -> None:
    if visit.dial is not None:
        unit.twin.turn_dial(visit.dial)
    if visit.said_shu is not None:
        unit.state_preference(StatedBody(shu=visit.said_shu))
    elif visit.said_word is not None:
        unit.state_preference(StatedBody(word=visit.said_word))
    elif visit.dial is not None:
        unit.state_preference(StatedBody(dial=visit.dial))


async def _pour(unit: Unit, shopper: Shopper, visit: Visit, number: int, sauce: Sauce, pace: float) -> None:
    volume_ul = shopper.pour_ul(visit, sauce)
    await asyncio.sleep(unit.twin.pour_ms(number, volume_ul) / 1000 * pace)
    unit.pour_surely(number, volume_ul)
