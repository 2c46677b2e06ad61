"""How tests come in: people of each role with sessions, an owner's token, and the console's socket."""

from __future__ import annotations

import functools
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
from argon2 import PasswordHasher
from playwright.sync_api import BrowserContext

from cloud_sync.unix_http import short_path
from gateway.access.access import Access, open_access
from gateway.access.roles import Role
from gateway.web.cookies import SESSION

PASSWORD = "three hot words"
"""Everybody's."""
NAMES = {Role.OWNER: "Olga", Role.TECHNICIAN: "Tomás", Role.VIEWER: "Vera"}
SOCKET = "gateway.sock"


@dataclass(frozen=True, slots=True)
class Keys:
    """With what one comes in."""

    token: str
    """An owner's."""
    cookies: dict[Role, str]
    """Of a session of each."""

    @property
    def headers(self) -> dict[str, str]:
        """What a program sends."""
        return {"authorization": f"Bearer {self.token}"}


def let_in(access: Access) -> Keys:
    """Make people of each role with a session each, and a token."""
    for role, name in NAMES.items():
        if access.people.get(name) is None:
            access.people.add_now(name, _kept(), role, access.now_ms())
    cookies = {role: access.sessions.begin_now(name, "127.0.0.1", "a test") for role, name in NAMES.items()}
    return Keys(access.tokens.add_now("tests", "owner", "a test", None), cookies)


def set_up(data_dir: Path) -> Keys:
    """Like `let_in`, for a data directory whose daemon does not run."""
    with closing(open_access(data_dir)) as access:
        keys = let_in(access)
        (data_dir / "set-up").touch(0o600)
    return keys


def console(data_dir: Path) -> httpx.Client:
    """What asks the daemon of a data directory by its console's socket; there need be none yet."""
    return httpx.Client(transport=_Console(data_dir / SOCKET), base_url="http://localhost", timeout=20)


def sign_in(context: BrowserContext, url: str, keys: Keys, role: Role = Role.OWNER) -> None:
    """Have a browser's pages come from somebody of this role."""
    give_cookie(context, url, SESSION, keys.cookies[role])


def give_cookie(context: BrowserContext, url: str, name: str, value: str) -> None:
    """Have a browser hold one of our cookies."""
    context.add_cookies(
        [
            {
                "name": name,
                "value": value,
                "url": url.replace("http:", "https:"),  # as Chromium wants it for a cookie that is secure
                "secure": True,
                "httpOnly": True,
                "sameSite": "Strict",
            }
        ]
    )


class _Console(httpx.BaseTransport):
    """A connection a request: nothing stays open on a disk that is to be unmounted."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask. Raises httpx.TransportError."""
        try:
            with short_path(self._path) as path:
                with socket.socket(socket.AF_UNIX) as probe:  # httpcore leaves one open that nobody answers
                    probe.connect(path)
                limits = httpx.Limits(max_keepalive_connections=0)
                with httpx.HTTPTransport(uds=path, limits=limits) as inner:
                    answer = inner.handle_request(request)
                    assert isinstance(answer.stream, httpx.SyncByteStream)
                    whole = httpx.ByteStream(b"".join(answer.stream))
                    answer.close()
                    return httpx.Response(answer.status_code, headers=answer.headers, stream=whole)
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error


@functools.cache
def _kept() -> str:
    # as weak as it may be: hundreds of shops are opened
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
