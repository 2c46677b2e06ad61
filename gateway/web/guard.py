"""What every request passes: a Host that is this machine, a method, and headers that keep a page to itself.

The server listens on loopback only, but any web page that the technician's browser has open could have a name of its
own resolve to 127.0.0.1 and read this API as its own origin (DNS rebinding). Such requests carry that name in `Host`.
Everything is read with GET. The few things that change something are commands: a browser, which sends an Origin with
every POST, is refused them, whatever page it has open.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.problems import Problem

OUR_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?\Z", re.IGNORECASE)
"""Any port: a tunnel may end on another one than ours."""

COMMANDS = {"/api/v1/uplink/adopt"}
"""Paths that take a POST, and nothing else."""

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
FRESH = "no-store"
"""What lies in a browser's cache is neither true any more nor anybody else's business."""
STATIC = "no-cache"
"""Kept, and asked after at each use."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["cache-control"] = STATIC if scope["path"].startswith("/static/") else FRESH
            await send(message)

        problem = _objection(scope)
        if problem is None:
            await self._application(scope, receive, send_guarded)
            return
        response = problem.response()
        if problem.details.status == 405:
            response.headers["allow"] = _allowed(scope)
        await response(scope, receive, send_guarded)


def _objection(scope: Scope) -> Problem | None:
    headers = Headers(scope=scope)
    if not OUR_HOST.match(headers.get("host", "")):
        hint = "Use http://localhost with the gateway's port; from elsewhere, a tunnel (ssh -L 8080:127.0.0.1:8080)"
        return Problem(421, "foreign-host", "the Host header does not name this machine", hint=hint)
    if scope["method"] != _allowed(scope):
        return Problem(405, "wrong-method", f"this takes a {_allowed(scope)}", hint=f"Send a {_allowed(scope)}")
    if scope["method"] == "POST" and "origin" in headers:
        hint = "Give the command on the gateway's machine: picante gateway --help"
        return Problem(403, "not-for-pages", "a page can't have the gateway do something", hint=hint)
    return None


def _allowed(scope: Scope) -> str:
    return "POST" if scope["path"] in COMMANDS else "GET"
