"""What can't be an event <-> a record on the dead letters: its bytes untouched, the reason in headers. Pure.

The headers are those that Kafka Connect writes (KIP-298), with ours beside them:

    __connect.errors.topic                    where it would have gone, or where it lay
    __connect.errors.partition  __connect.errors.offset    there, if it lay there
    __connect.errors.connector.name           who wrote the dead letter
    __connect.errors.exception.class.name     the reason's class
    __connect.errors.exception.message        what was wrong, without personal data
    picante.reason  picante.event.id  picante.origin  picante.time  picante.timestamp  picante.redelivered
    picante.full.size

A record's own headers come before them, as they were: ours begin with the last `__connect.errors.topic`. That is how
Kafka Connect writes its own dead letters, too, and `read` reads those as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cloud_sync.envelope import Received, format_time
from cloud_sync.outbox import StoredEvent, StoredRefusal
from cloud_sync.record import Consumed, Headers, Record
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


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record lay that is a dead letter now."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is read. Members are None where nobody wrote them: anybody may write to a topic."""

    letter: Consumed
    reason: str | None
    detail: str
    """What was wrong, in words."""
    writer: str | None
    topic: str | None
    """Where it would have gone, or where it lay."""
    source: Source | None
    """None: it never lay in a topic, a gateway refused it."""
    event_id: str | None
    origin: str | None
    timestamp_ms: int | None
    """The record's own time in Kafka, Unix ms."""
    full_size: int | None
    """bytes that the value had, where the letter holds the beginning of it."""
    headers: Headers
    """The record's own headers, as they were."""

    @property
    def record(self) -> Record | None:
        """What lay in the topic, to be sent there again; None where it did not, or is not whole."""
        if self.source is None or self.full_size is not None:
            return None
        return Record(self.source.topic, self.letter.key, self.letter.value, self.headers, self.timestamp_ms)


def read(letter: Consumed) -> DeadLetter:
    """What a record on the dead letters says of itself. Nothing makes it raise."""
    begin = max((n for n, (name, _) in enumerate(letter.headers) if name == f"{CONNECT}topic"), default=None)
    ours: dict[str, str] = {}
    for name, value in letter.headers if begin is None else letter.headers[begin:]:
        ours[name] = (value or b"").decode(errors="replace")
    topic = ours.get(f"{CONNECT}topic")
    partition, offset = _number(ours.get(f"{CONNECT}partition")), _number(ours.get(f"{CONNECT}offset"))
    source = None
    if topic is not None and partition is not None and offset is not None:
        source = Source(topic, partition, offset)
    return DeadLetter(
        letter=letter,
        reason=ours.get(REASON),
        detail=ours.get(f"{CONNECT}exception.message", ""),
        writer=ours.get(f"{CONNECT}connector.name"),
        topic=topic,
        source=source,
        event_id=ours.get(EVENT_ID),
        origin=ours.get(ORIGIN),
        timestamp_ms=_number(ours.get(TIMESTAMP)),
        full_size=_number(ours.get(FULL_SIZE)),
        headers=letter.headers if begin is None else letter.headers[:begin],
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= 19 else None
