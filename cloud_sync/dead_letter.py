"""What can't be an event -> a record on the dead letters: its bytes untouched, the reason in headers. Pure.

The headers are those that Kafka Connect writes (KIP-298), with ours beside them:

    __connect.errors.topic                    where it would have gone, or where it lay
    __connect.errors.partition  __connect.errors.offset    there, if it lay there
    __connect.errors.connector.name           who wrote the dead letter
    __connect.errors.exception.class.name     the reason's class
    __connect.errors.exception.message        what was wrong, without personal data
    picante.reason  picante.event.id  picante.origin  picante.time  picante.timestamp  picante.redelivered
    picante.full.size

A record's own headers come before them, as they were: ours begin with the last `__connect.errors.topic`.
"""

from __future__ import annotations

from dataclasses import replace

from cloud_sync.envelope import Received, format_time
from cloud_sync.outbox import StoredEvent, StoredRefusal
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import (
    BATCH_BYTES,
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
    TIMESTAMP,
)
from heat.quality import Reason, Refusal

WRITER = "picante-uplink"
PIPELINE = "picante-pipeline"
KEPT_BYTES = 64 * 1024
"""bytes of a record that is too large for Kafka; enough to see what it was, and sure to fit."""
WHOLE_BYTES = BATCH_BYTES + KEPT_BYTES
"""bytes up to which a record is kept whole. A writer may have compressed more: its dead letter must fit, too."""


def from_refusal(row: StoredRefusal, keep_bytes: int = KEPT_BYTES) -> Record:
    """The dead letter of an event that was refused at the door; its value is the wire body as it came."""
    return _record(
        row, row.body[:keep_bytes], len(row.body), {**_headers(row, row.reason, row.detail), CONTENT_TYPE: CBOR}
    )


def from_event(row: StoredEvent, refusal: Refusal, keep_bytes: int = KEPT_BYTES) -> Record:
    """The dead letter of a stored event that can't go up as one; its value is its `data`, or the beginning of it."""
    headers = {**_headers(row, refusal.reason, refusal.detail), CONTENT_TYPE: JSON}
    return _record(row, row.data[:keep_bytes], len(row.data), headers)


def from_record(record: Consumed, refusal: Refusal, event: Received | None = None, writer: str = PIPELINE) -> Record:
    """The dead letter of a record that lies in a topic and is refused there: key, value and headers as they are.

    `event` is what the record carries, where it carries one (`too_old`). A record above `WHOLE_BYTES` is cut, and says
    so by `picante.full.size`, as the others do.
    """
    ours = {
        f"{CONNECT}topic": record.topic.encode(),
        f"{CONNECT}partition": str(record.partition).encode(),
        f"{CONNECT}offset": str(record.offset).encode(),
        **_why(writer, refusal.reason, refusal.detail),
        TIMESTAMP: str(record.timestamp_ms).encode(),
    }
    if event is not None:
        ours |= {
            EVENT_ID: str(event.id).encode(),
            ORIGIN: event.origin.encode(),
            TIME: format_time(event.time_ms).encode(),
        }
    kept = _cut(record)
    if kept is not record:
        ours[FULL_SIZE] = str(len(record.value or b"")).encode()
    return Record(DEAD_LETTERS.name, kept.key, kept.value, (*kept.headers, *ours.items()), record.timestamp_ms)


def _cut(record: Consumed) -> Consumed:
    if record.size_bytes <= WHOLE_BYTES:
        return record
    cut = replace(record, key=record.key and record.key[:KEPT_BYTES], value=record.value and record.value[:KEPT_BYTES])
    return cut if cut.size_bytes <= WHOLE_BYTES else replace(cut, headers=())


def _record(row: StoredEvent | StoredRefusal, value: bytes, full_size: int, headers: dict[str, bytes]) -> Record:
    if len(value) < full_size:
        headers[FULL_SIZE] = str(full_size).encode()
    return Record(DEAD_LETTERS.name, row.id.source.encode(), value, tuple(headers.items()))


def _headers(row: StoredEvent | StoredRefusal, reason: Reason, detail: str) -> dict[str, bytes]:
    headers = {
        f"{CONNECT}topic": EVENTS.name.encode(),
        **_why(WRITER, reason, detail),
        EVENT_ID: str(row.id).encode(),
        ORIGIN: row.origin.encode(),
        TIME: format_time(row.time_ms).encode(),
    }
    if row.redelivered:
        headers[REDELIVERED] = b"true"
    return headers


def _why(writer: str, reason: Reason, detail: str) -> dict[str, bytes]:
    return {
        f"{CONNECT}connector.name": writer.encode(),
        f"{CONNECT}exception.class.name": f"{Refusal.__module__}.{Refusal.__qualname__}".encode(),
        f"{CONNECT}exception.message": detail.encode(errors="replace"),
        REASON: reason.encode(),
    }
