"""Two who change the same thing: the later one is told that it is not what they saw.

A form has the ETag of what was shown as a hidden field, a program sends it as `If-Match`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gateway.web.problems import Problem


def etag_of(value: Any) -> str:
    """An ETag of a value that JSON can hold: equal values have equal ones."""
    return '"' + hashlib.sha256(msgspec.json.encode(value, order="sorted", enc_hook=str)).hexdigest()[:20] + '"'


def check_match(seen: str | None, value: Any) -> None:
    """Refuse a change of what is not any more what was seen; None, or `*`: whatever it is.

    Raises:
        Problem: 412 `changed-meanwhile`; a page shows both values.
    """
    if seen in {None, "", "*"}:
        return
    if etag_of(value) not in {each.strip().removeprefix("W/") for each in (seen or "").split(",")}:
        hint = "Look at what it is now, and send the change again if it is still right"
        raise Problem(412, "changed-meanwhile", "somebody else has changed this meanwhile", hint=hint)
