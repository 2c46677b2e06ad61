"""Firmware and link session on a line that does everything wrong, between two sides that die and come back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.firmware_bridge.trial import CAPACITY, LINES, Trial, attempt

SEEDS = 300
"""Trials by chance here; `make faults` has 10,000."""

lines = st.sampled_from(list(LINES))


class BadLine(RuleBasedStateMachine):
    """Whatever Hypothesis has happen, nothing is lost or doubled, and all comes through once the line is good."""

    def __init__(self) -> None:
        super().__init__()
        self._place = tempfile.TemporaryDirectory(prefix="picante-trial-")
        self._trial = Trial(Path(self._place.name))

    @rule(up=lines, down=lines)
    def change_line(self, up: str, down: str) -> None:
        self._trial.change_line(up, down)

    @rule(busy=st.sampled_from([0.0, 0.1, 0.9]))
    def crowd(self, busy: float) -> None:
        self._trial.crowd(busy)

    @rule(count=st.integers(1, CAPACITY))
    def pour(self, count: int) -> None:
        self._trial.pour(count)

    @rule(ms=st.integers(10, 10_000))
    def wait(self, ms: int) -> None:
        self._trial.wait(ms)

    @rule()
    def ask(self) -> None:
        self._trial.ask()

    @rule()
    def sample(self) -> None:
        self._trial.sample()

    @rule()
    def command(self) -> None:
        self._trial.command()

    @rule(stored=st.integers(0, 20))
    def kill_gateway(self, stored: int) -> None:
        self._trial.kill_gateway(stored)

    @rule()
    def fail_commits(self) -> None:
        self._trial.fail_commits()

    @rule()
    def cut_power(self) -> None:
        self._trial.cut_power()

    @rule()
    def replug(self) -> None:
        self._trial.replug()

    @rule(ms=st.sampled_from([30, 300, 1_500]))
    def change_disk(self, ms: int) -> None:
        self._trial.change_disk(ms)

    @rule()
    def wipe_ring(self) -> None:
        self._trial.wipe_ring()

    @rule()
    def lose_database(self) -> None:
        self._trial.lose_database()

    @rule()
    def turn_ring_back(self) -> None:
        self._trial.turn_ring_back()

    @rule(versions=st.sampled_from([(1,), (1, 2), (2,)]))
    def change_firmware(self, versions: tuple[int, ...]) -> None:
        self._trial.change_firmware(*versions)

    @rule(kept=st.booleans())
    def change_transport(self, kept: bool) -> None:
        self._trial.change_transport(kept)

    @invariant()
    def judge(self) -> None:
        self._trial.judge()

    def teardown(self) -> None:
        try:
            self._trial.finish()
        finally:
            self._trial.close()
            self._place.cleanup()


BadLine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_nothing_is_lost_nothing_doubled_and_it_always_goes_on = BadLine.TestCase


def test_so_it_is_for_each_of_many_seeds(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        attempt(tmp_path, seed)
