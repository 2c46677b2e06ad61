"""A flow meter's factor from test pours into a measuring cylinder: pulses counted, millilitres read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heat.errors import DataError

POURS = 3
"""Test pours that a factor rests on: two can't tell which of them was misread."""
MAX_SPREAD = 0.05
"""Share of the mean by which the pours' factors may differ. A cylinder of 25 ml is read to 0.5 ml, 2 %; air in the line
or a leaking valve makes far more."""


@dataclass(frozen=True, slots=True)
class Dose:
    """One test pour."""

    pulses: int
    """Counted by the meter."""
    volume_ml: float
    """Read off the cylinder."""

    @property
    def pulses_per_ml(self) -> float:
        """Its own factor."""
        return self.pulses / self.volume_ml


@dataclass(frozen=True, slots=True)
class Factor:
    """What the pours give together."""

    pulses_per_litre: int
    spread: float
    """Between the largest and the smallest of their own factors, as a share of the mean."""


def factor(doses: Sequence[Dose]) -> Factor:
    """The factor of all pours together, each weighing by its volume.

    Raises:
        DataError: there are too few, one can't be, or they differ too much to be true.
    """
    if len(doses) < POURS:
        raise DataError(f"{len(doses)} test pours are too few", hint=f"Take {POURS}")
    if any(dose.pulses <= 0 or dose.volume_ml <= 0 for dose in doses):
        raise DataError("a test pour gave nothing", hint="See whether the bottle is empty, or the nozzle blocked")
    own = [dose.pulses_per_ml for dose in doses]
    mean = sum(own) / len(own)
    spread = (max(own) - min(own)) / mean
    if spread > MAX_SPREAD:
        found = ", ".join(f"{each:.1f}" for each in own)
        raise DataError(
            f"the pours differ by {spread:.1%}, more than {MAX_SPREAD:.0%}: {found} pulses per ml",
            hint="Prime the nozzle until no air comes, read the cylinder at eye level, and pour again",
        )
    pulses, volume_ml = sum(dose.pulses for dose in doses), sum(dose.volume_ml for dose in doses)
    return Factor(round(pulses * 1000 / volume_ml), spread)
