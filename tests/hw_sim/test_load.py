"""The load's beat: it keeps its rate, and what could not be made in time is not made in a burst."""

from __future__ import annotations

import pytest

from hw_sim.load import MADE_UP_S, Beat


def made_in(beat: Beat, begun_s: float, until_s: float, turn_s: float) -> int:
    """How many events are made between two times by somebody who is `turn_s` late, each time that they sleep."""
    now_s, made = begun_s, 0
    while True:
        due_s = beat.next_s(now_s)
        if due_s > now_s:
            now_s = due_s + turn_s
        if now_s > until_s:
            return made
        made += 1


@pytest.mark.parametrize("turn_s", [0.0, 0.02, 0.3])
def test_the_rate_holds_though_the_loop_is_busy(turn_s: float) -> None:
    assert made_in(Beat(0.1, 0.0), 0.0, 60.0, turn_s) == pytest.approx(600, abs=MADE_UP_S / 0.1 + 1)


def test_after_an_hour_without_power_the_present_is_taken_up() -> None:
    beat = Beat(0.1, 0.0)
    made_in(beat, 0.0, 10.0, 0.0)
    assert made_in(beat, 3_610.0, 3_620.0, 0.0) == pytest.approx(100, abs=MADE_UP_S / 0.1 + 1)
