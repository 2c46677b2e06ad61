"""What can't be an event -> a record on the dead letters: its bytes untouched, the reason in headers. Pure.

The headers are those that Kafka Connect writes (KIP-298), with ours beside them:

    __connect.errors.topic                    where it would have gone
    __connect.errors.connector.name           who wrote the dead letter
    __connect.errors.exception.class.name     the reason's class
    __connect.errors.exception.message        what was wrong, without personal data
    picante.reason  picante.event.id  picante.origin  picante.time  picante.redelivered  picante.full.size
"""

from __future__ import annotations

from cloud_sync.envelope import format_time
from cloud_sync.outbox import StoredEvent, StoredRefusal
from cloud_sync.record import Record
from cloud_sync.topics import (
    CBOR,
    CONNECT,
    CONTENT_TYPE,
    DEAD_LETTERS,
    EVENT_ID,
    EVENTS,
    FULL_SIZE,
    ORIGIN,
    REASON,
    REDELIVERED,
    TIME,
)
from heat.quality import Reason, Refusal

WRITER = "picante-uplink"
KEPT_BYTES = 64 * 1024
"""bytes of a record that is too large for Kafka; enough to see what it was, and sure to fit."""


def from_refusal(row: StoredRefusal) -> Record:
    """The dead letter of an event that was refused at the door; its value is the wire body as it came."""
    return _record(row, row.body, CBOR, row.reason, row.detail)


def from_event(row: StoredEvent, reason: Reason, detail: str) -> Record:
    """The dead letter of a stored event that Kafka will never take; its value is the event's `data`, cut if need be."""
    return _record(row, row.data, b"application/json", reason, detail)


def _record(row: StoredEvent | StoredRefusal, body: bytes, content_type: bytes, reason: Reason, detail: str) -> Record:
    headers = {
        CONTENT_TYPE: content_type,
        f"{CONNECT}topic": EVENTS.name.encode(),
        f"{CONNECT}connector.name": WRITER.encode(),
        f"{CONNECT}exception.class.name": f"{Refusal.__module__}.{Refusal.__qualname__}".encode(),
        f"{CONNECT}exception.message": detail.encode(errors="replace"),
        REASON: reason.encode(),
        EVENT_ID: str(row.id).encode(),
        ORIGIN: row.origin.encode(),
        TIME: format_time(row.time_ms).encode(),
    }
    if row.redelivered:
        headers[REDELIVERED] = b"true"
    if len(body) > KEPT_BYTES:
        headers[FULL_SIZE] = str(len(body)).encode()
    return Record(DEAD_LETTERS.name, row.id.source.encode(), body[:KEPT_BYTES], tuple(headers.items()))
