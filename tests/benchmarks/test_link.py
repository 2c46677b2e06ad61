"""The benchmark of links runs to its end, in sizes that measure nothing: its figures are for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import link
from tests.benchmarks.test_road import figures

TINY = link.Sizes(frames=50, rounds=1, watched_s=0.6, pulled=1, dispensers=3)


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = figures(link.measure(tmp_path, TINY), capsys)
    assert int(got["events/s meanwhile, on disk"].replace(",", "")) > 0
    assert float(got["s from a cable put back to an event's ACK, p50"]) > 0
