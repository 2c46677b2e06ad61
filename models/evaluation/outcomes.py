"""What came of the judged visits, under every policy, as arrays; and the kinds of visits that are told apart.

A row is a visit, a column a policy. `accepted` says whether the customer poured one of the sauces that the policy
showed; a visit without a pour counts as not accepted. `shown` counts those sauces, `far_too_hot` those of them that lie
more than `FAR_OCTAVES` above what the customer truly stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FAR_OCTAVES = 4.0
"""A shown sauce with more than sixteen times the capsaicin that a customer stands is far too hot."""
ALL, COLD = "all visits", "no pour known"
GROUPS: dict[str, Callable[[Ints], Bools]] = {
    ALL: lambda history: history >= 0,
    COLD: lambda history: history == 0,
    "1 pour": lambda history: history == 1,
    "2 to 4 pours": lambda history: (history >= 2) & (history <= 4),
    "5 pours and more": lambda history: history >= 5,
}
"""Kinds of visits by how many pours of the customer the gateway knew before. Without any it is a cold start."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The visits, side by side."""

    policies: tuple[str, ...]
    seed: Ints
    customer: Ints
    """Their number within their seed."""
    history: Ints
    accepted: Bools
    shown: Ints
    far_too_hot: Ints

    def __len__(self) -> int:
        return len(self.seed)

    def where(self, group: str) -> Outcomes:
        """The visits of one of `GROUPS`."""
        return self._rows(GROUPS[group](self.history))

    def of_seed(self, seed: int) -> Outcomes:
        """The visits of one seed."""
        return self._rows(self.seed == seed)

    def _rows(self, rows: Bools) -> Outcomes:
        return Outcomes(
            self.policies,
            self.seed[rows],
            self.customer[rows],
            self.history[rows],
            self.accepted[rows],
            self.shown[rows],
            self.far_too_hot[rows],
        )


@dataclass(slots=True)
class Recorder:
    """Takes down one visit after another of one seed."""

    policies: tuple[str, ...]
    seed: int
    _who: list[tuple[int, int]] = field(default_factory=list)
    _what: list[list[tuple[bool, int, int]]] = field(default_factory=list)

    def add(self, customer: int, history: int, results: Sequence[tuple[bool, int, int]]) -> None:
        """One visit: for each policy whether a pick was poured, how many were shown, how many far too hot."""
        self._who.append((customer, history))
        self._what.append(list(results))

    def outcomes(self) -> Outcomes:
        """All of them."""
        who = np.array(self._who, dtype=np.int64).reshape(-1, 2)
        what = np.array(self._what, dtype=np.int64).reshape(-1, len(self.policies), 3)
        seeds = np.full(len(who), self.seed, dtype=np.int64)
        return Outcomes(
            self.policies, seeds, who[:, 0], who[:, 1], what[..., 0].astype(np.bool_), what[..., 1], what[..., 2]
        )


def join(parts: Sequence[Outcomes]) -> Outcomes:
    """The visits of several seeds, judged under the same policies. Raises ValueError without any part."""
    if not parts or any(part.policies != parts[0].policies for part in parts):
        raise ValueError("only outcomes under the same policies can be joined")
    return Outcomes(
        parts[0].policies,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("seed", "customer", "history", "accepted", "shown", "far_too_hot")
        ),
    )
