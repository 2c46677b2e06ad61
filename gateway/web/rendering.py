"""The page's HTML: Jinja2 templates over a status, with the filters that they use."""

from __future__ import annotations

from datetime import datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.web.answers import HeatAt
from gateway.web.dispenser_answers import DispenserView, NozzleView
from gateway.web.glance import Status
from heat.identity import is_session
from heat.scale import MAX_MO, band

PARTS: dict[str, tuple[str, ...]] = {
    "status": ("gateway", "repairs", "counts", "dispensers", "times", "sync"),
    "dispensers": ("dispensers",),
    "picks": ("picks", "times"),
    "events": ("events",),
    "outbox": ("counts", "sync", "backlog"),
}
"""Parts of the page, in its order, and the members of the status that each shows."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
FULL_BOTTLE_ML = 750
SPARK_WIDTH, SPARK_HEIGHT = 240, 48


class Drawn:
    """A status and what of it has been drawn: each part once, however many look."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self._parts: dict[str, str] = {}

    def page(self) -> str:
        """The whole document."""
        return _environment.get_template("page.html").render(status=self.status)

    def part(self, name: str) -> str:
        """One of `PARTS`."""
        if name not in self._parts:
            self._parts[name] = _environment.get_template(f"{name}.html").render(status=self.status)
        return self._parts[name]


# -- filters --------------------------------------------------------------------------------------------------------


def age(then: datetime, now: datetime) -> str:
    """The time since, in the words that static/app.js uses too."""
    seconds = max(int((now - then).total_seconds()), 0)
    size, unit = next((step for step in _UNITS if seconds >= step[0]), _UNITS[-1])
    return f"{seconds // size} {unit}"


def ago(then: datetime, now: datetime) -> str:
    """How long ago something was."""
    return f"{age(then, now)} ago" if now - then >= timedelta(seconds=1) else "now"


def number(value: int) -> str:
    """A number with its thousands apart."""
    return f"{value:,}"


def milliseconds(us: int) -> str:
    """Microseconds as milliseconds."""
    return f"{us / 1000:.1f} ms" if us < 100_000 else f"{us // 1000:,} ms"


def who(subject: str | None) -> str:
    """A customer, without more than is needed to tell two apart."""
    if subject is None:
        return "Somebody new"
    return f"Visit {subject.rpartition('-')[2]}" if is_session(subject) else f"Card {subject[:7]}…"


def percent(heat: HeatAt) -> str:
    """Where a heat lies on the scale, 0..100."""
    return f"{100 * heat.milli_octaves / MAX_MO:.1f}"


def band_of(heat: HeatAt) -> int:
    """The heat's colour."""
    return band(heat.milli_octaves)


def spark(values: list[int]) -> str:
    """An SVG path through these values, 0 at the bottom."""
    if len(values) < 2:
        return f"M0 {SPARK_HEIGHT - 1}H{SPARK_WIDTH}"
    top = max(max(values) * 1.25, 4)
    step = SPARK_WIDTH / (len(values) - 1)
    points = (
        f"{i * step:.1f} {SPARK_HEIGHT - 1 - value / top * (SPARK_HEIGHT - 2):.1f}" for i, value in enumerate(values)
    )
    return "M" + "L".join(points)


_FLAWS = {"leaks": "leaks", "meter_drifts": "its meter is off", "level_sensor_stuck": "its level sensor is stuck"}


def flaw(nozzle: NozzleView) -> str:
    """What is wrong with a nozzle, in words; empty where nothing is."""
    return ", ".join(_FLAWS[each] for each in nozzle.flaws)


def quiet(dispenser: DispenserView) -> str:
    """What its sensors say of an online dispenser, in one line: whole degrees, and else what is not as usual."""
    told: list[str] = []
    if (read := dispenser.readings) is not None:
        told = [f"{read.temperature_c:.0f} °C"] if read.temperature_c is not None else []
        told += ["door open"] if read.door_open else []
        told += ["drip tray full"] if read.drip_tray_full else []
    ends = [(nozzle.empty_in.hours, nozzle.name) for nozzle in dispenser.nozzles if nozzle.empty_in]
    if ends:
        hours, name = min(ends)
        told.append(f"{name} empty {f'in about {hours:.0f} h' if hours >= 1 else 'within the hour'}")
    return " · ".join(told)


def fill(level_ml: int) -> float:
    """How much of a drawn bottle is full, 0..1."""
    return min(level_ml / FULL_BOTTLE_ML, 1)


_environment = Environment(
    loader=PackageLoader("gateway.web"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "age": age,
    "ago": ago,
    "band": band_of,
    "fill": fill,
    "flaw": flaw,
    "ms": milliseconds,
    "number": number,
    "percent": percent,
    "quiet": quiet,
    "spark": spark,
    "who": who,
}
