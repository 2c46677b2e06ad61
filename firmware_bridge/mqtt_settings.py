"""Where the broker is, as whom to connect, and how the two prove themselves."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the broker knows us, and we it. Left alone: plaintext, for loopback and tests."""

    tls: ssl.SSLContext | None = None
    """Carries the trusted certificates, and the gateway's own where the broker asks for one."""
    username: str | None = None
    """None: no login."""
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """One gateway's way to one broker."""

    host: str
    port: int
    client_id: str
    store: str
    credentials: Callable[[], Credentials] = Credentials
    """Asked in a thread before the connection: files that were mended or renewed count. It may raise ConfigError; then
    that connection fails, and the next one asks again."""
