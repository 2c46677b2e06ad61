"""The weather over a shop: a spring that warms up, days of their own, warmer afternoons. Seeded."""

from __future__ import annotations

import math
import random
from functools import lru_cache

FIRST_DAY_C, WARMER_A_DAY = 9.0, 0.13
"""°C of day 0 by and large, and what each day adds, for half a year; then it gets colder again."""
HALF_YEAR = 182
DAY_SD_C, LASTING = 3.0, 0.75
"""How far days are off the season, and how much of it is left the next day."""
AFTERNOON_C = 4.0
"""How much warmer 15 h is than the day's mean."""


@lru_cache(maxsize=64)
def _off_season(seed: int, days: int) -> tuple[float, ...]:
    rng = random.Random(f"weather:{seed}")
    off, result = 0.0, []
    for _ in range(days):
        off = LASTING * off + rng.gauss(0, DAY_SD_C * math.sqrt(1 - LASTING**2))
        result.append(off)
    return tuple(result)


def temperature_c(seed: int, day: int, hour: int) -> float:
    """°C outside on this day (from 0) at this local hour, to a tenth."""
    season = FIRST_DAY_C + WARMER_A_DAY * (HALF_YEAR - abs(day % (2 * HALF_YEAR) - HALF_YEAR))
    days = 64 * (day // 64 + 1)
    afternoon = AFTERNOON_C * math.cos(2 * math.pi * (hour - 15) / 24)
    return round(season + afternoon + _off_season(seed, days)[day], 1)
