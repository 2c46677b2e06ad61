"""The downlink and a Kafka that asks who is there: with a gateway's rights it reads, and leaves no socket behind."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import closing
from pathlib import Path

import pytest

from cloud_sync.downlink import Downlink
from cloud_sync.settings import ConnectionSettings, Security
from cloud_sync.topics import PROFILES
from gateway.clock import Clock
from gateway.downlink import StoreInbox, Wanted
from gateway.store import Store
from gateway.transaction import read_profile
from tests.cloud_sync.test_uplink_security import trusting
from tests.gateway.test_downlink import REGION, Cloud, customer, record
from tests.gateway.test_regulars import OTHER, profile
from tests.secure_kafka import GATEWAY, PASSWORD, SecureKafka
from tests.waiting import wait_until_async

VISITS = 4


def sockets() -> int:
    """Sockets that this process has open."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(descriptor.readlink()).startswith("socket:")
    return found


async def test_a_gateways_rights_are_enough_and_no_visit_leaves_a_socket(
    secure_kafka: SecureKafka, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_sync.downlink.TURN_S", 0.05)
    await Cloud(secure_kafka.bootstrap, PROFILES.name).say([(customer(1), record(profile(OTHER, 1)))])
    known = Security(trusting(secure_kafka.authority), username=GATEWAY, password=PASSWORD)
    settings = ConnectionSettings(secure_kafka.at("LOGIN"), GATEWAY, security=lambda: known)
    wanted = Wanted(REGION, 10)
    before = sockets()
    for _ in range(VISITS):
        downlink = Downlink(StoreInbox(store, clock, wanted), settings, wanted.topics)
        task = asyncio.create_task(downlink.run())
        try:
            await wait_until_async(lambda d=downlink: d.status.state == "following", 20, "it has caught up")  # type: ignore[misc]
            await wait_until_async(lambda: sockets() == before + 1, 10, "one connection is left, that it reads by")
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert sockets() == before, "the loop may end now, and nobody would close it"
    with closing(store.reader()) as reader:
        assert read_profile(reader, customer(1)) == profile(OTHER, 1)
