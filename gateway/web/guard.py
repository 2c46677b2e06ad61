"""What every request passes: a Host that is this machine, a method, and headers that keep a page to itself.

The server listens on loopback only, but any web page that the technician's browser has open could have a name of its
own resolve to 127.0.0.1 and read this API as its own origin (DNS rebinding). Such requests carry that name in `Host`.
Everything is read with GET. The few things that change something are commands (POST, PUT, DELETE): a browser, which
sends an Origin with each of these, is refused them, whatever page it has open.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.problems import Problem

OUR_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?\Z", re.IGNORECASE)
"""Any port: a tunnel may end on another one than ours."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "/api/v1/uplink/adopt": ("POST",),
    "/api/v1/repairs/{key}/check": ("POST",),
    "/api/v1/repairs/{key}/fix/{button}": ("POST",),
    "/api/v1/repairs/{key}/snooze": ("DELETE", "POST"),
    "/repairs/check": ("POST",),
    "/repairs/{key}/check": ("POST",),
    "/repairs/{key}/fix/{button}": ("POST",),
    "/repairs/{key}/snooze": ("POST",),
    "/repairs/{key}/wake": ("POST",),
    "/api/v1/trace": ("POST",),
    "/api/v1/profiles/{pseudonym}/consent": ("GET", "PUT"),
    "/api/v1/dead-letters/replay": ("POST",),
    "/api/v1/dead-letters/{position}/replay": ("POST",),
    "/api/v1/dead-letters/{position}/dismiss": ("POST",),
    "/sync/letters/replay": ("POST",),
    "/sync/letters/{position}/replay": ("POST",),
    "/sync/letters/{position}/dismiss": ("POST",),
    "/api/v1/system/clock/vouch": ("POST",),
    "/api/v1/system/restart": ("POST",),
    "/api/v1/system/bundle": ("GET", "POST"),
    "/api/v1/system/backup": ("POST",),
    "/api/v1/system/restore": ("DELETE", "GET", "PUT"),
    "/api/v1/system/restore/check": ("POST",),
    "/api/v1/system/restore/order": ("POST",),
    "/api/v1/system/restore/settle": ("POST",),
    "/api/v1/system/restore/take-back": ("POST",),
    "/api/v1/system/wipe": ("POST",),
    "/system/(?:clock|restart|backup|wipe)": ("POST",),
    "/system/bundle": ("GET", "POST"),
    "/system/backups/(?:send|check|order|take-back|settle|drop|make)": ("POST",),
    "/api/v1/dispensers/{dispenser}": ("DELETE", "GET"),
    "/api/v1/dispensers/{dispenser}/adopt": ("POST",),
    "/api/v1/dispensers/{dispenser}/name": ("PUT",),
    "/api/v1/dispensers/{dispenser}/planogram": ("PUT",),
    "/api/v1/dispensers/{dispenser}/rotate-key": ("POST",),
    "/api/v1/dispensers/{dispenser}/commands": ("GET", "POST"),
    "/api/v1/dispensers/{dispenser}/calibrations": ("POST",),
    "/api/v1/dispensers/{dispenser}/calibrations/undo": ("POST",),
    "/api/v1/kiosk/{dispenser}/visits/{visit}/{wish}": ("POST",),
    "/api/v1/kiosk/{dispenser}/visits/{visit}/rating": ("POST",),
    "/kiosk/{dispenser}/visits/{visit}/{wish}": ("POST",),
}
"""The methods of the paths where something can be changed. Every other path takes a GET."""
MAX_BODY_BYTES = 65_536
"""Bytes of a command's body: the longest, a planogram of 12 nozzles, has less than 2,000."""
UPLOADS = {"/api/v1/system/restore", "/system/backups/send"}
"""Paths that take a file of any size: their routes count its bytes as they come."""
_PATHS = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"), methods) for path, methods in COMMANDS.items()]

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
                headers.setdefault("cache-control", FRESH)
            await send(message)

        problem = _objection(scope)
        if problem is None:
            await self._application(scope, receive, send_guarded)
            return
        response = problem.response()
        if problem.details.status == 405:
            response.headers["allow"] = ", ".join(_allowed(scope))
        await response(scope, receive, send_guarded)


def _objection(scope: Scope) -> Problem | None:
    headers = Headers(scope=scope)
    if not OUR_HOST.match(headers.get("host", "")):
        hint = "Use http://localhost with the gateway's port; from elsewhere, a tunnel (ssh -L 8080:127.0.0.1:8080)"
        return Problem(421, "foreign-host", "the Host header does not name this machine", hint=hint)
    method, allowed = scope["method"], _allowed(scope)
    if method not in allowed:
        takes = " or a ".join(allowed)
        return Problem(405, "wrong-method", f"this takes a {takes}", hint=f"Send a {takes}")
    if method == "GET":
        return None
    if "origin" in headers:
        hint = "Give the command on the gateway's machine: picante gateway --help, picante dispensers --help"
        return Problem(403, "not-for-pages", "a page can't have the gateway do something", hint=hint)
    if scope["path"] in UPLOADS:
        return None
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        hint = f"Send at most {MAX_BODY_BYTES:,} bytes, with their Content-Length"
        return Problem(413, "too-large", "the body is too large, or of unknown length", hint=hint)
    return None


def _allowed(scope: Scope) -> tuple[str, ...]:
    return next((methods for path, methods in _PATHS if path.match(scope["path"])), ("GET",))
