"""What is not an event: the absolute values that the halves tell each other, as CloudEvents in JSON. Pure.

    topic                  type                   key                        written by
    picante.profiles.v1    picante.profile.v1     subject                    the cloud's pipeline
    picante.features.v1    picante.features.v1    subject                    the cloud's pipeline
    picante.picks.v1       picante.picks.v1       subject                    the cloud's recommender
    picante.clock.v1       picante.clock.v1       the day                    the cloud's clock
    picante.context.v1     picante.context.v1     store/hour                 the cloud's weather
    picante.trends.v1      picante.trend.v1       region/hour                the cloud's trends
    picante.gateways.v1    picante.heartbeat.v1   gateway                    each gateway
    picante.releases.v1    picante.release.v1     kind/target                whoever releases

Each is written at least once and holds all there is to say about its key, so a later one replaces an earlier one; what
is later is told by `version` where partitions could disagree. Readers ignore what they don't know, and a record without
a value is a tombstone: the key is to be forgotten.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

import heat.features
from cloud_sync.envelope import MAX_ENVELOPE_BYTES, SCHEMA_URN, format_time, what_is_wrong
from cloud_sync.record import Record
from cloud_sync.topics import (
    CLOCK,
    CLOUDEVENT,
    CONTENT_TYPE,
    CONTEXT,
    FEATURES,
    GATEWAYS,
    PICKS,
    PROFILES,
    RELEASES,
    TRENDS,
    Topic,
)
from heat.events import BucketRow, Count, Day, FlavourRow
from heat.quality import Refusal
from heat.scale import MAX_MO

MilliOctaves = Annotated[int, Meta(ge=0, le=MAX_MO)]


class Version(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Which of two values about a subject is the later one: the greater."""

    generation: Count
    """Raised when the cloud folds everything anew."""
    offset: Count
    """Of the subject's last event that is in it, in its partition of the events."""
    day: Day = 0
    """Of the clock's tick that it was read at; 0 where no day matters."""


class Region(msgspec.Struct, frozen=True, array_like=True):
    """Where a customer was seen."""

    region: str
    last_day: Day


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A customer's heat profile, whole."""

    type: ClassVar[str] = "picante.profile.v1"
    topic: ClassVar[Topic] = PROFILES

    version: Version
    regions: tuple[Region, ...]
    buckets: tuple[BucketRow, ...]
    flavours: tuple[FlavourRow, ...]
    opted_out: bool = False
    """Whether the customer wants not to be known: whoever reads this forgets the rest of it."""
    consent_ms: Count | None = None
    """When the customer said so, or took it back, Unix time in ms; None where nothing was said."""

    @property
    def last_day(self) -> int | None:
        """The newest day of evidence; None where no day is known."""
        return max((row.day for row in self.buckets if row.day >= 0), default=None)


class Features(heat.features.Features, frozen=True, kw_only=True):
    """What a profile says when it is read on a day."""

    type: ClassVar[str] = "picante.features.v1"
    topic: ClassVar[Topic] = FEATURES

    version: Version


class ServedPick(msgspec.Struct, frozen=True, kw_only=True):
    """One sauce for a customer."""

    sauce: str
    milli_octaves: MilliOctaves
    score: float
    why: str = ""


class ServedPicks(msgspec.Struct, frozen=True, kw_only=True):
    """What the brand would pour for a customer, best first."""

    type: ClassVar[str] = "picante.picks.v1"
    topic: ClassVar[Topic] = PICKS

    version: Version
    ranker: str
    picks: tuple[ServedPick, ...]
    last_day: Day | None = None
    """The newest day of the evidence that they are made of."""


class ClockTick(msgspec.Struct, frozen=True, kw_only=True):
    """A UTC day has begun."""

    type: ClassVar[str] = "picante.clock.v1"
    topic: ClassVar[Topic] = CLOCK

    day: Day


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What it was like at a store in an hour. Members that nobody knows are absent."""

    type: ClassVar[str] = "picante.context.v1"
    topic: ClassVar[Topic] = CONTEXT

    store: str
    region: str
    hour: Count
    """Hours since 1970."""
    utc_offset_minutes: Annotated[int, Meta(ge=-1440, le=1440)] | None = None
    """What the store's clocks were ahead of UTC when the hour began."""
    as_of_ms: Count
    """Unix time, ms, at which it was measured, as its source says."""
    centi_celsius: Annotated[int, Meta(ge=-10_000, le=10_000)] | None = None
    feels_centi_celsius: Annotated[int, Meta(ge=-10_000, le=10_000)] | None = None
    humidity_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    weather: str | None = None
    """The source's word: `Rain`, `Clear`."""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """What a region poured in an hour that is over, by customers who are too many to be told apart.

    Each visit counts once, with the mean of what it poured: nobody's many pours outweigh the others'.
    """

    type: ClassVar[str] = "picante.trend.v1"
    topic: ClassVar[Topic] = TRENDS

    region: str
    hour: Count
    """Hours since 1970."""
    customers: Annotated[int, Meta(ge=10)]
    """Pseudonyms: a session may be anybody's second visit, and proves no other customer."""
    visits: Count
    """Customers, and sessions that nobody claimed."""
    pours: Count
    mean_mo: MilliOctaves
    """Of the visits, rounded down."""
    bands: tuple[Count, ...]
    """Visits by heat band."""


class DigestRow(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway holds of a customer, of its own origin, all of it confirmed by Kafka."""

    subject: str
    n: Count
    digest: str
    """In hex: `heat.profile.Profile.digest(origin)`."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway did since it started. Records that went to Kafka are `sent`, the two others among them."""

    duplicates: Count = 0
    refused: Count = 0
    picks: Count = 0
    sent: Count = 0
    dead_letters: Count = 0
    redelivered: Count = 0


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the release of a kind that is meant for a gateway."""

    kind: str
    target: str
    number: Count
    sha256: str
    state: Literal["used", "on_trial", "waiting", "refused"]
    """`refused`: it can't be used, or was taken back; `detail` says why, and what is used instead."""
    detail: str = ""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway is."""

    type: ClassVar[str] = "picante.heartbeat.v1"
    topic: ClassVar[Topic] = GATEWAYS

    gateway: str
    store: str
    region: str
    software: str
    started_ms: Count
    backlog: Count
    """Rows that wait for Kafka."""
    oldest_ms: Count | None
    """Unix time, ms, of the oldest of them."""
    clock: Literal["known", "estimated", "unknown"]
    disk_percent: Annotated[int, Meta(ge=0, le=100)]
    """Of the store's quota."""
    repairs: tuple[str, ...]
    """Codes of the problems that its page shows, worst first."""
    digests: tuple[DigestRow, ...] = ()
    """Of customers seen lately: those that changed since they were told of, and all now and then."""
    epoch: Count = 0
    """Of its database: how often that had to begin anew."""
    confirmed: Count = 0
    """Rows of its outbox up to this position are in Kafka; `digests` are as of the moment at which it was so."""
    sent_ms: Count | None = None
    """Unix time, ms, at which Kafka last took events of it, since it started."""
    uplink: str = ""
    """`idle`, or `draining` while whole batches wait."""
    ranker: str = ""
    """The bundle that ranks, or `rule`."""
    catalogue: str = ""
    words: str = ""
    """Versions of its catalogue and of its table of heat words."""
    dispensers: Count = 0
    online: Count = 0
    """Dispensers that it knows, and those of them that have an open link."""
    free_mib: Count | None = None
    """MiB left on its disk."""
    since_start: Tally = Tally()
    applied: tuple[Applied, ...] = ()
    """Releases, one a kind."""


Kind = Literal["catalogue", "words", "configuration", "bundle"]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Something that gateways are to use from now on."""

    type: ClassVar[str] = "picante.release.v1"
    topic: ClassVar[Topic] = RELEASES

    kind: Kind
    target: Annotated[str, Meta(max_length=64)]
    """`all`, `region/NAME` or `gateway/NAME`; the nearest one counts."""
    number: Annotated[int, Meta(ge=1)]
    """Rises with each release of a kind and target."""
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    content: bytes
    """In JSON: base64."""


AnyPublished = Profile | Features | ServedPicks | ClockTick | Context | Trend | Heartbeat | Release
PUBLISHED: dict[str, type[AnyPublished]] = {
    cls.type: cls for cls in (Profile, Features, ServedPicks, ClockTick, Context, Trend, Heartbeat, Release)
}
"""Every type that is published, by its CloudEvents `type`."""


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    dataschema: str
    data: Any


class PublishedEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """A published value as a CloudEvent. `subject` is the record's key."""

    specversion: Literal["1.0"]
    id: str
    source: Annotated[str, Meta(pattern=r"\A/[a-z]+/[a-z0-9-]{1,32}\Z")]
    """`/gateways/NAME`, or `/cloud/NAME` of a part of the cloud."""
    type: str
    subject: str
    time: Annotated[datetime, Meta(tz=True)]
    datacontenttype: Literal["application/json"]
    dataschema: str
    traceparent: str | UnsetType = UNSET
    data: Raw


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(PublishedEnvelope)
_data: dict[str, msgspec.json.Decoder[AnyPublished]] = {
    name: msgspec.json.Decoder(type_) for name, type_ in PUBLISHED.items()
}


def features_of(seen: heat.features.Features, version: Version) -> Features:
    """Features as they are published."""
    members = {name: getattr(seen, name) for name in seen.__struct_fields__}
    return Features(**members, version=version)


def publish(key: str, data: AnyPublished, source: str, id_: str, time_ms: int) -> Record:
    """The record that says `data` about `key`. `source`: `/gateways/NAME` or `/cloud/NAME`; `time_ms`: now."""
    value = _encoder.encode(
        _Written(
            specversion="1.0",
            id=id_,
            source=source,
            type=data.type,
            subject=key,
            time=format_time(time_ms),
            datacontenttype="application/json",
            dataschema=SCHEMA_URN + data.type,
            data=data,
        )
    )
    return Record(data.topic.name, key.encode(), value, ((CONTENT_TYPE, CLOUDEVENT),))


def read_published(value: bytes) -> AnyPublished | Refusal:
    """What a record's value says, or why it says nothing. A refusal never repeats the value's text."""
    if len(value) > MAX_ENVELOPE_BYTES:
        return Refusal("too_large", f"{len(value)} bytes")
    try:
        value.decode()  # msgspec would let broken UTF-8 pass in members that it skips
        envelope = _envelope.decode(value)
        if (data := _data.get(envelope.type)) is None:
            return Refusal("unknown_type", "no such type is published")
        return data.decode(envelope.data)
    except UnicodeDecodeError as error:
        return Refusal("malformed", f"not UTF-8 at byte {error.start}")
    except msgspec.DecodeError as error:
        return Refusal("malformed", what_is_wrong(error))
    except RecursionError:
        return Refusal("malformed", "nested too deeply")
