"""Random secrets that a browser or a program shows, and what is kept of them."""

from __future__ import annotations

import hashlib
import secrets

ENTROPY_BYTES = 32


def make(prefix: str = "") -> str:
    """A new secret: 43 letters that no one guesses."""
    return prefix + secrets.token_urlsafe(ENTROPY_BYTES)


def digest(secret: str) -> bytes:
    """What is kept. The secret is random and long, so that a plain hash can't be turned back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def short_id() -> str:
    """Names a session or a token to people; opens nothing."""
    return secrets.token_hex(6)
