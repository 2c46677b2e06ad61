"""The benchmark of pages runs to its end, in a size that measures nothing: its figures are for people."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.web import KIOSK, Sizes, measure
from tests.benchmarks.test_road import NUMBER


def test_the_table(browser: Browser, tmp_path: Path) -> None:
    lines = {line.what: line for line in measure(browser, tmp_path, Sizes(2, 1, 0.2, 2), {KIOSK: 40})}
    assert [line for line in lines.values() if not NUMBER.fullmatch(line.got)] == []
    assert lines[f"KB on the wire, {KIOSK}"].met is True
    assert lines["ms from the press to the kiosk's picks, p99"].met is not None
