"""The benchmark of picks runs to its end, in sizes that measure nothing: its figures are for people."""

from __future__ import annotations

import pytest

from benchmarks import picks
from tests.benchmarks.test_road import figures


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    got = figures(picks.measure(picks=20, starts=1), capsys)
    assert float(got["ms a pick out of 500 sauces, p99"]) > 0
    assert 5 < float(got["a bare Python"]) < float(got["MB resident, picked and heard, less a bare Python"])
    assert float(got["s from a process's start to its first pick"]) > 0
