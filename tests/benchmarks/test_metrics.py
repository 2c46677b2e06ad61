"""The benchmark of `/metrics` runs to its end, in a size that measures nothing: its figures are for people."""

from __future__ import annotations

from pathlib import Path

from benchmarks.metrics import measure
from tests.benchmarks.test_road import NUMBER


def test_the_table(tmp_path: Path) -> None:
    lines = {line.what: line for line in measure(tmp_path, count=3, scrapes=5)}
    # the CPU is a difference, which so few scrapes may leave below 0
    assert [line for line in lines.values() if not NUMBER.fullmatch(line.got.removeprefix("-"))] == []
    assert lines["ms of CPU a scrape, 3 dispensers"].met is not None
    assert int(lines["samples"].got) > 50
