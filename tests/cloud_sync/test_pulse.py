"""What a gateway tells of itself: when it is due, and that events never wait for it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pytest

from cloud_sync.pulse import EVERY_S, LONGEST_S, SOON_S, Pulse
from cloud_sync.record import Record
from cloud_sync.topics import EVENTS, GATEWAYS, POSITION
from cloud_sync.uplink import Uplink
from heat.errors import SinkRefused, SinkUnavailable, StoreError
from tests.cloud_sync.examples import pours
from tests.cloud_sync.kafka_reading import ids, read, read_events
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, running, settings
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until_async

Kafka = KafkaServer | ServerElsewhere


class Hand:
    """A clock, and somebody who has something to tell."""

    def __init__(self, gateway: str = "gw-1", padding: str = "") -> None:
        self.now_s = 1_000.0
        self.state: Hashable = "well"
        self.fails = False
        self.told = 0
        self._key = gateway.encode()
        self._padding = padding

    def clock(self) -> float:
        return self.now_s

    def important(self) -> Hashable:
        return self.state

    async def tell(self) -> Record:
        if self.fails:
            raise StoreError("the database can't be read")
        self.told += 1
        value = json.dumps({"n": self.told, "state": self.state, "padding": self._padding}).encode()
        return Record(GATEWAYS.name, self._key, value, ())


async def keep(records: Iterable[Record]) -> Sequence[Any]:
    """A sink's `pack` that keeps what it is given."""
    return list(records)


async def comes(pulse: Pulse) -> bool:
    """Whether a heartbeat is due now: it is made without a wait, and sent."""
    task = asyncio.create_task(pulse.next(keep))
    for _ in range(10):
        await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        return False
    assert len(task.result()) == 1
    pulse.sent()
    return True


async def test_it_is_due_at_the_start_and_then_every_half_minute() -> None:
    hand = Hand()
    pulse = Pulse(hand, hand.clock)
    assert await comes(pulse)
    hand.now_s += EVERY_S - 0.01
    assert not await comes(pulse)
    hand.now_s += 0.01
    assert await comes(pulse)
    assert pulse.count == 2


async def test_a_change_is_told_of_soon_and_once() -> None:
    hand = Hand()
    pulse = Pulse(hand, hand.clock)
    assert await comes(pulse)
    hand.state = "full"
    assert not await comes(pulse), "what comes and goes would be told of without end"
    hand.now_s += SOON_S
    assert await comes(pulse)
    hand.now_s += SOON_S
    assert not await comes(pulse)


async def test_a_change_that_was_made_ready_and_not_sent_is_told_of_again() -> None:
    hand = Hand()
    pulse = Pulse(hand, hand.clock)
    assert await comes(pulse)
    hand.state = "full"
    hand.now_s += SOON_S
    await pulse.next(keep)  # the connection broke before it was sent
    assert await comes(pulse)


async def test_failures_put_it_off_ever_longer_and_success_forgets_them() -> None:
    hand = Hand()
    pulse = Pulse(hand, hand.clock)
    away = SinkUnavailable("no answer in time")
    for pause_s in (EVERY_S, 2 * EVERY_S, 4 * EVERY_S):
        pulse.failed(away)
        hand.state = pause_s  # a change does not make it come sooner
        hand.now_s += pause_s - 0.01
        assert not await comes(pulse)
        hand.now_s += 0.01
    assert str(pulse.last_error) == "no answer in time"
    for _ in range(20):
        pulse.failed(away)
    hand.now_s += LONGEST_S
    assert await comes(pulse)
    assert pulse.last_error is None
    pulse.failed(away)
    hand.now_s += EVERY_S
    assert await comes(pulse)


async def test_what_kafka_refuses_and_what_cannot_be_read_waits_for_long(caplog: pytest.LogCaptureFixture) -> None:
    hand = Hand()
    hand.fails = True
    pulse = Pulse(hand, hand.clock)
    assert not await comes(pulse)
    hand.fails = False
    hand.now_s += LONGEST_S - 0.01
    assert not await comes(pulse)
    hand.now_s += 0.01
    assert await comes(pulse)
    pulse.failed(SinkRefused("no right"))
    hand.now_s += LONGEST_S - 0.01
    assert not await comes(pulse)
    pulse.hurry()
    assert await comes(pulse), "somebody mended it, and does not want to wait"
    assert [record.message for record in caplog.records] == [
        "Heartbeats wait for 600 s: the database can't be read",
        "Heartbeats wait for 600 s: no right",
    ]


async def heartbeats(bootstrap: str, gateway: str) -> list[dict[str, Any]]:
    records = await read(bootstrap, GATEWAYS.name)
    return [json.loads(record.value) for record in records if record.key == gateway.encode()]


async def test_heartbeats_go_between_events_and_move_no_position(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    hand = Hand(gateway)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway), pulse=Pulse(hand))
    async with running(uplink):
        await wait_until_async(lambda: uplink.pulse.count == 1, PATIENCE_S, "it told of itself, though idle")
    assert uplink.status.transactions == 0
    assert not await outbox.has_sent(), "a heartbeat is no event that Kafka might have"
    rows = pours(600, origin=gateway)
    outbox.append(rows)
    again = Uplink(outbox, settings(kafka.bootstrap, gateway, batch=20), pulse=Pulse(hand))
    async with running(again):
        await wait_until_async(lambda: again.pulse.count == 1, PATIENCE_S, "it told of itself, though busy")
        await confirmed(outbox, 600)
    assert again.status.epoch == 1
    assert again.status.redelivered == 0
    assert [told["n"] for told in await heartbeats(kafka.bootstrap, gateway)] == [1, 2]
    assert ids(await read_events(kafka.bootstrap, gateway)) == sorted(str(row.id) for row in rows)


async def test_a_heartbeat_that_kafka_does_not_take_keeps_no_event(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    hand = Hand(gateway, secrets.token_hex(1_500_000))  # it can't be compressed to less than Kafka takes
    rows = pours(100, origin=gateway)
    outbox.append(rows)
    uplink = Uplink(outbox, settings(kafka.bootstrap, gateway), pulse=Pulse(hand))
    async with running(uplink):
        await confirmed(outbox, 100)
        await wait_until_async(lambda: uplink.pulse.last_error is not None, PATIENCE_S, "the heartbeat failed")
        outbox.append(more := pours(100, first=101, origin=gateway))
        await confirmed(outbox, 200)
    assert hand.told == 1, "it is not tried again at once"
    assert uplink.pulse.count == 0
    assert await heartbeats(kafka.bootstrap, gateway) == []
    assert ids(await read_events(kafka.bootstrap, gateway)) == sorted(str(row.id) for row in [*rows, *more])
    assert uplink.status.redelivered == 0


async def test_records_say_which_row_of_the_outbox_they_are(kafka: Kafka, outbox: SqliteOutbox, gateway: str) -> None:
    outbox.append(pours(50, origin=gateway))
    async with running(Uplink(outbox, settings(kafka.bootstrap, gateway))):
        await confirmed(outbox, 50)
    places = [dict(r.headers)[POSITION] for r in await read(kafka.bootstrap, EVENTS.name) if gateway in str(r.value)]
    assert sorted(places) == sorted(b"1:%d" % position for position in range(1, 51))
