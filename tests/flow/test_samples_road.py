"""From a dispenser's SAMPLE to the topic of samples: each hour once, though the way to Kafka broke in between."""

from __future__ import annotations

import uuid
from pathlib import Path

from cloud_sync.settings import UplinkSettings
from cloud_sync.uplink import Uplink
from firmware_bridge.messages import Channel, Hello, NozzleInfo, Sample, Series
from gateway.aggregates import HOUR_MS, MINUTE_MS
from gateway.clock import Clock
from gateway.dating import register_boot
from gateway.judge import Limits
from gateway.outbox import StoreOutbox
from gateway.sample_file import SampleFile
from gateway.samples import Samples
from gateway.store import Settings, open_store
from gateway.summaries import Summaries
from heat.events import Sampled, SensorRow
from tests.cloud_sync.kafka_reading import read_events, read_samples
from tests.cloud_sync.uplinks import running
from tests.gateway.conftest import NOON_MS, HandClock
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until_async


async def test_hours_of_sensors_reach_their_topic_once(kafka: KafkaServer | ServerElsewhere, tmp_path: Path) -> None:
    gateway = f"gw-{uuid.uuid4().hex[:8]}"
    hand = HandClock(NOON_MS, HOUR_MS)
    clock = Clock("system", hand, hand.boot_ns, Path("/nobody/says/so"))
    store = open_store(Settings(tmp_path / "data", gateway))
    boot = store.write(lambda tx: register_boot(tx, "boot-a", 0)).result(20).number
    clock.dated_ms = clock.now().wall_ms - clock.now().boot_ms
    samples = Samples(SampleFile(tmp_path / "data" / "samples.db", 2**23, "boot-a"), clock, Limits())
    outbox = StoreOutbox(store, lambda: clock.holds)
    summaries = Summaries(samples, store, clock, boot, ("plaza", "south"), outbox.wake)
    settings = UplinkSettings(kafka.bootstrap, gateway)
    samples.greet(_hello(hand.boot_ms))
    for _ in range(2):
        for _ in range(60):
            hand.go_on(MINUTE_MS)
            samples.take(
                "bar-1", Sample(uptime_ms=hand.boot_ms, period_ms=1_000, series=(Series(Channel.LEVEL, 1, (7,)),))
            )
        hand.go_on(3 * MINUTE_MS)
        await samples.turn()
        while await summaries.turn():
            pass
        async with running(Uplink(outbox, settings)):  # another producer under the same name each time
            await wait_until_async(lambda: _all_confirmed(outbox), 60, "Kafka has it")
    found = sorted(await read_samples(kafka.bootstrap, gateway), key=lambda event: event.time_ms)
    assert [event.time_ms for event in found] == [NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS]
    data = found[1].data
    assert isinstance(data, Sampled)
    assert data.sensors == (SensorRow("level", 1, 57, 57 * 7, 7, 7, 7),)
    assert not any((await read_events(kafka.bootstrap, gateway)).values())
    samples.close()
    store.close()


async def _all_confirmed(outbox: StoreOutbox) -> bool:
    return not await outbox.read(await outbox.confirmed(), 1)


def _hello(uptime_ms: int) -> Hello:
    return Hello(
        dispenser="bar-1",
        firmware="1.0.0",
        versions=(1, 2),
        nozzles=(NozzleInfo(1, "table-red", 500),),
        generation=7,
        lowest=1,
        next=1,
        nonce=bytes(8),
        boot=3,
        uptime_ms=uptime_ms,
    )
