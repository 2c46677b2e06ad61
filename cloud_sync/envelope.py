"""Stored event <-> Kafka record: one CloudEvent 1.0 in JSON, structured mode. Pure.

The uplink encodes, every reader decodes, and judges by `decode` or, with the record's key, by `verdict`. Attributes
beyond CloudEvents' own (its extensions must be lower case):

    origin       the gateway, app, site or survey that took the event
    heatday      the UTC day number that its profile bucket has; negative: a boot whose wall time was never known
    clockstate   how far `time` can be trusted
    redelivered  true if the topic may hold the event already; absent otherwise
    traceparent  W3C trace context, derived from the event id, so that whoever holds the id can compute it

The stored `data` is put into the envelope as it is. Readers ignore what they don't know. See CloudEvents 1.0.2 (core,
JSON format, Kafka binding) and W3C Trace Context.

A record is judged in this order, and the first thing that is wrong is its reason: size; JSON and the envelope's schema;
type; the schema of its data; JSON that readers read differently (`cloud_sync.one_reading`); what can't be true
(`heat.consistency`); the topic, and the key.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from cloud_sync.one_reading import check_one_reading
from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Record
from cloud_sync.topics import CLOUDEVENT, CONTENT_TYPE, DAY_MS, EVENTS, SAMPLES
from heat.consistency import contradiction
from heat.errors import DataError
from heat.events import TYPES, AnyData, ClockState, Day, Name, Sampled, read_data
from heat.identity import NAME, SAFE_INTEGER, SOURCE_NAME, EventId, check_subject, parse_event_id
from heat.quality import Refusal

MAX_ENVELOPE_BYTES = 900_000
"""bytes; brokers take batches of 1,048,588 by default, and a record must fit with its batch's header."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

_EPOCH_UTC, _FIRST, _LAST = EPOCH.replace(tzinfo=None), datetime.min, datetime.max  # noqa: DTZ901 -- as below
"""What is written is UTC anyway: without a zone it is written in half the time."""
OwnKind = Literal["gateways", "apps", "web", "surveys"]
"""Of sources that take their events themselves. What dispensers say is taken by a gateway."""
CHANNELS: dict[str, frozenset[str]] = {
    "dispensers": frozenset({"dispenser"}),
    "gateways": frozenset({"gateway", "kiosk", "app", "web"}),
    "apps": frozenset({"app"}),
    "web": frozenset({"web"}),
    "surveys": frozenset({"survey"}),
}
"""The channels by which a kind of source may hear of something."""
SOURCE = rf"\A/(?:{'|'.join(CHANNELS)})/{NAME}\Z"
TRACEPARENT = r"\A00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"
TIME = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z\Z"
"""One spelling, so that times compare as texts."""
SCHEMA_URN = "urn:picante:schema:"


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A Picante event as a CloudEvent."""

    specversion: Literal["1.0"]
    id: str
    """`source:generation:sequence`, the generation as 8 hex digits."""
    source: Annotated[str, Meta(pattern=SOURCE)]
    """`/dispensers/NAME`; what others hear themselves: `/gateways/NAME`, `/apps/NAME`, `/web/NAME`, `/surveys/NAME`"""
    type: str
    subject: str | UnsetType = UNSET
    """Pseudonym or session; absent where no customer is concerned."""
    time: Annotated[str, Meta(pattern=TIME, extra_json_schema={"format": "date-time"})]
    """UTC, to the millisecond."""
    datacontenttype: Literal["application/json"]
    dataschema: str
    traceparent: Annotated[str, Meta(pattern=TRACEPARENT)]
    origin: Name
    heatday: Day
    clockstate: ClockState
    redelivered: bool | UnsetType = UNSET
    data: Raw


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event as a reader of the topic gets it; the members mean what they mean in `StoredEvent`."""

    id: EventId
    subject: str | None
    time_ms: int
    day: int
    clock: ClockState
    origin: str
    redelivered: bool
    data: AnyData


_PLACE = re.compile(r" - at `\$[a-z0-9_.\[\]]*`\Z")
"""What ends msgspec's messages: names of our members, and no key of the value."""
_REDELIVERED = re.compile(rb'"redelivered"\s*:\s*true\s*,\s*|,\s*"redelivered"\s*:\s*true')
"""The member, and the comma and the spaces that came with it, wherever it stands and however it is spaced."""
_CLOCKS = frozenset(get_args(ClockState))
_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(Envelope)
_data: dict[str, msgspec.json.Decoder[AnyData]] = {name: msgspec.json.Decoder(type_) for name, type_ in TYPES.items()}


def encode(row: StoredEvent, own: OwnKind = "gateways") -> Record:
    """The record that carries a stored event. `own` is the kind of `row.origin`."""
    id_ = str(row.id)
    value = _encoder.encode(
        Envelope(
            specversion="1.0",
            id=id_,
            source=source_uri(row.id.source, row.origin, own),
            type=row.type,
            subject=UNSET if row.subject is None else row.subject,
            time=format_time(row.time_ms),
            datacontenttype="application/json",
            dataschema=SCHEMA_URN + row.type,
            traceparent=traceparent(id_),
            origin=row.origin,
            heatday=row.day,
            clockstate=row.clock,
            redelivered=True if row.redelivered else UNSET,
            data=Raw(row.data),
        )
    )
    key = (row.subject or row.id.source).encode()
    topic = SAMPLES if row.type == Sampled.type else EVENTS
    return Record(topic.name, key, value, ((CONTENT_TYPE, CLOUDEVENT),))


def fault(row: StoredEvent) -> Refusal | None:
    """Why no reader would take this event: `decode` refuses what `encode` makes of it. None for all that was stored.

    What a damaged disk gives back is no error to SQLite, and to Kafka it is as good as any bytes.
    """
    if row.type not in _data:
        return Refusal("unknown_type", "no such event type")
    if not (_are_names(row.id.source, row.origin) and _is_subject(row.subject)):
        return Refusal("damaged", "its source or subject is none")
    numbers = 0 <= row.id.generation < 2**32 and 1 <= row.id.sequence <= SAFE_INTEGER and -(2**31) <= row.day < 2**31
    if not numbers or row.clock not in _CLOCKS:
        return Refusal("damaged", "its identity, day or clock is out of range")
    data = read_data(row.type, row.data)
    if data is None or not _reads_one_way(row.data, data):
        return Refusal("damaged", "its data are no such event")
    if not _is_day_of(row.day, parse_time(format_time(row.time_ms)), row.clock):
        return Refusal("damaged", "its day is not the day of its time")
    if data.channel not in CHANNELS[_kind(source_uri(row.id.source, row.origin))]:
        return Refusal("damaged", "its channel is none of its source's")
    return contradiction(data, row.subject, row.origin, row.day)


@lru_cache(4096)
def _are_names(*names: str) -> bool:
    return all(SOURCE_NAME.match(name) for name in names)


@lru_cache(4096)
def _is_subject(subject: str | None) -> bool:
    try:
        return subject is None or bool(check_subject(subject))
    except DataError:
        return False


def verdict(key: bytes | None, value: bytes, *, samples: bool = False) -> Received | Refusal:
    """The event that a record carries, or why it is none: `decode`, its topic, and the key that says its partition.

    `samples`: it lies where readings of sensors do, which lie nowhere else.
    """
    received = decode(value)
    if isinstance(received, Received) and isinstance(received.data, Sampled) != samples:
        return Refusal("unknown_type", "a type of another topic")
    if isinstance(received, Received) and key != (received.subject or received.id.source).encode():
        return Refusal("wrong_key", "its key is not its subject, or its source where it has none")
    return received


def decode(value: bytes) -> Received | Refusal:
    """The event that a record's value carries, or why it is none. A refusal never repeats the value's text."""
    if len(value) > MAX_ENVELOPE_BYTES:
        return Refusal("too_large", f"{len(value)} bytes")
    try:
        envelope = _envelope.decode(value)
        if (decoder := _data.get(envelope.type)) is None:
            return Refusal("unknown_type", "no such event type")
        data = decoder.decode(envelope.data)
        # what is written as we write it hides nothing: all else is looked at member by member
        if _encoder.encode(envelope) != value or _encoder.encode(data) != bytes(envelope.data):
            check_one_reading(value)
        return _received(envelope, data)
    except UnicodeDecodeError as error:
        return Refusal("malformed", f"not UTF-8 at byte {error.start}")
    except msgspec.DecodeError as error:
        return Refusal("malformed", what_is_wrong(error))
    except DataError as error:
        return Refusal("malformed", str(error))
    except RecursionError:
        return Refusal("malformed", "nested too deeply")


def what_is_wrong(error: msgspec.DecodeError) -> str:
    """The kind of an error and its place, without what msgspec quotes of the value."""
    text = str(error)
    place = _PLACE.search(text)
    return re.split("['\"]| - at `", text, maxsplit=1)[0].strip() + (place[0] if place else "")


def _received(envelope: Envelope, data: AnyData) -> Received | Refusal:
    id_ = parse_event_id(envelope.id)
    subject = None if envelope.subject is UNSET else check_subject(envelope.subject)
    time_ms = parse_time(envelope.time)
    if (refusal := _disagreement(envelope, id_, time_ms, data)) is not None:
        return refusal
    if (refusal := contradiction(data, subject, envelope.origin, envelope.heatday)) is not None:
        return refusal
    return Received(
        id=id_,
        subject=subject,
        time_ms=time_ms,
        day=envelope.heatday,
        clock=envelope.clockstate,
        origin=envelope.origin,
        redelivered=envelope.redelivered is True,
        data=data,
    )


def _disagreement(envelope: Envelope, id_: EventId, time_ms: int, data: AnyData) -> Refusal | None:
    """Two attributes that say different things."""
    kind, name = _kind(envelope.source), id_.source
    if not envelope.source.endswith("/" + name):
        return Refusal("contradictory", "id and source disagree")
    if (kind == "dispensers") == (name == envelope.origin):
        return Refusal("contradictory", "a dispenser as origin, or another origin of what was taken by its source")
    if data.channel not in CHANNELS[kind]:
        return Refusal("contradictory", "a channel that is none of its source's")
    if envelope.dataschema != SCHEMA_URN + envelope.type:
        return Refusal("contradictory", "type and dataschema disagree")
    if not _is_day_of(envelope.heatday, time_ms, envelope.clockstate):
        return Refusal("contradictory", "heatday is not the day of its time")
    return None


def _kind(source: str) -> str:
    return source[1 : source.index("/", 1)]


def _is_day_of(day: int, time_ms: int, clock: ClockState) -> bool:
    return day == time_ms // DAY_MS if day >= 0 else clock == "unknown"


def _reads_one_way(text: bytes, data: AnyData) -> bool:
    try:
        if _encoder.encode(data) != text:
            check_one_reading(text)
    except (DataError, RecursionError):
        return False
    return True


def content_hash(value: bytes, event: Received) -> int:
    """The first 64 bits of the SHA-256 of the value that carried an event, as a signed integer of the same order.

    Whether it comes again (`redelivered`) is no part of the content. All other bytes are: whoever sends an event again
    spells it as before. Of two contents under one identity, the one with the smaller hash counts.
    """
    if event.redelivered:
        value = _REDELIVERED.sub(b"", value, count=1)
    return int.from_bytes(hashlib.sha256(value).digest()[:8], "big") - 2**63


def source_uri(source: str, origin: str, own: OwnKind = "gateways") -> str:
    """CloudEvents' `source` of an event that `origin`, of kind `own`, took from `source`, which may be itself."""
    return f"/{own}/{source}" if source == origin else f"/dispensers/{source}"


def traceparent(event_id: str) -> str:
    """The W3C trace context of an event: trace and span id are the first 24 bytes of the id's SHA-256."""
    digest = hashlib.sha256(event_id.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def format_time(time_ms: int) -> str:
    """Unix time in ms as RFC 3339 in UTC, ms included. Times beyond the years 1..9999 are written as its ends."""
    try:
        moment = _EPOCH_UTC + time_ms * MILLISECOND
    except OverflowError:
        moment = _LAST if time_ms > 0 else _FIRST
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def parse_time(text: str) -> int:
    """Unix time in ms of what `format_time` writes. Raises DataError if there is no such day."""
    try:
        return (datetime.fromisoformat(text) - EPOCH) // MILLISECOND
    except ValueError:
        raise DataError("no such time") from None
