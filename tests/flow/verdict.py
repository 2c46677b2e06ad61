"""Was every event there, once, in its order? What dispensers made against what a reader of the topic found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ids (`source:generation:sequence`) that are not as promised, sorted."""

    lost: tuple[str, ...]
    made_up: tuple[str, ...]
    doubled: tuple[str, ...]
    disordered: tuple[str, ...]
    """That come after a higher sequence of their source and generation, in one partition."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.made_up or self.doubled or self.disordered)


NOTHING_WRONG = Verdict((), (), (), ())


def generated(journal: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of all events in a simulator's journal."""
    return {f"{line['dispenser']}:{line['generation']:08x}:{line['event']}" for line in journal if "event" in line}


def judge(made: set[str], found: Mapping[int, Sequence[str]]) -> Verdict:
    """Compare; `found` has the ids by partition, in the order of their offsets."""
    times = Counter(identity for part in found.values() for identity in part)
    return Verdict(
        lost=tuple(sorted(made - times.keys())),
        made_up=tuple(sorted(times.keys() - made)),
        doubled=tuple(sorted(doubled(times))),
        disordered=tuple(sorted(identity for part in found.values() for identity in _disordered(part))),
    )


def doubled(times: Mapping[str, int]) -> list[str]:
    """The ids that were counted more than once."""
    return [identity for identity, count in times.items() if count > 1]


def _disordered(part: Iterable[str]) -> list[str]:
    last: dict[str, int] = defaultdict(int)
    late = []
    for identity in part:
        source, _, sequence = identity.rpartition(":")
        if int(sequence) < last[source]:
            late.append(identity)
        last[source] = max(last[source], int(sequence))
    return late
