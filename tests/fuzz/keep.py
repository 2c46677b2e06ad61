"""Which inputs are worth keeping: those that reach code, or go from one line to another, as no earlier one did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
WATCHED = tuple(str(ROOT / package) for package in ("firmware_bridge", "gateway", "heat", "hw_sim"))

Step = tuple[str, int, int]
"""A file, and two of its lines, one run after the other."""


def steps(target: Callable[[bytes], None], given: bytes) -> set[Step]:
    """The steps that a target takes with an input."""
    taken: set[Step] = set()

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        name, last = frame.f_code.co_filename, 0
        if not name.startswith(WATCHED):
            return None

        def watch(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                taken.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return watch

        return watch

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        target(given)
    finally:
        sys.settrace(before)
    return taken


def worth_keeping(target: Callable[[bytes], None], known: Iterable[bytes], learnt: Iterable[bytes]) -> list[bytes]:
    """Of what was learnt, short ones first, what takes a step that nothing known, and nothing before it, did."""
    taken: set[Step] = set()
    for given in known:
        taken |= steps(target, given)
    kept = []
    for given in sorted(learnt, key=lambda given: (len(given), given)):
        if fresh := steps(target, given) - taken:
            taken |= fresh
            kept.append(given)
    return kept
