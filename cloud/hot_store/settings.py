"""`[hot_store]` of cloud.toml -> a store, and how long it keeps what."""

from __future__ import annotations

from cloud.config import CloudConfig
from cloud.hot_store.filler import Lifetimes
from cloud.hot_store.redis_store import Login, RedisStore
from cloud_sync.credentials import CredentialFiles
from heat.errors import ConfigError


def lifetimes(config: CloudConfig) -> Lifetimes:
    """How long sessions and customers stay."""
    section = config.hot_store
    return Lifetimes(session_ms=section.session_hours * 3_600_000, customer_ms=section.customer_days * 86_400_000)


def open_redis(config: CloudConfig) -> RedisStore:
    """The store in Redis. Raises ConfigError if it is not configured."""
    section = config.hot_store
    if section.kind != "redis" or section.url is None:
        hint = 'Set kind = "redis" and url in [hot_store] of cloud.toml'
        raise ConfigError(
            "there is no hot store: hot_store.kind is memory, into which nobody else could look", hint=hint
        )
    files = CredentialFiles(config, "hot_store", section)

    def login() -> Login:
        password = files.password()
        if password is None:
            return ()
        return (password,) if section.username is None else (section.username, password)

    files.tls()  # it says what is wrong with a file, which Redis' client does not
    named = {"ssl_ca_certs": section.ca, "ssl_certfile": section.certificate, "ssl_keyfile": section.key}
    found = {name: str(config.path(file)) for name, file in named.items() if file is not None}
    return RedisStore(section.url, login, found)
