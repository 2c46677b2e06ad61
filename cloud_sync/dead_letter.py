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
    JSON,
    ORIGIN,
    REASON,
    REDELIVERED,
    TIME,
)
from heat.quality import Reason, Refusal

WRITER = "picante-uplink"
KEPT_BYTES = 64 * 1024
"""bytes of a record that is too large for Kafka; enough to see what it was, and sure to fit."""


def from_refusal(row: StoredRefusal, keep_bytes: int = KEPT_BYTES) -> Record:
    """The dead letter of an event that was refused at the door; its value is the wire body as it came."""
    return _record(
        row, row.body[:keep_bytes], len(row.body), {**_headers(row, row.reason, row.detail), CONTENT_TYPE: CBOR}
    )


def from_event(row: StoredEvent, refusal: Refusal, keep_bytes: int = KEPT_BYTES) -> Record:
    """The dead letter of a stored event that can't go up as one; its value is its `data`, or the beginning of it."""
    headers = {**_headers(row, refusal.reason, refusal.detail), CONTENT_TYPE: JSON}
    return _record(row, row.data[:keep_bytes], len(row.data), headers)


def _record(row: StoredEvent | StoredRefusal, value: bytes, full_size: int, headers: dict[str, bytes]) -> Record:
    if len(value) < full_size:
        headers[FULL_SIZE] = str(full_size).encode()
    return Record(DEAD_LETTERS.name, row.id.source.encode(), value, tuple(headers.items()))


def _headers(row: StoredEvent | StoredRefusal, reason: Reason, detail: str) -> dict[str, bytes]:
    headers = {
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
    return headers
