"""What the API answers about dispensers, their nozzles, screens and sensors, as pydantic models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from gateway.web.answers import PSEUDONYM, Answer, HeatAt, ScreenPick, example


class ForecastView(Answer):
    """When a bottle will be empty."""

    hours: Annotated[float, example(5.2)]
    earliest_h: Annotated[float, example(3.9)]
    latest_h: Annotated[float, example(8.0)]


class NozzleReadings(Answer):
    """What a nozzle's sensors said last."""

    nozzle: Annotated[int, example(2)]
    level_ml: Annotated[int | None, example(412)]
    flow_pulses: Annotated[int | None, example(0)]
    """In the last period between two readings."""


class ReadingsView(Answer):
    """What a dispenser's sensors said last."""

    age_s: Annotated[float, example(3.2)]
    temperature_c: Annotated[float | None, example(20.31)]
    door_open: bool | None
    drip_tray_full: bool | None
    nozzles: list[NozzleReadings]
    shed: Annotated[int, example(0)]
    """SAMPLEs that it has not sent since its boot, for want of room on its line."""


NozzleFlaw = Literal["leaks", "meter_drifts", "level_sensor_stuck"]


class NozzleView(Answer):
    """A nozzle and what is on it."""

    nozzle: Annotated[int, example(2)]
    sauce: Annotated[str, example("chipotle-honey")]
    name: Annotated[str, example("Chipotle Honey")]
    heat: HeatAt | None
    """None for a sauce that is not in the catalogue."""
    level_ml: Annotated[int, example(412)]
    """About how much is in the bottle."""
    level_from: Annotated[Literal["sensor", "count"], example("sensor")]
    """The level sensor, while it says something and is not stuck; else as counted."""
    counted_ml: Annotated[int, example(420)]
    """What its last HELLO said, less what was poured since. What leaks is not in it."""
    flaws: Sequence[NozzleFlaw] = ()
    """What the sensors say is wrong with it."""
    planned: Annotated[str | None, example(None)] = None
    """The sauce that should be on it, where the dispenser tells of another."""
    empty_in: ForecastView | None = None
    """Null where too little is known of its use, or it lasts for days."""


class ShownView(Answer):
    """Picks that a dispenser was given."""

    time: datetime
    dispenser: Annotated[str, example("hot-bar-1")]
    subject: Annotated[str | None, example(PSEUDONYM)]
    pick_id: Annotated[str, example("9f2c4e1ab07d3355")]
    latency_us: Annotated[int, example(1240)]
    """From the last byte of the question to the first byte of the answer."""
    picks: list[ScreenPick]


class WaitingView(Answer):
    """Why a dispenser is not let in, and what to do. Its events wait on it."""

    reason: Annotated[str, example("unadopted")]
    why: Annotated[str, example("it has no key")]
    do: Annotated[str, example("picante dispensers adopt hot-bar-1")]
    first_seen: datetime
    times: Annotated[int, example(17)]
    """HELLOs that were turned away."""


class DispenserView(Answer):
    """A dispenser that opened a link at least once, or that waits to be let in."""

    name: Annotated[str, example("hot-bar-1")]
    """Its id, which never changes: the source of its events."""
    label: Annotated[str | None, example("Bar, left")] = None
    """What people call it."""
    adopted: bool = True
    """Whether it has a key here."""
    waiting: WaitingView | None = None
    """Set while it says HELLO and is not let in."""
    rotating: bool = False
    """A new key waits for it to take it."""
    hardware: Annotated[str | None, example("PD-8 rev 2 no. 0042")] = None
    """What it says of its hardware."""
    online: bool
    link: Annotated[str | None, example("/dev/serial/by-id/usb-picante-0001")]
    """The port or topic it speaks through, or last spoke through."""
    since: datetime
    """When it came, or was lost: of one that was there when the gateway ended, the gateway's start."""
    firmware: Annotated[str, example("1.4.2")]
    generation: Annotated[str, example("5e3a09c1")]
    openings: Annotated[int, example(2)]
    """Links opened since the gateway started."""
    events: Annotated[int, example(118)]
    """Events delivered since the gateway started."""
    nozzles: list[NozzleView]
    screen: ShownView | None
    """What was put on its screen last, since the gateway started."""
    readings: ReadingsView | None = None
    """Null where it sent none since the gateway started."""
    pours_today: Annotated[int, example(31)] = 0
    """Since midnight, of the store's time."""
    errors_last_hour: Annotated[int, example(0)] = 0
    """Bad frames and messages on its link, and HELLOs that were turned away there."""


class Dispensers(Answer):
    """A page of the dispensers that were asked for."""

    dispensers: list[DispenserView]
    total: Annotated[int, example(200)]
    """How many there are on all pages."""
    page: Annotated[int, example(1)]
    pages: Annotated[int, example(9)]


class Forgotten(Answer):
    """A dispenser without a key here."""

    name: Annotated[str, example("hot-bar-1")]
    provisioned: bool
    """A file adopts it again at once, with a new key, which it is told once it has none."""
    given: bool
    """Its key stands in a file, where it counts no more; another one in its place does."""
