"""When a bottle will be empty: by the hour of the day, by the slope of a day, or not at all."""

from __future__ import annotations

import pytest

from gateway.forecast import Usage

MONDAY_H = 20_720 * 24
"""Midnight."""


def used(hours: int, ml: float = 30.0, opened: range = range(24), first: int = MONDAY_H) -> Usage:
    """A nozzle from which so much flowed in each opened hour."""
    usage = Usage()
    for hour in range(first, first + hours):
        usage.add(hour, ml if hour % 24 in opened else 0.0)
    return usage


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert Usage().forecast(500, MONDAY_H) is None
    assert used(2).forecast(500, MONDAY_H + 2) is None
    assert used(100, ml=0.0).forecast(500, MONDAY_H + 100) is None
    assert used(100, ml=0.1).forecast(500, MONDAY_H + 100) is None, "it lasts for months"


def test_a_few_hours_give_a_slope() -> None:
    forecast = used(6).forecast(150, MONDAY_H + 6)
    assert forecast is not None
    assert (forecast.hours, forecast.earliest_h, forecast.latest_h) == pytest.approx((5, 5, 5))


def test_one_wild_hour_does_not_bend_the_slope() -> None:
    usage = used(8)
    usage.add(MONDAY_H + 8, 400.0)
    usage.add(MONDAY_H + 9, 30.0)
    forecast = usage.forecast(150, MONDAY_H + 10)
    assert forecast is not None
    assert forecast.hours == pytest.approx(5, rel=0.2)
    assert forecast.earliest_h <= forecast.hours <= forecast.latest_h


def test_days_of_history_tell_the_evening_from_the_night() -> None:
    usage = used(6 * 24, ml=30.0, opened=range(12, 22))
    evening = usage.forecast(90, MONDAY_H + 6 * 24 - 7)  # 17:00
    night = usage.forecast(90, MONDAY_H + 6 * 24 + 0.5)
    assert evening is not None
    assert night is not None
    assert evening.hours == pytest.approx(3, abs=0.1)
    assert night.hours == pytest.approx(11.5 + 3, abs=0.1), "nobody pours before noon"
    assert evening.earliest_h < evening.hours < evening.latest_h


def test_days_that_differ_make_the_interval_wide() -> None:
    usage = Usage()
    for hour in range(6 * 24):
        usage.add(MONDAY_H + hour, 10.0 if hour // 24 % 2 else 40.0)
    forecast = usage.forecast(100, MONDAY_H + 6 * 24)
    assert forecast is not None
    assert forecast.hours == pytest.approx(4, abs=0.1)
    assert forecast.earliest_h < 3
    assert forecast.latest_h > 6


@pytest.mark.parametrize("away", [1, 25, 49, 80, 96, 120, 167])
def test_a_dispenser_that_was_away_is_foretold_by_what_is_known(away: int) -> None:
    usage = used(80)
    now_h = MONDAY_H + 80 + away
    usage.forecast(300, now_h)
    for hour in range(now_h, now_h + 4):
        usage.add(hour, 30.0)
    forecast = usage.forecast(300, now_h + 4)
    assert forecast is not None
    assert forecast.hours > 9, "a gap is no hour in which much flowed"


def test_a_day_of_which_little_was_heard_does_not_make_the_interval_wide() -> None:
    usage = Usage()
    for hour in range(7 * 24):
        if hour // 24 != 3 or hour % 24 < 2:
            usage.add(MONDAY_H + hour, 30.0)
    forecast = usage.forecast(300, MONDAY_H + 7 * 24)
    assert forecast is not None
    assert forecast.hours == pytest.approx(10)
    assert [forecast.earliest_h, forecast.latest_h] == pytest.approx([10 / 1.15, 10 / 0.85])


def test_hours_are_foretold_by_though_none_was_asked_for_since_the_clock_was_set_back() -> None:
    usage = used(2, first=MONDAY_H + 365 * 24)
    for hour in range(MONDAY_H, MONDAY_H + 30):
        usage.add(hour, 30.0)
    assert usage.forecast(300, MONDAY_H + 30) == used(30).forecast(300, MONDAY_H + 30)


def test_hours_that_a_wrong_clock_gave_are_forgotten() -> None:
    usage = used(2, first=MONDAY_H + 12)
    for hour in range(MONDAY_H, MONDAY_H + 10):
        usage.forecast(300, hour + 0.1)
        usage.add(hour, 30.0)
    forecast = usage.forecast(300, MONDAY_H + 10)
    assert forecast is not None
    assert forecast == used(10).forecast(300, MONDAY_H + 10)


def test_hours_are_summed_and_none_is_taken_twice() -> None:
    usage = used(5)
    usage.add(MONDAY_H + 4, 30.0)
    usage.add(MONDAY_H + 2, 1_000.0)
    forecast = usage.forecast(180, MONDAY_H + 5)
    assert forecast is not None
    assert forecast.hours == pytest.approx(6, rel=0.2)
