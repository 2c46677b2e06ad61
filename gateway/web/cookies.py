"""The cookies: a browser's session, a kiosk's token, a setup that is under way, and a language.

The names begin with `__Host-`, so that no other site of the same name can set them: a browser takes such a cookie only
with Secure, for all paths and without Domain. Browsers hold a loopback address for secure.
"""

from __future__ import annotations

from starlette.requests import cookie_parser
from starlette.responses import Response

SESSION = "__Host-picante"
KIOSK = "__Host-kiosk"
"""A token of scope `kiosk:{dispenser}`."""
SETUP = "__Host-setup"
LANGUAGE = "language"
LONGEST_S = 90 * 86_400
LONGEST_HEADER = 8_192


def read(header: str | None) -> dict[str, str]:
    """Cookies by name, of a Cookie header."""
    return cookie_parser(header) if header and len(header) <= LONGEST_HEADER else {}


def put(response: Response, name: str, value: str, seconds: int = LONGEST_S) -> None:
    """Give a browser a cookie that no script reads and no other site sends."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict")


def drop(response: Response, name: str) -> None:
    """Take a cookie away."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")
