"""What the API answers, as pydantic models: the schemas and examples of `/openapi.json`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from heat.identity import SOURCE_NAME

PSEUDONYM = "p1-3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d"
"""An example of one."""

SOURCE = f"^{SOURCE_NAME.pattern.removesuffix(chr(92) + 'Z')}$"
"""Of a dispenser's name, or a gateway's, as JSON Schema has it."""
SUBJECT = r"^(p[1-9][0-9]{0,3}-[0-9a-f]{32}|s-[a-z0-9-]{1,32}-[0-9a-f]{8}-[0-9]{1,10})$"
"""Of a pseudonym or a session; who gives something else gets a hint, and not the pattern alone."""
A_SUBJECT: dict[str, Any] = {"pattern": SUBJECT}
A_CUSTOMER: dict[str, Any] = {"pattern": r"^p[1-9][0-9]{0,3}-[0-9a-f]{32}$"}


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


class ScreenPick(SauceView):
    """One line of a dispenser's screen."""

    why: Annotated[str, example("close to your usual heat")]


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
    """A page of events, in the order of their commits, or in the opposite one."""

    events: list[EventView]
    next: Annotated[int | None, example(1142)]
    """Give it as `after` (or `before`) for the next page; null at the end."""
    looked_to: Annotated[int | None, example(None)] = None
    """Set where filters found too little among all rows that one request looks at: they were looked at up to here."""


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
    n: Annotated[int, example(3)]
    w: Annotated[int, example(12)]
    wq: Annotated[int, example(91812)]
    wqq: Annotated[int, example(702454812)]
    bands: Annotated[list[int], example([0, 0, 3, 0])]


class FlavourView(Answer):
    """The integer sums of one flavour row."""

    origin: Annotated[str, example("gw-1")]
    day: Annotated[int, example(20776)]
    kind: Annotated[str, example("poured")]
    tag: Annotated[str, example("smoky")]
    n: Annotated[int, example(3)]
    w: Annotated[int, example(12)]


class Digests(Answer):
    """SHA-256 of the profile's rows: equal where the same events were folded."""

    all: Annotated[str, example("9f2c4e1ab07d33559f2c4e1ab07d33559f2c4e1ab07d33559f2c4e1ab07d3355")]
    own: Annotated[str, example("9f2c4e1ab07d33559f2c4e1ab07d33559f2c4e1ab07d33559f2c4e1ab07d3355")]
    """Of the rows whose origin is this gateway."""


class LatestView(Answer):
    """What was poured last."""

    sauce: Annotated[str, example("chipotle-honey")]
    verdict: Annotated[str | None, example("just_right")]


class ProfileView(Answer):
    """A heat profile."""

    subject: Annotated[str, example(PSEUDONYM)]
    day: Annotated[int, example(20776)]
    """The UTC day on which it was read."""
    evidence: Annotated[int, example(12)]
    state: StateView
    windows: list[WindowView]
    flavours: Annotated[dict[str, float], example({"smoky": 0.8})]
    latest: LatestView | None
    buckets: list[BucketView]
    flavour_rows: list[FlavourView]
    digest: Digests


class RankedPick(ScreenPick):
    """A pick and how it came about."""

    slot: Annotated[int, example(1)]
    score: Annotated[float, example(1.7)]
    propensity: Annotated[float, example(0.92)]


class PicksView(Answer):
    """What a customer would be shown now. Nothing is recorded."""

    dispenser: Annotated[str, example("hot-bar-1")]
    subject: Annotated[str | None, example(PSEUDONYM)]
    ranker: Annotated[str, example("rule")]
    state: StateView
    candidates: Annotated[int, example(6)]
    """Sauces that could be poured."""
    picks: list[RankedPick]


class SyncView(Answer):
    """The way to Kafka."""

    mode: Literal["kafka", "sqlite", "off"]
    """Who keeps the position: `kafka` is exactly once, `sqlite` at least once; `off`: no Kafka is configured."""
    state: Annotated[str, example("idle")]
    """connecting, idle, draining, unreachable, refused, foreign; or off."""
    since: datetime | None
    stored: Annotated[int, example(1042)]
    """The last position given out."""
    confirmed: Annotated[int, example(1040)]
    """Rows up to here are known to be in Kafka."""
    pending: Annotated[int, example(2)]
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
    epoch: Annotated[int, example(1)]
