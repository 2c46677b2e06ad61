"""A repair: one problem of one thing, in words, with what mends it. Made anew at each look, and never kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.web.language import Text
from gateway.web.repairs.kinds import KINDS

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_OTHERS = re.compile(r"[^A-Za-z0-9_-]+")
SLUG_CHARS = 40
"""Characters of a subject that is no name, in a key."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A button. What it does stands in `mending.fixes.FIXES` under its name, unless it leads to a page."""

    name: str
    label: Text
    hold: bool = False
    """Held for a second, or confirmed by a word: it pours, reboots, wipes, or can't be taken back."""
    link: str | None = None
    """A page of ours to go to; nothing is done then."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Somebody has seen it, and lets it be until then."""

    until: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Repair:
    """One problem. Of a code and a subject there is one at a time."""

    code: str
    what: Text
    steps: tuple[Text | str, ...]
    """What to do, in this order. A string is the English hint of an error."""
    subject: str = ""
    """Which dispenser, port, file it is of; empty where there can be only one."""
    since: datetime | None = None
    """None: not known from elsewhere; `History` says when it was seen first."""
    fixes: tuple[Fix, ...] = ()
    count: int = 1
    """How often it came within the last hour."""
    snoozed: Snooze | None = None

    def __post_init__(self) -> None:
        assert self.code in KINDS, self.code

    @property
    def urgent(self) -> bool:
        """Whether it should not wait."""
        return KINDS[self.code].urgent

    @property
    def cost(self) -> Text:
        """What it costs while it lasts."""
        return KINDS[self.code].cost

    @property
    def key(self) -> str:
        """Its name in paths."""
        return key_of(self.code, self.subject)

    @property
    def flaps(self) -> bool:
        """Whether it comes and goes."""
        return self.count >= FLAPS_FROM

    def fix(self, name: str) -> Fix | None:
        """The button of this name."""
        return next((fix for fix in self.fixes if fix.name == name), None)


FLAPS_FROM = 3
"""Times within an hour."""


def key_of(code: str, subject: str) -> str:
    """`port_silent.ttyUSB0-1a2b3c4d`: a path's segment, whatever the subject is."""
    if not subject:
        return code
    if _PLAIN.match(subject):
        return f"{code}.{subject}"
    slug = _OTHERS.sub("-", subject).strip("-")[-SLUG_CHARS:].lstrip("-")
    return f"{code}.{slug}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"


def ordered(repairs: Iterable[Repair]) -> list[Repair]:
    """What can't wait first, what somebody lets be last; else as found. Of one key the first stays."""
    once: dict[str, Repair] = {}
    for repair in repairs:
        once.setdefault(repair.key, repair)
    return sorted(once.values(), key=lambda each: (each.snoozed is not None, not each.urgent))


def split(error: str) -> tuple[str, tuple[str, ...]]:
    """What happened and what to do, out of an error's text (`heat.errors` writes the hint last)."""
    what, _, hint = error.partition(". ")
    return what.rstrip("."), (hint,) if hint else ()


def snooze(repair: Repair, until: datetime, by: str) -> Repair:
    """The same repair, let be."""
    return replace(repair, snoozed=Snooze(until, by))
