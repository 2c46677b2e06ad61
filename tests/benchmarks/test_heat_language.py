"""The benchmark of heat language counts right, and goes on where the sentences can't be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import heat_language
from benchmarks.heat_language import Labelled, by_both, by_keywords, f1


def test_without_sentences_the_time_alone_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heat_language, "ROOT", tmp_path)
    monkeypatch.setattr(heat_language, "ROUNDS", 1)
    monkeypatch.setattr(heat_language, "_own", lambda: [("way too hot",), ("kick start your day",)])
    assert heat_language.main() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("quality: not measured")
    assert len([line for line in said if line[-1:].isdigit()]) == 6


def test_f1_is_of_hits_and_of_both_kinds_of_mistakes() -> None:
    assert f1([(True, True), (True, False), (False, True), (False, False)]) == 0.5
    assert f1([(False, True)]) == 0
    assert f1([(True, True)]) == 1


def test_ways_are_judged_by_about_and_wish() -> None:
    group = [
        Labelled("way too hot for me", "dev", "a", about=True, wish="less", trap=False),
        Labelled("could use more kick", "dev", "a", about=True, wish="more", trap=False),
        Labelled("pleasantly spicy", "dev", "a", about=True, wish="right", trap=False),
        Labelled("a hot summer day", "dev", "a", about=False, wish="none", trap=True),
    ]
    assert heat_language._cell(by_both, group) == "1.00/1.00"
    assert by_keywords("a hot summer day") == (True, "none")
