"""When a bottle will be empty, by what was poured from it lately. Pure.

With three days of history, each hour to come is given what that hour of the day took on average, and the days tell how
much they differ. With less, the slope is Theil and Sen's: the median over all pairs of hours of what flowed between
them (P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63, 1968), and its quartiles are
the interval. With next to nothing, there is no forecast. Hours that a dispenser was away for are not there, and count
neither as use nor as rest.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from dataclasses import dataclass

DAY_HOURS = 24
KEPT_HOURS = 7 * DAY_HOURS
DAYS_ENOUGH = 3
"""Whole days of history from which on the hour of the day is counted on."""
DAY_HEARD_HOURS = 20
"""Hours of a day that must have been heard of, or its sum says nothing of how much days differ."""
HOURS_ENOUGH = 3
ML_ENOUGH = 20.0
"""ml; less says nothing of what is usual."""
FARTHEST_H = 72.0
"""h; a bottle that lasts longer is nobody's worry."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """In how many hours a bottle will be empty: about, and between what."""

    hours: float
    earliest_h: float
    latest_h: float


class Usage:
    """What flowed from one nozzle, hour by hour."""

    def __init__(self) -> None:
        self._hours: deque[tuple[int, float]] = deque(maxlen=KEPT_HOURS)

    def add(self, hour: int, ml: float) -> None:
        """Count what flowed in an hour (hours since 1970, or any count of hours); later hours come later.

        One of days before says that the clock was set back: those that now lie ahead are forgotten.
        """
        if self._hours and self._hours[-1][0] > hour + DAY_HOURS:
            self._forget_after(hour)
        if self._hours and self._hours[-1][0] == hour:
            self._hours[-1] = hour, self._hours[-1][1] + ml
        elif not self._hours or hour > self._hours[-1][0]:
            self._hours.append((hour, ml))

    def forecast(self, level_ml: float, now_h: float) -> Forecast | None:
        """When a bottle with so much in it will be empty; `now_h` is now, in the count of `add`.

        Hours that lie ahead were dated by a clock that was wrong, and are forgotten.
        """
        self._forget_after(int(now_h))
        whole = [(hour, ml) for hour, ml in self._hours if now_h - KEPT_HOURS <= hour < int(now_h)]
        if len(whole) < HOURS_ENOUGH or sum(ml for _, ml in whole) < ML_ENOUGH:
            return None
        days = _whole_days(whole, now_h)
        if len(whole) >= DAYS_ENOUGH * DAY_HOURS and len(days) >= DAYS_ENOUGH - 1:
            found = _by_hour_of_day(whole, days, level_ml, now_h)
        else:
            found = _by_slope(whole[-DAY_HOURS:], level_ml)
        return found if found is not None and found.hours <= FARTHEST_H else None

    def _forget_after(self, hour: int) -> None:
        while self._hours and self._hours[-1][0] > hour:
            self._hours.pop()


def _whole_days(whole: list[tuple[int, float]], now_h: float) -> list[float]:
    """What flowed in each of the days before now that were heard of, 24 hours each."""
    by_day: dict[int, list[float]] = {}
    for hour, ml in whole:
        by_day.setdefault((int(now_h) - 1 - hour) // DAY_HOURS, []).append(ml)
    return [sum(hours) for hours in by_day.values() if len(hours) >= DAY_HEARD_HOURS]


def _by_hour_of_day(
    whole: list[tuple[int, float]], days: list[float], level_ml: float, now_h: float
) -> Forecast | None:
    by_hour: dict[int, list[float]] = {}
    for hour, ml in whole:
        by_hour.setdefault(hour % DAY_HOURS, []).append(ml)
    rates = {hour: statistics.fmean(values) for hour, values in by_hour.items()}
    usual = statistics.fmean(days)
    if usual <= 0:
        return None
    spread = max(statistics.stdev(days) / usual, 0.15)
    ends = [_walk(rates, level_ml, now_h, 1 + by) for by in (0.0, spread, -min(spread, 0.8))]
    if ends[0] is None or ends[1] is None:
        return None
    return Forecast(ends[0], ends[1], ends[2] if ends[2] is not None else 2 * FARTHEST_H)


def _walk(rates: dict[int, float], level_ml: float, now_h: float, busier: float) -> float | None:
    """Hours until the level is used up, where each hour takes its usual share."""
    at_h = now_h
    while at_h - now_h < 2 * FARTHEST_H:
        rate = rates.get(int(at_h) % DAY_HOURS, 0.0) * busier
        step_h = int(at_h) + 1 - at_h
        if rate * step_h >= level_ml:
            return at_h + level_ml / rate - now_h if rate else 0.0
        level_ml -= rate * step_h
        at_h += step_h
    return None


def _by_slope(whole: list[tuple[int, float]], level_ml: float) -> Forecast | None:
    sums = list(itertools.accumulate(ml for _, ml in whole))
    points = list(zip((hour for hour, _ in whole), sums, strict=True))
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2))
    slope = statistics.median(slopes)
    low, _, high = statistics.quantiles(slopes, n=4) if len(slopes) > 1 else (slope, slope, slope)
    if slope <= 0:
        return None
    return Forecast(level_ml / slope, level_ml / max(high, slope), level_ml / low if low > 0 else 2 * FARTHEST_H)
