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
MAX_OFF = 0.3
"""Share of what the dispenser believes it poured by which a reading may differ. A meter that creeps is off by a tenth;
a digit too many, or a reading in ounces, by far more."""
MIN_ML = 1.0
"""Of a test pour: less can't be read off a cylinder."""
MAX_ML = 150.0
"""Of a reading: a test pour is 100 ml at most."""


@dataclass(frozen=True, slots=True)
class Dose:
    """One test pour."""

    pulses: int
    """Counted by the meter."""
    volume_ml: float
    """Read off the cylinder."""
    believed_ml: float
    """What the dispenser poured, by the factor that it had."""

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
    for number, dose in enumerate(doses, start=1):
        check(number, dose)
    differ = spread(doses)
    if differ > MAX_SPREAD:
        found = ", ".join(f"{dose.pulses_per_ml:.1f}" for dose in doses)
        raise DataError(
            f"the pours differ by {differ:.1%}, more than {MAX_SPREAD:.0%}: {found} pulses per ml",
            hint="Prime the nozzle until no air comes, read the cylinder at eye level, and pour again",
        )
    pulses, volume_ml = sum(dose.pulses for dose in doses), sum(dose.volume_ml for dose in doses)
    return Factor(round(pulses * 1000 / volume_ml), differ)


def spread(doses: Sequence[Dose]) -> float:
    """Between the largest and the smallest of the doses' own factors, as a share of their mean; of one dose 0."""
    own = [dose.pulses_per_ml for dose in doses]
    return (max(own) - min(own)) / (sum(own) / len(own)) if own else 0.0


def check(number: int, dose: Dose) -> None:
    """Whether a test pour can be true by itself. Raises DataError."""
    if min(dose.volume_ml, dose.believed_ml) < MIN_ML:
        hint = "Take test pours of about 20 ml"
        raise DataError(f"pour {number} is less than {MIN_ML:g} ml, which no cylinder tells", hint=hint)
    if abs(dose.volume_ml - dose.believed_ml) > MAX_OFF * dose.believed_ml:
        said = (
            f"pour {number} can't be {dose.volume_ml:g} ml: the meter counted {dose.believed_ml:.1f} ml,"
            f" and no meter is off by more than {MAX_OFF:.0%}"
        )
        hint = (
            "Read it off again. If the factor is that far off, set it near the truth first:"
            " picante dispensers send DISPENSER calibrate nozzle=N pulses_per_ml=F"
        )
        raise DataError(said, hint=hint)
