"""A dead letter, edited or not, through the door again: as the event that it should have been, with its own identity.

    letter -> its body as JSON -> (somebody mends it) -> door -> append, fold, note what it became -> COMMIT

All of it is one transaction in the writer's thread, which looks first whether the letter is still open: whoever is
killed, or taps twice, replays it once. The event goes up like any other, and whoever reads the topic folds it once, by
its identity; the letter that may be in Kafka's dead letters never was an event there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from firmware_bridge.bodies import BODY_BY_KIND, EventBody
from firmware_bridge.codec import decode_message
from firmware_bridge.framing import Frame
from firmware_bridge.messages import EventMessage
from firmware_bridge.texts import too_long
from gateway import bottle_pours, consents, letters, pours, site_pours
from gateway.door import Door
from gateway.letters import Letter
from gateway.sessions import holds_own_sums
from gateway.transaction import Transaction
from heat.errors import PicanteError
from heat.events import AnyData, Consent, Event, Poured
from heat.identity import is_session
from heat.profile import contribution
from heat.quality import Reason, Refusal

KINDS: dict[str, type[EventBody]] = {cls.__name__.removesuffix("Body").lower(): cls for cls in BODY_BY_KIND.values()}
"""What a dispenser may tell of, by the name that people see: poured, rated, stated, refilled."""
WITHHELD = "…"
"""In the place of what no event has: it may be anything, a token too."""
_PATH = re.compile(r" - at `\$\.(\d+)[^`]*`\Z")


@dataclass(frozen=True, slots=True)
class Content:
    """What a letter says, as people read and mend it."""

    kind: str | None
    """One of `KINDS`; None where the letter tells of nothing that is known."""
    body: dict[str, Any]
    """By the names of the kind's fields."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a field; `field` is None where it is wrong with all of it."""

    field: str | None
    what: str


class RefusedAgain(PicanteError):
    """The door does not let it in."""

    def __init__(self, reason: Reason, wrong: tuple[Wrong, ...], hint: str = "") -> None:
        said = (f"{each.field}: {each.what}" if each.field else each.what for each in wrong)
        super().__init__("; ".join(said), hint=hint)
        self.reason = reason
        self.wrong = wrong


class NotOpen(PicanteError):
    """Somebody has dealt with it already, or there is no such letter."""

    def __init__(self, letter: Letter | None) -> None:
        super().__init__("there is no such letter" if letter is None else f"it is {letter.state} already")
        self.letter = letter


def content(letter: Letter) -> Content:
    """What a letter says, as far as it can be read."""
    message = _message(letter)
    if message is None:
        return Content(None, {})
    cls = BODY_BY_KIND.get(message.kind)
    names = {} if cls is None else _names(cls)
    body = {
        names.get(str(key), str(key)): _shown(value, known=str(key) in names) for key, value in message.body.items()
    }
    return Content(None if cls is None else _name(cls), body)


def read(kind: str, body: dict[str, Any]) -> EventBody:
    """The body that somebody wrote. Raises RefusedAgain, which names the fields."""
    cls = KINDS.get(kind)
    if cls is None:
        raise RefusedAgain("unknown_type", (Wrong("type", f"one of {', '.join(KINDS)}"),))
    numbers = {name: number for number, name in _names(cls).items()}
    strange = tuple(Wrong(name, f"a {kind} event has no such field") for name in body if name not in numbers)
    if strange:
        raise RefusedAgain("malformed", strange, f"It has {', '.join(numbers)}")
    try:
        read = msgspec.convert({numbers[name]: value for name, value in body.items()}, cls)
    except msgspec.ValidationError as error:
        raise RefusedAgain("malformed", (_wrong(str(error), _names(cls)),)) from None
    if (long := too_long(read)) is not None:
        raise RefusedAgain("malformed", (Wrong(None, long),))
    return read


def replay(tx: Transaction, door: Door, position: int, mended: EventBody | None, by: str, now_ms: int) -> int:
    """Let a letter in, as it is or mended; the position of the event that it became. In the writer's thread.

    Raises:
        NotOpen: somebody did already.
        RefusedAgain: the door refuses it.
    """
    letter = letters.find(tx.connection, position)
    if letter is None or letter.state != "open":
        raise NotOpen(letter)
    body = mended if mended is not None else _unedited(letter)
    subject, consent = _whose(tx, letter)
    data = door.admit(body, consent, None)
    if isinstance(data, Refusal):
        raise RefusedAgain(data.reason, (_of_refusal(data, body),))
    became = tx.append(Event(letter.id, subject, letter.when, data))
    tx.tally.replay((letter.id.source, letter.id.generation, letter.when.day))
    _fold(tx, subject, became, data, letter.when.day)
    if isinstance(data, Poured):
        bottle_pours.note(tx, letter.id.source, became, data, letter.when, subject)
    letters.end(tx, position, "replayed", now_ms, by, None, became)
    return became


def dismiss(tx: Transaction, position: int, why: str, by: str, now_ms: int) -> None:
    """Let a letter rest: it stays refused, and nobody is asked about it any more. Raises NotOpen."""
    letter = letters.find(tx.connection, position)
    if letter is None or letter.state != "open":
        raise NotOpen(letter)
    letters.end(tx, position, "dismissed", now_ms, by, why, None)


def _unedited(letter: Letter) -> EventBody:
    found = content(letter)
    if found.kind is None:
        raise RefusedAgain(
            "malformed", (Wrong(None, "what it tells of can't be read"),), "Say what it was, and replay that"
        )
    return read(found.kind, {name: value for name, value in found.body.items() if value != WITHHELD})


def _whose(tx: Transaction, letter: Letter) -> tuple[str | None, Consent]:
    subject = letter.subject
    if subject is None:
        return None, "none" if letter.session is None and _in_session(letter) else "session"
    if is_session(subject):
        return subject, "session"
    return (None, "none") if consents.opted_out(tx.connection, subject) else (subject, "profile")


def _in_session(letter: Letter) -> bool:
    message = _message(letter)
    return message is not None and message.session != 0


def _message(letter: Letter) -> EventMessage | None:
    message = decode_message(Frame(1, EventMessage.number, letter.body))
    return message if isinstance(message, EventMessage) else None


def _fold(tx: Transaction, subject: str | None, position: int, data: AnyData, day: int) -> None:
    """Count it, but for what goes by the order of events: that has passed."""
    if isinstance(data, Poured):
        site_pours.note(tx, data.sauce)
    if subject is None or not holds_own_sums(tx, subject, position):
        return
    tx.fold(subject, contribution(data, tx.gateway_id, day))
    if isinstance(data, Poured):
        pours.note(tx, subject, data.sauce, day)


def _names(cls: type[EventBody]) -> dict[str, str]:
    """Names of fields by their numbers on the wire."""
    return dict(zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True))


def _name(cls: type[EventBody]) -> str:
    return cls.__name__.removesuffix("Body").lower()


def _wrong(error: str, names: dict[str, str]) -> Wrong:
    """msgspec's `Expected ..., got ... - at `$.3``, or `Object missing required field `3``."""
    if (found := _PATH.search(error)) is not None:
        return Wrong(names.get(found[1], found[1]), error[: found.start()])
    if (missing := re.search(r"missing required field `(\d+)`", error)) is not None:
        return Wrong(names.get(missing[1], missing[1]), "is missing")
    return Wrong(None, error)


_FIELDS: dict[str, tuple[str, ...]] = {
    "unknown_sauce": ("sauce",),
    "impossible_volume": ("volume_ul",),
    "unknown_word": ("word", "text"),
    "impossible_heat": ("shu", "text"),
}


def _of_refusal(refusal: Refusal, body: EventBody) -> Wrong:
    fields = [name for name in _FIELDS.get(refusal.reason, ()) if getattr(body, name, None) is not None]
    return Wrong(fields[0] if fields else None, refusal.detail)


def _shown(value: Any, *, known: bool) -> Any:
    if not known:
        return WITHHELD
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return value.hex() if isinstance(value, bytes) else WITHHELD
