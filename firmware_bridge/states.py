"""A state machine as a table, which the code runs by and the documentation draws."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Generic, TypeVar

S = TypeVar("S", bound=enum.Enum)
C = TypeVar("C", bound=enum.Enum)


class Machine(Generic[S, C]):
    """Where something stands. `moves` has a state for each (state, cue) that may be; a cue's value is its words."""

    __slots__ = ("_moves", "state")

    def __init__(self, moves: Mapping[tuple[S, C], S], start: S) -> None:
        self.state = start
        self._moves = moves

    def move(self, cue: C) -> None:
        """Go where the table says. Raises KeyError for a cue that can't be in this state."""
        self.state = self._moves[self.state, cue]


def mermaid(moves: Mapping[tuple[S, C], S], start: S) -> str:
    """The table as a Mermaid state diagram; cues that lead from one state to the same other share a line."""
    lines = ["stateDiagram-v2", f"    [*] --> {start.name}"]
    drawn: dict[tuple[S, S], list[str]] = {}
    for (state, cue), target in moves.items():
        drawn.setdefault((state, target), []).append(cue.value)
    lines += [f"    {a.name} --> {b.name}: {', '.join(cues)}" for (a, b), cues in drawn.items()]
    return "\n".join(lines) + "\n"
