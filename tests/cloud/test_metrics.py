"""The cloud's figures are where cloud.toml says, and only while the process runs."""

from __future__ import annotations

import socket

import httpx
import pytest
from prometheus_client import Counter

from cloud.metrics import REGISTRY, served
from heat.errors import ConfigError
from tests.servers import free_port


def test_they_are_served_and_the_port_is_free_again() -> None:
    counter = Counter("picante_cloud_test", "A test's.", registry=REGISTRY)
    counter.inc(3)
    port = free_port()
    try:
        with served(f"127.0.0.1:{port}"):
            assert "picante_cloud_test_total 3.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
            with (
                pytest.raises(ConfigError, match=r"Address already in use.*cloud\.metrics"),
                served(f"127.0.0.1:{port}"),
            ):
                pass
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    finally:
        REGISTRY.unregister(counter)
