"""One dead letter, on a page for a person: what is wrong, what to do, and all that it holds. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, NoReturn

import cbor2
import msgspec

from cloud.dead_letters import Prospect, letter_id
from cloud.remedies import REMEDIES
from cloud_sync.dead_letter import DeadLetter
from cloud_sync.envelope import format_time
from cloud_sync.topics import CBOR, CONTENT_TYPE

SHOWN_BYTES = 2_048
"""bytes of a value that is no JSON; --raw has the rest."""
SHOWN_CHARS = 8_192
"""Characters of one that is."""
WIDTH = 100
"""Characters of a line of prose."""


class _Envelope(msgspec.Struct):
    """What may be read of an event that is none."""

    id: str = ""
    origin: str = ""


_envelope = msgspec.json.Decoder(_Envelope)


def whose(letter: DeadLetter) -> tuple[str | None, str | None]:
    """Event id and origin: as its writer says, else as the refused record itself does, if it can be read so far."""
    if letter.event_id is not None or letter.origin is not None or not letter.letter.value:
        return letter.event_id, letter.origin
    try:
        found = _envelope.decode(letter.letter.value)
    except (msgspec.DecodeError, RecursionError):
        return None, None
    return found.id[:64] or None, found.origin[:32] or None


def page(letter: DeadLetter, prospect: Prospect) -> Iterator[str]:
    """The lines of the page; nothing in a letter makes it raise."""
    event, origin = whose(letter)
    lay = letter.source
    remedy = next((text for reason, text in REMEDIES.items() if reason == letter.reason), "Ask whoever wrote it.")
    fates = {
        "replay": f"picante cloud dlq replay {letter_id(letter)} --yes sends it again",
        "already": "it was sent again already",
        "never": f"no: {prospect.why}",
    }
    facts = {
        "dead letter": f"{letter_id(letter)}, since {utc(letter.letter.timestamp_ms)} UTC",
        "reason": f"{letter.reason or 'nobody says'}: {letter.detail}",
        "what to do": remedy,
        "replay": fates[prospect.fate],
        "written by": letter.writer,
        "it lay in": None if lay is None else f"{lay.topic}, partition {lay.partition}, offset {lay.offset}",
        "at": None if letter.timestamp_ms is None else f"{utc(letter.timestamp_ms)} UTC",
        "event": event,
        "origin": origin,
        "key": None if letter.letter.key is None else _text(letter.letter.key),
        "whole size": None if letter.full_size is None else f"{letter.full_size} bytes, of which this is the beginning",
    }
    for name, fact in facts.items():
        if fact is not None:
            first, *rest = textwrap.wrap(fact, WIDTH) or [""]
            yield f"{name:<12} {first}"
            yield from (f"{'':<12} {line}" for line in rest)
    for name, value in letter.headers:
        yield f"{'header':<12} {name}: {'null' if value is None else _text(value)}"
    yield ""
    yield from _value(letter)


def _value(letter: DeadLetter) -> Iterator[str]:
    value = letter.letter.value
    if value is None:
        yield "no value"
        return
    try:
        value.decode()
        lines = msgspec.json.format(value, indent=2).decode()
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        yield from _hex(value)
        if (CONTENT_TYPE, CBOR) in letter.letter.headers:
            yield from _cbor(value)
    else:
        yield from lines[:SHOWN_CHARS].splitlines()
        if len(lines) > SHOWN_CHARS:
            yield "... (--raw prints all of it)"


def _hex(value: bytes) -> Iterator[str]:
    for start in range(0, min(len(value), SHOWN_BYTES), 16):
        row = value[start : start + 16]
        text = "".join(chr(one) if 0x20 <= one < 0x7F else "." for one in row)
        yield f"{start:06x}  {row.hex(' '):<47}  {text}"
    yield f"{len(value)} bytes" + (" (--raw prints all of them)" if len(value) > SHOWN_BYTES else "")


def _cbor(value: bytes) -> Iterator[str]:
    if len(value) > SHOWN_CHARS:
        yield "too long to be shown as CBOR"
        return
    try:
        yield f"as CBOR: {cbor2.loads(value, semantic_decoders=_NO_TAGS, tag_hook=_refuse_tag)!r}"[:SHOWN_CHARS]
    except (cbor2.CBORDecodeError, RecursionError, ValueError, OverflowError):
        yield "no CBOR as dispensers send it, either"


def _refuse_tag(*_: Any) -> NoReturn:
    raise ValueError("tags are not part of the dispensers' protocol")


_NO_TAGS = dict.fromkeys(range(2**16), _refuse_tag)
"""All tags that the decoder knows by itself are among these. By two of them (28, 29) an item refers to parts of itself:
191 bytes are a terabyte then, printed."""


def utc(time_ms: int) -> str:
    """A moment as a person reads it, to the second."""
    return format_time(time_ms)[:19].replace("T", " ")


def short(topic: str) -> str:
    """A topic's name without what all names share."""
    return topic.removeprefix("picante.").removesuffix(".v1")


def _text(value: bytes) -> str:
    return value[:SHOWN_BYTES].decode(errors="replace")
