"""The audit log writes itself: the guard notes each change that went well; an endpoint may say more of it."""

from __future__ import annotations

import logging
import sqlite3

from fastapi import Request
from starlette.types import Scope

from gateway.access.access import Access
from gateway.web.who import Who

log = logging.getLogger("gateway.web")

WORDS = "picante.audit"
READS = frozenset({"GET", "HEAD", "OPTIONS"})


def audit(request: Request, words: str) -> None:
    """Say what a change was, where method and path don't tell. No secrets."""
    request.scope.setdefault(WORDS, []).append(words)


async def note(access: Access, scope: Scope, who: Who) -> None:
    """Write a change that was answered well. What can't be written is a line of the daemon's log."""
    route = str(getattr(scope.get("route"), "path", scope["path"]))
    parameters = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    words = "; ".join(scope.get(WORDS, ()))
    try:
        await access.audit.note((who.name, who.via), (scope["method"], route), parameters, words)
    except sqlite3.Error as error:
        log.warning("%s %s by %s is not in the audit log: %s", scope["method"], route, who.name, error)
