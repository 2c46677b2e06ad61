"""The table: a line a figure, with its goal, the bare baseline of the same run, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One figure."""

    what: str
    goal: str
    got: str
    baseline: str = ""
    ratio: float | None = None
    """Got, divided by the baseline."""
    met: bool | None = None
    """None: there is no goal, the figure explains another one."""


HEAD = f"\n{'':56}{'goal':>11}{'got':>16}   {'bare, in the same run':42}{'ratio':>7}  met"


def show(lines: Iterable[Line]) -> None:
    """Print lines as they come."""
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        met = {None: "", True: "yes", False: "NO"}[line.met]
        print(f"{line.what:56}{line.goal:>11}{line.got:>16}   {line.baseline:42}{ratio:>7}  {met}", flush=True)
