"""A link's errors of the last hour, and a dispenser's pours of the store's day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from firmware_bridge.bodies import EventBody, PouredBody
from gateway.web import tallies
from gateway.web.tallies import LastHour, Today
from tests.gateway.web.conftest import Inside


def test_what_an_hour_forgets_is_counted_no_more() -> None:
    now_s = [0.0]
    hour = LastHour(lambda: now_s[0])
    for minute in range(90):
        now_s[0] = minute * 60.0
        hour.add(Counter({"a": 1, "b": 2} if minute < 30 else {"a": 1}))
    assert (hour.count("a"), hour.count("b"), hour.count("c")) == (60, 0, 0)
    now_s[0] += 3_600
    assert hour.count("a") == 0


def test_names_that_are_made_up_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MAX_LINKS", 2)
    hour = LastHour(lambda: 0.0)
    hour.add({"a": 1, "b": 1, "c": 1})
    hour.add({"a": 1})
    assert [hour.count(name) for name in "abc"] == [2, 1, 0]


def pour() -> EventBody:
    """A dose."""
    return PouredBody(nozzle=1, sauce="table-red", volume_ul=5_000, duration_ms=900)


async def test_pours_of_the_day_are_counted_from_midnight_and_after_a_restart(inside: Inside) -> None:
    hello = inside.hello()
    now_s = [datetime.now(UTC).timestamp()]
    today = Today(inside.state.reader, "UTC", lambda: now_s[0])
    for _ in range(3):
        await inside.deliver(hello, pour())
    assert not today.look()
    assert today.pours("hot-bar-1") == 3
    assert today.pours("hot-bar-2") == 0
    assert Today(inside.state.reader, "UTC").pours("hot-bar-1") == 3, "as one that starts now sees it"
    now_s[0] += 86_400
    today.look()
    assert today.pours("hot-bar-1") == 0, "it is tomorrow"


async def test_a_day_begins_at_the_store_s_midnight(inside: Inside) -> None:
    """On the day on which clocks go back it has 25 hours."""
    noon = datetime(2026, 10, 25, 12, tzinfo=UTC).timestamp()
    today = Today(inside.state.reader, "Europe/Berlin", lambda: noon)
    assert today.day() == (
        datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp() * 1000,
        datetime(2026, 10, 25, 23, tzinfo=UTC).timestamp() * 1000,
    )
