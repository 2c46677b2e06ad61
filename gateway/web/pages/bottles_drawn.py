"""The bottles of a dispenser, as they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.web.dispenser_answers import DispenserView, NozzleFlaw
from gateway.web.language import Text
from gateway.web.repairs.of_bottles import LOW_ML
from heat.scale import band

FULL_ML = 750
"""ml of a bottle that is drawn full."""
TOP, BOTTOM = 17, 44
"""Where the sauce ends of a full bottle, and of an empty one."""
FLAWS: dict[NozzleFlaw, Text] = {
    "leaks": Text("leaks"),
    "meter_drifts": Text("its meter is off"),
    "level_sensor_stuck": Text("its level sensor is stuck"),
}


@dataclass(frozen=True, slots=True)
class Bottle:
    """One of them."""

    nozzle: int
    name: str
    shu: int | None
    """None of a sauce that is not in the catalogue."""
    band: int | None
    """Of heat, 0 to 9."""
    level_ml: int
    height: float
    """Of the sauce in it, as drawn."""
    counted: bool
    """Whether the level was counted; else a sensor read it."""
    flaws: list[Text]
    low: bool
    hours: float | None
    """After which it will be empty, where that is soon."""
    planned: str | None

    @property
    def y(self) -> float:
        """Where the sauce begins, as drawn."""
        return BOTTOM - self.height


def drawn(dispenser: DispenserView) -> list[Bottle]:
    """All of a dispenser's."""
    return [
        Bottle(
            nozzle=each.nozzle,
            name=each.name,
            shu=each.heat.shu if each.heat else None,
            band=band(each.heat.milli_octaves) if each.heat else None,
            level_ml=each.level_ml,
            height=round((BOTTOM - TOP) * min(each.level_ml / FULL_ML, 1), 1),
            counted=each.level_from == "count",
            flaws=[FLAWS[flaw] for flaw in each.flaws],
            low=each.level_ml <= LOW_ML,
            hours=each.empty_in.hours if each.empty_in else None,
            planned=each.planned,
        )
        for each in dispenser.nozzles
    ]
