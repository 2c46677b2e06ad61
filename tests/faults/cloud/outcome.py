"""What came of a run through many kills: each kill, how soon the parts went on, and what the cloud held at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cloud.parts import COMMITTING, FOLDING, LakePart, PipelinePart, Positions
from tests.faults.cloud.verdict import Verdict

HURTS = {PipelinePart.name: FOLDING, LakePart.name: COMMITTING}
"""The moment that tells most, by part: at least half of the kills have to fall into it."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill, and how things stood."""

    part: str
    """`pipeline`, `lake`, `kafka`, or `redis`."""
    time: str
    where: str
    """What it was about."""
    positions: Positions = field(default_factory=dict)
    """Of the events, by partition: what it had committed."""

    @property
    def inside(self) -> bool:
        """Whether it fell where it hurts."""
        return self.where == HURTS.get(self.part)


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    seed: int
    log: Path
    """A line for each kill."""
    kills: list[Kill] = field(default_factory=list)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HURTS})
    """By part: seconds from each start after a kill to the first commit of something new."""
    records: int = 0
    events: int = 0
    """Identities among them that count."""
    refused: int = 0
    late: int = 0
    """Those of the gateway that was away."""
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    broken: str | None = None
    """Why the run did not come to its end."""
    too_slow: bool = False
    """Whether that was a deadline."""

    @property
    def good(self) -> bool:
        """Whether the promise held, and was tried."""
        return self.broken is None and self.verdict.good and self.aimed

    @property
    def aimed(self) -> bool:
        """Whether half of the kills, of each part, fell where they hurt."""
        return all(0 < len(self.of(part)) <= 2 * sum(kill.inside for kill in self.of(part)) for part in HURTS)

    def of(self, part: str) -> list[Kill]:
        """The kills of one part."""
        return [kill for kill in self.kills if kill.part == part]
