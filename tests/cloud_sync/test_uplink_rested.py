"""A gateway that was away until Kafka forgot its position. It began to rest with `test_uplink_edge`, minutes ago."""

from __future__ import annotations

from contextlib import closing

from aiokafka.admin import AIOKafkaAdminClient

from cloud_sync.topics import outbox_group
from cloud_sync.uplink import Uplink
from tests.cloud_sync.conftest import Idle
from tests.cloud_sync.examples import pours
from tests.cloud_sync.kafka_reading import read_events
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import confirmed, running, settings
from tests.proxy import ProxiedKafka
from tests.waiting import wait_until_async

FORGOTTEN_S = 150.0
"""Seconds from a group's last commit to the end of its position: a minute, and Kafka's next look."""


async def test_an_expired_position_goes_on_from_the_confirmed_one_and_says_so(broker: ProxiedKafka, idle: Idle) -> None:
    await wait_until_async(lambda: expired(broker, idle.gateway), FORGOTTEN_S, "Kafka has forgotten the position")
    with closing(SqliteOutbox(idle.file)) as outbox:
        outbox.append(pours(2, first=11, origin=idle.gateway))
        uplink = Uplink(outbox, settings(broker.bootstrap, idle.gateway))
        async with running(uplink):
            await confirmed(outbox, 12)
            outbox.append(pours(1, first=13, origin=idle.gateway))
            await confirmed(outbox, 13)
    events = [event for part in (await read_events(broker.bootstrap, idle.gateway)).values() for event in part]
    assert sorted(event.id.sequence for event in events if event.redelivered) == [9, 10, 11, 12]
    assert sorted(event.id.sequence for event in events if not event.redelivered) == [*range(1, 11), 13]
    assert uplink.status.epoch == 2


async def expired(broker: ProxiedKafka, gateway: str) -> bool:
    """Whether Kafka keeps no position of this gateway any more."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        await admin.start()
        offsets = await admin.list_consumer_group_offsets(outbox_group(gateway))
    finally:
        await admin.close()
    return not offsets
