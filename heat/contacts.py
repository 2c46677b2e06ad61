"""A customer's own words -> what may be kept of them: without what says who they are or how to reach them. Pure.

E-mail addresses, telephone numbers and other long numbers (cards) become an ellipsis. A number that says how hot is
left alone; where that is in doubt, it goes: the heat was read before.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"

_MAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}")
_NUMBER = re.compile(r"[+(]?\d(?:[\d\-./() ]{5,30})\d(?!\d)(?!\s?(?:k\b|m\b|shu\b|scov|million))", re.IGNORECASE)
_MARKED = re.compile(r"[+(]|\A0|\d-\d")
LEAST_DIGITS = 7
"""Of a telephone number in the same town, when it is written like one."""
PLAIN_DIGITS = 9
"""Of one that is nothing but digits; pure capsaicin has eight."""


def without_contacts(text: str, limit: int) -> str:
    """The text on one line, without addresses and telephone numbers, at most `limit` characters of it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return _NUMBER.sub(_number, _MAIL.sub(ELLIPSIS, line))[:limit]


def _number(match: re.Match[str]) -> str:
    text = match[0]
    digits = sum(char.isdigit() for char in text)
    least = LEAST_DIGITS if _MARKED.search(text) else PLAIN_DIGITS
    return ELLIPSIS if digits >= least else text
