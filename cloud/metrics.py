"""The cloud's figures for Prometheus: one registry for all parts of the process, served if cloud.toml says where."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server

from cloud_sync.settings import addresses
from heat.errors import ConfigError

REGISTRY = CollectorRegistry()
"""Each part makes its metrics in it, when it is imported. Labels are closed sets: no subject, no event id."""


@contextlib.contextmanager
def served(address: str | None) -> Iterator[None]:
    """Serve `/metrics` at HOST:PORT, in a thread; None serves nothing. Raises ConfigError where nobody may listen."""
    if address is None:
        yield
        return
    [(host, port)] = addresses(address)
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        hint = "Set cloud.metrics in cloud.toml to an address that is free, or take it out"
        raise ConfigError(f"can't listen on {address}: {error.strerror}", hint=hint) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
