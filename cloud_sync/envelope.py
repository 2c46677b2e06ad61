"""Stored event <-> Kafka record: one CloudEvent 1.0 in JSON, structured mode. Pure.

The uplink encodes, every reader decodes. Attributes beyond CloudEvents' own (its extensions must be lower case):

    origin       the gateway, app or survey that took the event
    heatday      the UTC day number that its profile bucket has; negative: a boot whose wall time was never known
    clockstate   how far `time` can be trusted
    redelivered  true if the topic may hold the event already; absent otherwise
    traceparent  W3C trace context, derived from the event id, so that whoever holds the id can compute it

The stored `data` is put into the envelope as it is. Readers ignore what they don't know. See CloudEvents 1.0.2 (core,
JSON format, Kafka binding) and W3C Trace Context.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Record
from cloud_sync.topics import CLOUDEVENT, CONTENT_TYPE, EVENTS, SAMPLES
from heat.errors import DataError
from heat.events import TYPES, AnyData, ClockState, Day, Sampled, read_data
from heat.identity import SAFE_INTEGER, SOURCE_NAME, EventId, check_subject, parse_event_id
from heat.quality import Refusal

MAX_ENVELOPE_BYTES = 900_000
"""bytes; brokers take batches of 1,048,588 by default, and a record must fit with its batch's header."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

_EPOCH_UTC, _FIRST, _LAST = EPOCH.replace(tzinfo=None), datetime.min, datetime.max  # noqa: DTZ901 -- as below
"""What is written is UTC anyway: without a zone it is written in half the time."""
_NAME = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
SOURCE = rf"\A/[a-z]+/{_NAME}\Z"
ORIGIN = rf"\A{_NAME}\Z"
TRACEPARENT = r"\A00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"
SCHEMA_URN = "urn:picante:schema:"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A Picante event as a CloudEvent."""

    specversion: Literal["1.0"]
    id: str
    """`source:generation:sequence`, the generation as 8 hex digits."""
    source: Annotated[str, Meta(pattern=SOURCE)]
    """`/dispensers/NAME`, or `/gateways/NAME` for what a gateway itself observed."""
    type: str
    subject: str | UnsetType = UNSET
    """Pseudonym or session; absent where no customer is concerned."""
    time: Annotated[datetime, Meta(tz=True)]
    datacontenttype: Literal["application/json"]
    dataschema: str
    traceparent: Annotated[str, Meta(pattern=TRACEPARENT)]
    origin: Annotated[str, Meta(pattern=ORIGIN)]
    heatday: Day
    clockstate: ClockState
    redelivered: bool | UnsetType = UNSET
    data: Raw


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """`Envelope` as it is written: the same members, with `time` made here."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | UnsetType
    time: str
    datacontenttype: str
    dataschema: str
    traceparent: str
    origin: str
    heatday: int
    clockstate: str
    redelivered: bool | UnsetType
    data: Raw


@dataclass(frozen=True, slots=True)
class Received:
    """An event as a reader of the topic gets it; the members mean what they mean in `StoredEvent`."""

    id: EventId
    subject: str | None
    time_ms: int
    day: int
    clock: ClockState
    origin: str
    redelivered: bool
    data: AnyData


_CLOCKS = frozenset(get_args(ClockState))
_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(Envelope)
_data: dict[str, msgspec.json.Decoder[AnyData]] = {name: msgspec.json.Decoder(type_) for name, type_ in TYPES.items()}


def encode(row: StoredEvent) -> Record:
    """The record that carries a stored event."""
    id_ = str(row.id)
    value = _encoder.encode(
        _Written(
            specversion="1.0",
            id=id_,
            source=source_uri(row.id.source, row.origin),
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
    return None if read_data(row.type, row.data) is not None else Refusal("damaged", "its data are no such event")


@lru_cache(4096)
def _are_names(*names: str) -> bool:
    return all(SOURCE_NAME.match(name) for name in names)


@lru_cache(4096)
def _is_subject(subject: str | None) -> bool:
    try:
        return subject is None or bool(check_subject(subject))
    except DataError:
        return False


def decode(value: bytes) -> Received | Refusal:
    """The event that a record's value carries, or why it is none. A refusal never repeats the value's text."""
    if len(value) > MAX_ENVELOPE_BYTES:
        return Refusal("too_large", f"{len(value)} bytes")
    try:
        value.decode()  # msgspec would let broken UTF-8 pass in members that it skips
        envelope = _envelope.decode(value)
        if (data := _data.get(envelope.type)) is None:
            return Refusal("unknown_type", "no such event type")
        return _received(envelope, data)
    except UnicodeDecodeError as error:
        return Refusal("malformed", f"not UTF-8 at byte {error.start}")
    except (msgspec.DecodeError, DataError) as error:
        return Refusal("malformed", re.sub(r"'[^']*'", "'…'", str(error))[:200])
    except RecursionError:
        return Refusal("malformed", "nested too deeply")


def _received(envelope: Envelope, data: msgspec.json.Decoder[AnyData]) -> Received:
    id_ = parse_event_id(envelope.id)
    if envelope.source.rpartition("/")[2] != id_.source:
        raise DataError("id and source disagree")
    if envelope.dataschema != SCHEMA_URN + envelope.type:
        raise DataError("type and dataschema disagree")
    if not 1 <= id_.sequence <= SAFE_INTEGER:
        raise DataError("the sequence is out of range")
    return Received(
        id=id_,
        subject=None if envelope.subject is UNSET else check_subject(envelope.subject),
        time_ms=(envelope.time - EPOCH) // MILLISECOND,
        day=envelope.heatday,
        clock=envelope.clockstate,
        origin=envelope.origin,
        redelivered=envelope.redelivered is True,
        data=data.decode(envelope.data),
    )


def source_uri(source: str, origin: str) -> str:
    """CloudEvents' `source` of an event that gateway `origin` took from `source`, which may be itself."""
    return f"/gateways/{source}" if source == origin else f"/dispensers/{source}"


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
