"""Wrong passwords and codes, where an owner finds them: each in the log, and in the audit log if it brings a pause.

A name that nobody has is not written down: many a password was typed into the field above its own.
"""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Collection
from typing import Literal

from gateway.access.access import Access

log = logging.getLogger("gateway.web.entry")

_ROUTES = {"password": "/sign-in", "setup code": "/setup"}
UNKNOWN = "somebody"
"""Stands for whoever typed a name that nobody has, or none."""


async def note_wrong(
    access: Access, what: Literal["password", "setup code"], person: str | None, address: str, keys: Collection[str]
) -> None:
    """Tell of a wrong try, which counts for these keys already; `person` is one of those who may sign in."""
    who = person or UNKNOWN
    log.warning("a wrong %s for %s, from %s", what, who, address)  # the log bounds what repeats
    if (pause_s := math.ceil(access.lockout.pause_s(keys))) <= 0:
        return
    log.warning("%s is locked out for %d s: wrong tries of the %s, from %s", who, pause_s, what, address)
    if access.lockouts_noted.pause_s("") > 0:
        return
    try:
        words = f"locked out for {pause_s} s after wrong tries of the {what}, from {address}"
        await access.audit.note((who, "sign-in"), ("POST", _ROUTES[what]), {}, words)
    except sqlite3.Error as error:
        log.warning("a lock-out is not in the audit log: %s", error)
