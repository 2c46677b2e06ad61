"""Firmware and link session on a line that does everything wrong, between two sides that die and come back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.firmware_bridge.pair import Pair, volume_of
from tests.firmware_bridge.wire import DOUBLED, LATE, LOST

FATES = st.lists(st.sampled_from(["", "", "", LOST, DOUBLED, LATE]), max_size=120)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pour"), st.integers(1, 40)),
        st.tuples(st.just("run"), st.integers(10, 3_000)),
        st.tuples(st.sampled_from(["restart", "reboot", "replug", "ask", "fail commits"]), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(up=FATES, down=FATES, steps=STEPS, busy=st.sets(st.integers(0, 200), max_size=30))
def test_nothing_is_lost_nothing_doubled_and_it_always_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
    up: list[str],
    down: list[str],
    steps: list[tuple[str, int]],
    busy: set[int],
) -> None:
    pair = Pair(tmp_path_factory.mktemp("pair"), up=up, down=down, capacity=64)
    turn = iter(range(10**9))
    pair.room = lambda: next(turn) not in busy
    try:
        for step, amount in steps:
            _take(pair, step, amount)
        pair.run_until(lambda: pair.delivered and pair.is_open, 60_000)
        _check_all_there(pair)
        pair.ask()
        shown = len(pair.panel.shown)
        pair.run_until(lambda: len(pair.panel.shown) > shown, 3_000)
    finally:
        pair.ring.close()


def _take(pair: Pair, step: str, amount: int) -> None:
    match step:
        case "pour":
            pair.pour(amount)
        case "run":
            pair.run(amount)
        case "restart":
            pair.restart_gateway()
        case "reboot":
            pair.reboot()
        case "replug":
            pair.replug()
        case "ask":
            pair.ask()
        case _:
            pair.fail_commits()


def _check_all_there(pair: Pair) -> None:
    """Every event is on disk under its one identity, or in a recorded gap."""
    made = pair.ring.header.generated
    stored = {sequence: event for (_, sequence), event in pair.disk.stored.items()}
    lost = {sequence for _, first, last in pair.disk.gaps for sequence in range(first, last + 1)} - stored.keys()
    assert stored.keys() | lost == set(range(1, made + 1))
    assert len(lost) <= pair.ring.header.dropped
    assert all(volume_of(event) == sequence - 1 for sequence, event in stored.items())
