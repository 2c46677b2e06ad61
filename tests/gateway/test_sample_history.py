"""Sensor values drawn thin: each stretch keeps its least and its most, so that no peak is lost."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.aggregates import FLOW, LEVEL, TEMPERATURE, Aggregate, Sensor
from gateway.sample_file import MinuteRow, RawRow
from gateway.sample_history import History

LEVEL_1 = Sensor(LEVEL, 1)


def raw(at_ms: int, period_ms: int, values: list[int], channel: int = LEVEL) -> RawRow:
    return RawRow("bar-1", at_ms, period_ms, msgspec.msgpack.encode([[channel, 1, values]]))


@given(
    st.lists(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=1, max_size=64), max_size=6),
    st.integers(1, 3_000),
    st.integers(0, 70_000),
)
def test_no_peak_is_lost_and_each_value_is_in_its_stretch(told: list[list[int]], period_ms: int, end_ms: int) -> None:
    """As one that looks at each value by itself sees it."""
    history = History(10_000, 1_000, 50)
    expected: dict[int, list[int]] = {}
    for values in told:
        history.add_raws([raw(end_ms, period_ms, values)])
        for back, value in enumerate(reversed(values)):
            index = (end_ms - back * period_ms - 10_000) // 1_000
            if 0 <= index < 50:
                expected.setdefault(index, []).append(value)
    none: list[float | None] = [None] * 50
    least, most = history.least.get(LEVEL_1, none), history.most.get(LEVEL_1, none)
    assert {index: value for index, value in enumerate(least) if value is not None} == {
        index: min(values) for index, values in expected.items()
    }
    assert {index: value for index, value in enumerate(most) if value is not None} == {
        index: max(values) for index, values in expected.items()
    }


def test_flow_is_told_by_the_second_however_far_apart_the_readings_are() -> None:
    history = History(0, 1_000, 20)
    history.add_raws([raw(900, 100, [4] * 10, FLOW), raw(2_000, 1_000, [40], FLOW)])
    assert history.most[Sensor(FLOW, 1)][:3] == [40, None, 40]


def test_minutes_are_drawn_as_they_were_summed_up() -> None:
    history = History(0, 120_000, 3)
    sums = {
        Sensor(TEMPERATURE, 0): Aggregate(60, 0, 1_900, 2_150, 2_000),
        Sensor(FLOW, 1): Aggregate(60, 600, 0, 90, 0),
    }
    history.add_minutes([MinuteRow("bar-1", 60_000, 60_000, sums), MinuteRow("bar-1", 600_000, 60_000, sums)])
    assert history.least[Sensor(TEMPERATURE, 0)] == [1_900, None, None]
    assert history.most[Sensor(TEMPERATURE, 0)] == [2_150, None, None]
    assert history.most[Sensor(FLOW, 1)] == [10.0, None, None], "pulses a second, on the average"
