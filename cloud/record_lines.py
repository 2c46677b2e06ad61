"""Any record of any of our topics -> one line for a person, or one line of JSON. Pure.

    2026-11-25 23:12:04.120  poured  p1-01234567…  61.0 ml of smoky-chipotle (2,500 SHU) from nozzle 2  gw-1  events 0:9

The JSON has what the record has, whatever is wrong with it; what is no text is `{"base64": ...}`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec

from cloud.event_words import clipped, event_words, published_words
from cloud.pipeline.verdict import judge
from cloud_sync import dead_letter
from cloud_sync.envelope import format_time
from cloud_sync.published import PUBLISHED, read_published
from cloud_sync.record import Consumed
from cloud_sync.topics import DEAD_LETTERS, EVENTS, SAMPLES
from heat.events import TYPES, Sampled
from heat.quality import Refusal

SUBJECT_CHARS = 12
"""Characters of a subject in a line: a pseudonym is told from others by fewer."""
_EVENTS = {EVENTS.name, SAMPLES.name}
_PUBLISHED = {type_.topic.name for type_ in PUBLISHED.values()}


class _Typed(msgspec.Struct):
    """What is asked of a record in a topic that is none of ours."""

    type: str


_typed = msgspec.json.Decoder(_Typed)


@dataclass(frozen=True, slots=True)
class Line:
    """What a record says, in its columns."""

    time_ms: int
    """When it happened, as its writer says; else when the record was written."""
    kind: str
    """The type without what all types share; `refused`, `tombstone`, or a dead letter's reason."""
    subject: str
    text: str
    origin: str
    place: str
    wrong: bool = False
    """It is refused here, or was."""


def read(record: Consumed) -> Line:
    """The line of a record. Nothing in a record makes it raise."""
    if record.topic == DEAD_LETTERS.name:
        return _dead(record)
    if record.topic in _EVENTS:
        return _event(record, samples=record.topic == SAMPLES.name)
    if record.value is None:
        return _line(record, "tombstone", _key(record), "to be forgotten")
    if record.topic in _PUBLISHED:
        return _published(record, record.value)
    return _guessed(record, record.value)


def in_words(line: Line, *, full: bool = False) -> str:
    """The columns beside each other; with `full`, the subject is not cut short."""
    subject = line.subject
    if not full and len(subject) > SUBJECT_CHARS:
        subject = f"{subject[: SUBJECT_CHARS - 1]}…"
    time = format_time(line.time_ms).replace("T", " ").rstrip("Z")
    text = "  ".join(part for part in (line.text, line.origin, line.place) if part)
    return printable(f"{time}  {line.kind:<15}  {subject:<{SUBJECT_CHARS}}  {text}")


def printable(text: str) -> str:
    """What came from outside, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def as_json(record: Consumed) -> bytes:
    """The record as one JSON object, and what is wrong with it, if anything is."""
    line = read(record)
    document: dict[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": format_time(record.timestamp_ms),
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.headers],
    }
    if line.wrong:
        document["refused"] = {"reason": line.kind, "detail": line.text}
    return msgspec.json.encode({**document, **value_members(record.value)})


def value_members(value: bytes | None) -> dict[str, object]:
    """A record's value as a member of a JSON object: as it is where it is JSON, unknown members and all."""
    if value is None:
        return {"value": None}
    try:
        value.decode()
        msgspec.json.decode(value)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return {"value": {"base64": base64.b64encode(value).decode()}}
    return {"value": msgspec.Raw(msgspec.json.format(value, indent=-1))}  # on one line


def _event(record: Consumed, *, samples: bool) -> Line:
    _, event, refusal, _ = judge(record, samples=samples)
    if event is None:
        assert refusal is not None
        return _line(record, refusal.reason, _key(record), refusal.detail, wrong=True)
    clock = "" if event.clock == "known" else f"  [time {event.clock}]"
    again = "  [redelivered]" if event.redelivered else ""
    text = event_words(event.data) + clock + again
    kind = event.data.type.removeprefix("picante.").removesuffix(".v1")
    if refusal is not None:
        kind, text = refusal.reason, f"{refusal.detail}: {text}"
    who, wrong = event.subject or event.id.source, refusal is not None
    return Line(event.time_ms, kind, who, text, event.origin, _place(record), wrong)


def _guessed(record: Consumed, value: bytes) -> Line:
    try:
        type_ = _typed.decode(value).type
    except (msgspec.DecodeError, RecursionError):
        type_ = ""
    if type_ in PUBLISHED:
        return _published(record, value)
    if type_ in TYPES:
        return _event(record, samples=type_ == Sampled.type)
    return _line(record, "record", _key(record), clipped(value.decode(errors="replace")))


def _published(record: Consumed, value: bytes) -> Line:
    found = read_published(value)
    if isinstance(found, Refusal):
        return _line(record, found.reason, _key(record), found.detail, wrong=True)
    kind = found.type.removeprefix("picante.").removesuffix(".v1")
    return _line(record, kind, _key(record), published_words(found))


def _dead(record: Consumed) -> Line:
    letter = dead_letter.read(record)
    what = [letter.event_id or "", letter.detail or "nobody says why"]
    if (lay := letter.source) is not None:
        what.append(f"(it lay in {lay.topic} {lay.partition}:{lay.offset})")
    text = "  ".join(part for part in what if part)
    kind = letter.reason or "no_reason"
    return Line(record.timestamp_ms, kind, _key(record), text, letter.origin or "", _place(record), wrong=True)


def _line(record: Consumed, kind: str, subject: str, text: str, *, wrong: bool = False) -> Line:
    return Line(record.timestamp_ms, kind, subject, text, "", _place(record), wrong)


def _text(value: bytes | None) -> str | dict[str, str] | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value or b"").decode()}


def _place(record: Consumed) -> str:
    return f"{record.topic.removeprefix('picante.').removesuffix('.v1')} {record.partition}:{record.offset}"


def _key(record: Consumed) -> str:
    return "" if record.key is None else record.key.decode(errors="replace")
