"""The benchmark of pages runs to its end, and no page is missing, on a shop that measures nothing."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pages import measure


def test_every_page_answers(tmp_path: Path) -> None:
    lines = list(measure(tmp_path, 6_000, times=1, dispensers=8))
    assert [line.what for line in lines if line.got.startswith("status")] == []
    assert {"ms, /", "ms, /dispensers", "ms, /dispensers/bar-7/readings", "ms, /events"} <= {
        line.what for line in lines
    }
