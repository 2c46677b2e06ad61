"""What every request passes: who asks, from where, and what for; and headers that keep a page to itself.

- `Host` has to name this machine: any page that a browser has open could have a name of its own resolve to this
  address, and read this API as its own origin (DNS rebinding). Such requests carry that name.
- Everything needs somebody: a session's cookie, a token (`Authorization: Bearer`), or the console's socket. Without an
  owner there is setup alone. To read takes a viewer, to change a technician, if the endpoint asks for no more.
- What changes something comes from our own pages: a browser says by `Sec-Fetch-Site` and `Origin` whose page sends it.
  Programs with a token and the console have no pages.
- Nobody asks without end: changes are counted by who makes them, the pages of coming in by address.
- What changed something is in the audit log, and a request that brings a key is answered once (`once`).
"""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
from collections.abc import Callable, Container
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.access import Access
from gateway.access.lockout import place_of
from gateway.access.roles import Role
from gateway.access.throttle import Throttle
from gateway.web import audited, cookies
from gateway.web.language import LANGUAGES
from gateway.web.once import AGAIN, UPLOADS, Once, key_of
from gateway.web.problems import PROGRAMS, AsPage, Problem, answered
from gateway.web.who import CONSOLE, Who, not_allowed

OUR_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?\Z", re.IGNORECASE)
"""Any port: a tunnel may end on another one than ours."""
MAX_BODY_BYTES = 65_536
"""Bytes of a body: the longest, a planogram of 12 nozzles, has less than 2,000."""

OPEN = re.compile(r"/(healthz|readyz|sign-in|language|(api/v1/)?setup(/.*)?|static/.*)\Z")
"""What needs nobody."""
COMING_IN = re.compile(r"/(sign-in|language|(api/v1/)?setup(/.*)?)\Z")
"""What strangers may ask only so often."""
BY_KEY = re.compile(r"/api/v1/setup(/.*)?\Z")
"""What takes a key of its own, as a bearer or in the body: that is no token, and no page has a browser send it."""
OWN = re.compile(r"(/api/v1/me(/.*)?|/me(/.*)?|/sign-out)\Z")
"""What everybody may change: their own."""

Hosts = Callable[[], Container[str]]
"""Gives the names beyond loopback that the server serves now."""

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with none at all, a browser would send our own forms with `Origin: null`
    "x-content-type-options": "nosniff",
}
FRESH = "no-store"
"""What lies in a browser's cache is neither true any more nor anybody else's business."""


def keep_to_itself(start: Message) -> None:
    """Put the headers into the start of an answer."""
    headers = MutableHeaders(scope=start)
    headers.update(HEADERS)
    headers.setdefault("cache-control", FRESH)


class Guard:
    """ASGI middleware around the whole application.

    `hosts` are the names beyond loopback that the server serves; `console` is set for whoever came by the socket;
    `as_page` draws what is refused to a browser.
    """

    def __init__(
        self,
        application: ASGIApp,
        access: Access,
        hosts: Hosts = frozenset,
        *,
        console: bool = False,
        as_page: AsPage | None = None,
    ) -> None:
        self._application = application
        self._access = access
        self._hosts = hosts
        self._console = console
        self._as_page = as_page
        self._once = Once(access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            return
        who: Who | None = None

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep_to_itself(message)
                done = _changes(scope) and message["status"] < 400 and AGAIN not in scope
                if done and who is not None and not _is_limited(who):  # what customers press on a kiosk are events
                    await audited.note(self._access, scope, who)
            await send(message)

        try:
            who = await self._admit(scope)
            key = key_of(scope, Headers(scope=scope)) if who is not None and _changes(scope) else None
        except Problem as problem:
            await self._refusal(scope, problem)(scope, receive, send_guarded)
            return
        if who is not None and key is not None:
            await self._once((who, key), self._application, scope, receive, send_guarded)
        else:
            await self._application(scope, receive, send_guarded)

    async def _admit(self, scope: Scope) -> Who | None:
        """Who asks; None for those that need nobody. Raises Problem."""
        headers = Headers(scope=scope)
        if not self._console and not self._is_ours(headers.get("host", "")):
            hint = "Use http://localhost with the gateway's port; from elsewhere, a tunnel (ssh -L 8080:127.0.0.1:8080)"
            raise Problem(421, "foreign-host", "the Host header does not name this machine", hint=hint)
        changes = _changes(scope)
        if changes:
            _check_body(scope, headers)
        who = await self._find(scope, headers)
        by_key = BY_KEY.match(scope["path"]) is not None
        by_browser = not by_key and (who is None or who.via == "session" or "authorization" not in headers)
        if changes and not self._console and by_browser and not _is_from_our_page(scope, headers):
            hint = "A page of another site may not; a program sends a token: Authorization: Bearer"
            raise Problem(403, "not-our-page", "this did not come from the gateway's own page", hint=hint)
        is_open = OPEN.match(scope["path"]) is not None
        if who is None:
            if not is_open:
                raise self._nobody()
            if COMING_IN.match(scope["path"]) is not None:
                _spare(self._access.strangers, place_of(scope["client"][0]) if scope.get("client") else "")
            return None
        scope["picante.who"] = who
        if changes and not self._console:
            _spare(self._access.changes, who.session or who.name)
        own = is_open or OWN.match(scope["path"]) is not None or _is_limited(who)
        if changes and not own and who.role < Role.TECHNICIAN:
            raise not_allowed(who, Role.TECHNICIAN)
        return who

    async def _find(self, scope: Scope, headers: Headers) -> Who | None:
        """Whoever asks, if they can show it. Raises Problem: a token that is wrong, or not for this."""
        if self._console:
            return CONSOLE
        if BY_KEY.match(scope["path"]) is not None:
            return None
        brought = cookies.read(headers.get("cookie"))
        chosen = brought.get(cookies.LANGUAGE)
        if (shown := headers.get("authorization")) is not None:
            return self._by_token(scope, shown)
        if (cookie := brought.get(cookies.SESSION)) and (session := self._access.sessions.find(cookie)) is not None:
            with contextlib.suppress(sqlite3.Error):  # told of where something is to be written
                await self._access.sessions.saw(session)
            language = session.language or (chosen if chosen in LANGUAGES else None)
            return Who(session.person, session.role, "session", session.id, language)
        token = self._access.tokens.find(brought.get(cookies.KIOSK, ""))
        if token is not None and token.limited and token.opens(scope["path"]):
            return Who(token.name, token.role, "session", token.id, scope=token.scope)
        return None

    def _by_token(self, scope: Scope, shown: str) -> Who:
        kind, _, secret = shown.partition(" ")
        token = self._access.tokens.find(secret.strip()) if kind.lower() == "bearer" else None
        if token is None:
            hint = "Make one on the page People, or with picante tokens add"
            raise Problem(401, "bad-token", "the token is unknown, revoked, or over", hint=hint)
        who = Who(token.name, token.role, "token", token.id, scope=token.scope)
        if not token.opens(scope["path"]) and OPEN.match(scope["path"]) is None:
            hint = "Make one of another scope: picante tokens add"
            raise Problem(403, "not-in-scope", f"a token of scope {token.scope} is not for this", hint=hint)
        return who

    def _nobody(self) -> Problem:
        match self._access.stage:
            case "ready":
                return Problem(401, "not-signed-in", "this needs a sign-in", hint="Sign in, or send a token")
            case "setup":
                hint = "Open /setup with the code that the gateway printed: picante gateway setup-code"
                return Problem(401, "not-set-up", "this gateway is not set up yet", hint=hint)
            case "lost":
                hint = "On the gateway: picante people add NAME --role owner"
                return Problem(401, "access-lost", "nobody can sign in any more: access.db was lost", hint=hint)

    def _refusal(self, scope: Scope, problem: Problem) -> Response:
        """A problem, or for a page the way to where one comes in."""
        details = problem.details
        if details.status != 401:
            return answered(scope, problem, self._as_page)
        headers = Headers(scope=scope)
        # a script of a page has no use for another page; it loads its own anew, and that is a person's way
        person = headers.get("sec-fetch-mode", "navigate") == "navigate" and "authorization" not in headers
        if person and not scope["path"].startswith(PROGRAMS):
            return RedirectResponse("/setup" if details.type.endswith(":not-set-up") else _sign_in(scope), 303)
        answer = problem.response()
        answer.headers["www-authenticate"] = 'Bearer realm="picante"'
        return answer

    def _is_ours(self, host: str) -> bool:
        return OUR_HOST.match(host) is not None or _without_port(host) in self._hosts()


def _changes(scope: Scope) -> bool:
    return scope["method"] not in audited.READS


def _spare(throttle: Throttle, asker: str) -> None:
    """Take one of what somebody may ask. Raises Problem where it was too much."""
    if (pause_s := throttle.pause_s(asker)) > 0:
        seconds = math.ceil(pause_s)
        hint = f"Try again in {seconds} s, and send less at once"
        raise Problem(429, "too-many-requests", "this was asked too often", hint=hint, wait_s=seconds)


def _is_limited(who: Who) -> bool:
    return who.scope is not None and who.scope.partition(":")[0] in {"kiosk", "metrics"}


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]{1,5}\Z", "", host).lower().strip("[]")


def _sign_in(scope: Scope) -> str:
    if scope["method"] not in audited.READS or scope["path"] == "/":
        return "/sign-in"
    asked = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
    return "/sign-in?next=" + quote(asked, safe="/")


def _check_body(scope: Scope, headers: Headers) -> None:
    if scope["path"] in UPLOADS:
        return
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        hint = f"Send at most {MAX_BODY_BYTES:,} bytes, with their Content-Length"
        raise Problem(413, "too-large", "the body is too large, or of unknown length", hint=hint)


def _is_from_our_page(scope: Scope, headers: Headers) -> bool:
    """Whether a browser says that our own page sends this; a browser too old to say so does not count.

    The page in clear, on port 80, has the name of the secure one and is none of ours: anybody in the network writes it.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return False
    if site is not None and site != "same-origin":
        return False
    host = headers.get("host", "").lower()
    return origin is None or origin.lower() in {f"{scope['scheme']}://{host}", f"https://{host}"}
