"""What happened: the event types that leave the gateway, and the frozen value that carries one.

Each type is a msgspec Struct; its JSON Schema is released in `cloud_sync/schemas/` and its encoding is the `data` of a
CloudEvent. A released type only grows: new fields have defaults, and readers ignore fields that they don't know.

Who lets an event in has already turned numbers and words into `Heat` and fixed the evidence weight `w`, so that every
later reader folds the same integers without a catalogue or a clock.

Values are frozen, so none is in a cycle: Python's collector need not know of them (`gc=False`), which spares readers of
thousands a second a fifth of each verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta

from heat.identity import MAX_FLAVOURS, NAME, SAFE_INTEGER, SAUCE_ID, SESSION, EventId
from heat.scale import BANDS, MAX_MO, MAX_SHU, Heat, Version

Weight = Annotated[int, Meta(ge=1, le=400)]
Count = Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]
Day = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
MilliOctaves = Annotated[int, Meta(ge=0, le=MAX_MO)]
Nozzle = Annotated[int, Meta(ge=0, le=255)]
Name = Annotated[str, Meta(pattern=rf"\A{NAME}\Z")]
"""Of a store, region, dispenser, gateway, app or survey."""
SauceId = Annotated[str, Meta(pattern=rf"\A{SAUCE_ID.pattern}")]
Flavours = Annotated[tuple[SauceId, ...], Meta(max_length=MAX_FLAVOURS)]
"""Tags of a catalogue, none twice."""
Flag = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
PickId = Annotated[str, Meta(min_length=1, max_length=32)]
"""Names an impression; what a dispenser sends back of it is kept as it comes."""
Session = Annotated[str, Meta(pattern=rf"\A{SESSION.pattern}")]
Identity = Annotated[str, Meta(pattern=rf"\A{NAME}:[0-9a-f]{{8}}:[1-9][0-9]{{0,15}}\Z")]
"""An event's identity, as `EventId` writes it."""

Consent = Literal["none", "session", "profile"]
"""`session`: used until the session ends. `profile`: the customer showed a loyalty token. `none`: opted out."""
Channel = Literal["dispenser", "kiosk", "app", "web", "survey", "gateway"]
Verdict = Literal["too_hot", "just_right", "more"]
Kind = Literal["stated", "poured", "too_hot", "just_right", "more"]
"""Of evidence; a rating's kind is its verdict."""
ClockState = Literal["known", "estimated", "unknown"]
"""How far `time` can be trusted: `known` within 1 s; `estimated` from a boot whose offset was only bounded; `unknown`
was stamped by a clock that nobody had set."""


class EventData(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every event carries: where it happened, how it came in, and what the customer allowed."""

    type: ClassVar[str]

    store: Name
    region: Name
    channel: Channel
    consent: Consent
    flags: Annotated[tuple[Flag, ...], Meta(max_length=16)] = ()
    """What looked implausible at the door (`heat.quality`), and `confirmed`; flagged events are kept."""


class Poured(EventData, frozen=True, kw_only=True):
    """A customer poured a sauce."""

    type: ClassVar[str] = "picante.poured.v1"

    sauce: SauceId
    heat: Heat
    flavours: Flavours
    w: Weight
    nozzle: Nozzle
    volume_ul: Annotated[int, Meta(ge=1, le=SAFE_INTEGER)]
    duration_ms: Count
    pick_id: PickId | None = None
    """The impression that showed this sauce, if one did."""


class Rated(EventData, frozen=True, kw_only=True):
    """A customer said how hot a sauce was for them."""

    type: ClassVar[str] = "picante.rated.v1"

    sauce: SauceId
    heat: Heat
    flavours: Flavours
    w: Weight
    verdict: Verdict
    pick_id: PickId | None = None


class Stated(EventData, frozen=True, kw_only=True):
    """A customer said how hot they like it, as a number, a word or a dial position; `said` keeps their own form."""

    type: ClassVar[str] = "picante.stated.v1"

    heat: Heat
    w: Weight
    said: Annotated[str, Meta(max_length=64)]


VoidReason = Literal["test", "leak", "cleaning", "stuck", "other"]
"""Why a pour was no customer's: somebody tried the dispenser, it leaked, was cleaned, a button hung."""


class PourVoided(EventData, frozen=True, kw_only=True):
    """A technician took a pour back that no customer made. Its source is the gateway.

    It says again what the pour said, so that its sums can be taken away without the pour at hand; its subject is
    whoever held them, and nobody if they are nobody's any more. The sauce did flow: levels stay.
    """

    type: ClassVar[str] = "picante.pour-voided.v1"

    voided: Identity
    """The pour's identity."""
    day: Day
    """On which the pour was counted."""
    sauce: SauceId
    heat: Heat
    flavours: Flavours
    w: Weight
    nozzle: Nozzle
    volume_ul: Annotated[int, Meta(ge=1, le=SAFE_INTEGER)]
    reason: VoidReason


class Refilled(EventData, frozen=True, kw_only=True):
    """Somebody put a bottle on a nozzle."""

    type: ClassVar[str] = "picante.refilled.v1"

    nozzle: Nozzle
    sauce: SauceId
    volume_ul: Count


class ShownPick(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One slot of an impression. `propensity` is the chance that the policy showed this sauce in this slot."""

    slot: Annotated[int, Meta(ge=1, le=3)]
    nozzle: Nozzle
    sauce: SauceId
    milli_octaves: MilliOctaves
    score: float
    propensity: Annotated[float, Meta(gt=0, le=1)]


class Offered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A candidate as it was scored: its label, its share of the site's pours (on any scale), its tags."""

    shu: Annotated[int, Meta(ge=0, le=MAX_SHU)]
    sd_milli_octaves: MilliOctaves
    popularity: Annotated[float, Meta(ge=0)]
    flavours: Flavours


class PourWindow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was poured in the last days: how many, and their mean heat."""

    days: Annotated[int, Meta(ge=1, le=SAFE_INTEGER)]
    pours: Count
    mean_mo: MilliOctaves | None


class FlavourShare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tag's share of what the customer poured and liked, shrunk where there is little evidence."""

    tag: SauceId
    share: Annotated[float, Meta(ge=0, le=1)]


class SaucePours(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often the customer poured a sauce, each time counting less with its age (`heat.pours`)."""

    sauce: SauceId
    pours: Annotated[float, Meta(ge=0)]


class Known(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the ranker knew of the customer at the pick: what a profile read later can't tell any more."""

    mean_mo: MilliOctaves
    sd_mo: Count
    tolerance_mo: MilliOctaves
    evidence: Count
    """Pieces of evidence that the profile held, undecayed."""
    windows: Annotated[tuple[PourWindow, ...], Meta(max_length=8)]
    flavours: Annotated[tuple[FlavourShare, ...], Meta(max_length=256)]
    """Of the tags that candidates have; 0 where one is missing."""
    dial: Heat | None = None
    mood: Annotated[str, Meta(max_length=32)] | None = None
    last_sauce: SauceId | None = None
    """What was poured last, by its label `last_shu`, and what the customer said of it."""
    last_shu: Annotated[int, Meta(ge=0, le=MAX_SHU)] | None = None
    last_verdict: Verdict | None = None
    pours: Annotated[tuple[SaucePours, ...], Meta(max_length=256)] = ()
    """Of the candidates; 0 where one is missing."""
    hour: Annotated[int, Meta(ge=0, le=23)] | None = None
    """On the store's clock."""
    temperature_c: Annotated[float, Meta(ge=-100, le=100)] | None = None
    """Outside."""


class Impression(EventData, frozen=True, kw_only=True):
    """Picks were sent to a dispenser's screen. Its source is the gateway.

    With `offered` and `known` it carries all that its features were made of (`models.logged`): whoever trains needs
    neither a catalogue nor a profile of today.
    """

    type: ClassVar[str] = "picante.impression.v1"

    pick_id: PickId
    dispenser: Name
    picks: Annotated[tuple[ShownPick, ...], Meta(max_length=3)]
    candidates: Annotated[tuple[SauceId, ...], Meta(max_length=256)]
    """All sauces that could have been shown, in the order in which they were scored: what must not be is not there.

    Of who avoids allergens those that were shown alone, without `offered` and `known`: the gaps would tell which."""
    ranker: Annotated[str, Meta(min_length=1, max_length=64)]
    """`rule`, or the hash of the bundle that ranked."""
    latency_us: Count
    """From the last byte of ASK read to the first byte of PICKS written."""
    catalog: Version | None = None
    offered: Annotated[tuple[Offered, ...], Meta(max_length=256)] = ()
    """A row a candidate, in their order."""
    known: Known | None = None
    policy: Annotated[str, Meta(min_length=1, max_length=32)] = "greedy"
    """What chose among the candidates (`models.explore`)."""
    seed: Count | None = None
    """Of the chance that the policy took; None where it took none."""
    slate_propensity: Annotated[float, Meta(gt=0, le=1)] | None = None
    """The chance that the policy showed these sauces in this order; None for an impression that didn't keep it."""
    experiment: Name | None = None
    arm: Name | None = None
    """The experiment that this customer is part of, and which of its rankers answered."""


class BucketRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One profile bucket, as `heat.profile` sums it."""

    origin: Name
    day: Day
    kind: Kind
    n: Count
    w: Count
    wq: Count
    wqq: Count
    bands: Annotated[tuple[Count, ...], Meta(min_length=BANDS, max_length=BANDS)]


class FlavourRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One flavour sum of a profile."""

    origin: Name
    day: Day
    kind: Kind
    tag: SauceId
    n: Count
    w: Count


class SessionClaimed(EventData, frozen=True, kw_only=True):
    """A loyalty token was shown: the session's sums so far now belong to the event's subject."""

    type: ClassVar[str] = "picante.session-claimed.v1"

    session: Session
    buckets: tuple[BucketRow, ...]
    flavours: tuple[FlavourRow, ...]


class ConsentChanged(EventData, frozen=True, kw_only=True):
    """A customer said whether they want to be known: `consent` is `none` from now on, or `profile` again.

    The one event with a pseudonym for a subject that may say `none`. The latest by time counts, and `none` of two that
    are of the same time.
    """

    type: ClassVar[str] = "picante.consent-changed.v1"


class SequenceGap(EventData, frozen=True, kw_only=True):
    """A dispenser's ring overflowed: its events `first..last` of a generation can never arrive."""

    type: ClassVar[str] = "picante.gap.v1"

    dispenser: Name
    generation: Count
    first: Count
    last: Count


SensorName = Literal["flow", "level", "temperature", "door", "drip_tray"]
"""In pulses of the meter, ml, hundredths of a degree Celsius, 1 for open, 1 for full."""
Reading = Annotated[int, Meta(ge=-SAFE_INTEGER, le=SAFE_INTEGER)]


class SensorRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One sensor's values in a time, summed up. Nozzle 0 is the whole dispenser."""

    sensor: SensorName
    nozzle: Nozzle
    n: Count
    sum: Reading
    least: Reading
    most: Reading
    last: Reading


class Sampled(EventData, frozen=True, kw_only=True):
    """What a dispenser's sensors read in the time that ends at the event's. Its source is the gateway."""

    type: ClassVar[str] = "picante.sampled.v1"

    dispenser: Name
    seconds: Annotated[int, Meta(ge=1, le=SAFE_INTEGER)]
    """How long that time is."""
    sensors: tuple[SensorRow, ...]


AnyData = (
    Poured
    | Rated
    | Stated
    | Refilled
    | Impression
    | SessionClaimed
    | ConsentChanged
    | SequenceGap
    | Sampled
    | PourVoided
)
TYPES: dict[str, type[AnyData]] = {cls.type: cls for cls in get_args(AnyData)}
"""Every event type that there is, by its CloudEvents `type`."""
_decoders: dict[str, msgspec.json.Decoder[AnyData]] = {name: msgspec.json.Decoder(cls) for name, cls in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something happened, as far as the gateway knows."""

    time_ms: int
    """Unix time, ms, as good as `clock` says."""
    boot_ms: int
    """ms since the gateway's kernel booted: what `time_ms` is made from once wall time becomes known."""
    day: int
    """UTC day number (days since 1970-01-01), or -(boot number) of a gateway boot whose wall time is not known yet."""
    clock: ClockState


@dataclass(frozen=True, slots=True)
class Event:
    """One fact, ready to be stored and folded. `subject` is a pseudonym, a session, or None for nobody."""

    id: EventId
    subject: str | None
    when: Stamp
    data: AnyData

    def encode_data(self) -> bytes:
        """The event's `data` as JSON."""
        return msgspec.json.encode(self.data)


def decode_data(type_: str, text: bytes | str | dict[str, Any]) -> AnyData:
    """The `data` of an event of this type, from JSON. Raises KeyError, msgspec.ValidationError."""
    if isinstance(text, dict):
        return msgspec.convert(text, TYPES[type_])
    return msgspec.json.decode(text, type=TYPES[type_])


def read_data(type_: str, text: bytes) -> AnyData | None:
    """Stored `data`; None where it is none (any more): a type that is not known here, or a damaged disk."""
    try:
        text.decode()  # msgspec would let broken UTF-8 pass in members that it skips
        return _decoders[type_].decode(text)
    except (KeyError, UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
