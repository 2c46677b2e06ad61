"""What the API answers, as pydantic models: the schemas and examples of `/openapi.json`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PSEUDONYM = "p1-3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d"
"""An example of one."""


class Answer(BaseModel):
    """Base of all answers. Docstrings of fields become descriptions."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def example(value: Any) -> Any:
    """An example for the schema."""
    return Field(examples=[value])


class HeatAt(Answer):
    """A heat, on both scales."""

    milli_octaves: Annotated[int, example(7651)]
    shu: Annotated[int, example(3200)]


class SauceView(HeatAt):
    """One sauce on a nozzle."""

    nozzle: Annotated[int, example(2)]
    sauce: Annotated[str, example("chipotle-honey")]
    name: Annotated[str, example("Chipotle Honey")]


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
    shed: int
    """SAMPLEs that it has not sent since its boot, for want of room on its line."""


class NozzleView(Answer):
    """A nozzle and what is on it."""

    nozzle: Annotated[int, example(2)]
    sauce: Annotated[str, example("chipotle-honey")]
    name: Annotated[str, example("Chipotle Honey")]
    heat: HeatAt | None
    """None for a sauce that is not in the catalogue."""
    level_ml: Annotated[int, example(412)]
    """About how much is in the bottle: its last HELLO, less what was poured since."""
    planned: Annotated[str | None, example(None)] = None
    """The sauce that should be on it, where the dispenser tells of another."""
    empty_in: ForecastView | None = None
    """Null where too little is known of its use, or it lasts for days."""


class ScreenPick(SauceView):
    """One line of a dispenser's screen."""

    why: Annotated[str, example("close to your usual heat")]


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
    """When it came, or was last heard of."""
    firmware: Annotated[str, example("1.4.2")]
    generation: Annotated[str, example("5e3a09c1")]
    openings: int
    """Links opened since the gateway started."""
    events: int
    """Events delivered since the gateway started."""
    nozzles: list[NozzleView]
    screen: ShownView | None
    """What was put on its screen last, since the gateway started."""
    readings: ReadingsView | None = None
    """Null where it sent none since the gateway started."""


class Dispensers(Answer):
    """All dispensers, by name."""

    dispensers: list[DispenserView]


class Forgotten(Answer):
    """A dispenser without a key here."""

    name: Annotated[str, example("hot-bar-1")]
    provisioned: bool
    """A file adopts it again at once, with a new key."""


class RefusalView(Answer):
    """Why an event was not accepted. Its bytes are on their way to the dead letters."""

    reason: Annotated[str, example("unknown_sauce")]
    detail: Annotated[str, example("'sriracha' is not in the catalogue")]


class EventView(Answer):
    """A stored event: with `data`, or with `refusal`."""

    position: Annotated[int, example(1042)]
    id: Annotated[str, example("hot-bar-1:5e3a09c1:42")]
    type: Annotated[str | None, example("picante.poured.v1")] = None
    source: Annotated[str, example("hot-bar-1")]
    subject: Annotated[str | None, example(PSEUDONYM)] = None
    time: datetime
    day: Annotated[int, example(20776)]
    """UTC day number; negative while the gateway's clock is not known."""
    clock: Literal["known", "estimated", "unknown"]
    data: dict[str, Any] | None = None
    refusal: RefusalView | None = None


class Events(Answer):
    """A page of events, in the order of their commits."""

    events: list[EventView]
    next: Annotated[int | None, example(1142)]
    """Give it as `after` for the next page; null at the end."""


class StateView(Answer):
    """What a customer is believed to like."""

    mean: HeatAt
    sd_milli_octaves: Annotated[int, example(900)]
    tolerance: HeatAt
    """Above it, it hurts."""


class WindowView(Answer):
    """What was poured in the last days, today included."""

    days: Annotated[int, example(30)]
    pours: Annotated[int, example(12)]
    mean: HeatAt | None


class BucketView(Answer):
    """The integer sums of one bucket."""

    origin: Annotated[str, example("gw-1")]
    day: Annotated[int, example(20776)]
    kind: Annotated[str, example("poured")]
    n: int
    w: int
    wq: int
    wqq: int
    bands: list[int]


class FlavourView(Answer):
    """The integer sums of one flavour row."""

    origin: Annotated[str, example("gw-1")]
    day: Annotated[int, example(20776)]
    kind: Annotated[str, example("poured")]
    tag: Annotated[str, example("smoky")]
    n: int
    w: int


class Digests(Answer):
    """SHA-256 of the profile's rows: equal where the same events were folded."""

    all: str
    own: str
    """Of the rows whose origin is this gateway."""


class LatestView(Answer):
    """What was poured last."""

    sauce: Annotated[str, example("chipotle-honey")]
    verdict: Annotated[str | None, example("just_right")]


class ProfileView(Answer):
    """A heat profile."""

    subject: Annotated[str, example(PSEUDONYM)]
    day: int
    """The UTC day on which it was read."""
    evidence: int
    state: StateView
    windows: list[WindowView]
    flavours: dict[str, float]
    latest: LatestView | None
    buckets: list[BucketView]
    flavour_rows: list[FlavourView]
    digest: Digests


class RankedPick(ScreenPick):
    """A pick and how it came about."""

    slot: int
    score: float
    propensity: float


class PicksView(Answer):
    """What a customer would be shown now. Nothing is recorded."""

    dispenser: Annotated[str, example("hot-bar-1")]
    subject: Annotated[str | None, example(PSEUDONYM)]
    ranker: Annotated[str, example("rule")]
    state: StateView
    candidates: int
    """Sauces that could be poured."""
    picks: list[RankedPick]


class SyncView(Answer):
    """The way to Kafka."""

    mode: Literal["kafka", "sqlite", "off"]
    """Who keeps the position: `kafka` is exactly once, `sqlite` at least once; `off`: no Kafka is configured."""
    state: Annotated[str, example("idle")]
    """connecting, idle, draining, unreachable, refused, foreign; or off."""
    since: datetime | None
    stored: int
    """The last position given out."""
    confirmed: int
    """Rows up to here are known to be in Kafka."""
    pending: int
    oldest_age_s: int | None
    """Age of the first row that waits; null where none does, or its time is not known."""
    waits_for_time: bool
    """Rows are held back until the time of day is known."""
    in_flight: int = 0
    transactions: int = 0
    sent: int = 0
    dead_letters: int = 0
    redelivered: int = 0
    failures: int = 0
    refusals: int = 0
    last_error: str | None = None
    foreign_instance: str | None = None
    instance: str | None = None
    epoch: int


class CommandView(Answer):
    """A command to a dispenser, and what became of it."""

    id: Annotated[str, example("9f2c4e1ab07d33559f2c4e1ab07d3355")]
    dispenser: Annotated[str, example("hot-bar-1")]
    verb: Annotated[str, example("test_pour")]
    arguments: dict[str, Any]
    """As they travel; a key is withheld."""
    state: Annotated[str, example("done")]
    """queued, sent, running; done, refused, failed, expired, interrupted, unsupported, dropped; or unknown."""
    ended: datetime | None
    """None while it waits, runs, or is asked after."""
    detail: Annotated[str, example("a customer stands there")]
    measured: dict[str, int] | None
    """What the dispenser measured: pulses, volume_ul and duration_ms; or a setting before and now."""
    asked_by: Annotated[str, example("api")]
    created: datetime
    expires_in_s: Annotated[float, example(60)]
    """For how long it was good."""


class CommandList(Answer):
    """A dispenser's last commands, newest first."""

    commands: list[CommandView]


class CalibrationView(Answer):
    """A flow meter's factor, and the command that sets it."""

    nozzle: Annotated[int, example(2)]
    pulses_per_ml: Annotated[float, example(98.4)]
    spread: Annotated[float | None, example(0.012)]
    """Between the test pours' own factors, as a share of their mean; None for an undoing."""
    command: CommandView
