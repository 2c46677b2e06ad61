"""The uplink as a process: killed, ended, frozen, while Kafka lives, hangs or is gone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time

import pytest

from cloud_sync.topics import EVENTS
from tests.cloud_sync.examples import pours
from tests.cloud_sync.kafka_reading import Offsets, end_of, ids, read_events
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, process, progress
from tests.servers import KafkaServer, ServerElsewhere, free_port
from tests.waiting import wait_until_async

Kafka = KafkaServer | ServerElsewhere
SEED = 20_260
TERM_S = 5.0
"""Seconds from SIGTERM to the end: one on a machine at rest; whoever waits for Kafka takes ten or more."""


async def progressed(outbox: SqliteOutbox, position: int) -> None:
    await wait_until_async(lambda: progress(outbox) >= position, PATIENCE_S, f"position {position}")


async def test_killed_again_and_again_it_sends_every_event_once(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    rows = pours(40_000, origin=gateway)
    outbox.append(rows)
    since = await end_of(kafka.bootstrap, EVENTS.name)
    chance = random.Random(SEED)
    for _ in range(6):
        goal = progress(outbox) + chance.randrange(1, 6_000)
        with process(outbox, kafka.bootstrap, gateway) as child:
            await progressed(outbox, goal)
            await asyncio.sleep(chance.random() * 0.06)  # somewhere in a transaction
            child.kill()
    with process(outbox, kafka.bootstrap, gateway):
        await confirmed(outbox, len(rows))
    committed = ids(await read_events(kafka.bootstrap, gateway, since=since))
    assert committed == sorted(str(row.id) for row in rows), f"seed {SEED}"
    written = ids(await read_events(kafka.bootstrap, gateway, "read_uncommitted", since))
    assert len(written) >= len(committed)
    assert set(written) == set(committed)


async def test_frozen_beyond_its_transactions_timeout_it_sends_every_event_once(
    kafka: Kafka, outbox: SqliteOutbox, gateway: str
) -> None:
    rows = pours(30_000, origin=gateway)
    outbox.append(rows)
    since = await end_of(kafka.bootstrap, EVENTS.name)
    with process(outbox, kafka.bootstrap, gateway) as old:
        await progressed(outbox, 1)
        os.kill(old.pid, signal.SIGSTOP)
        # what its successor does at once, Kafka itself would do after the timeout: abort, and fence the old one
        with process(outbox, kafka.bootstrap, gateway) as new:
            await progressed(outbox, 10_000)
            new.kill()
        os.kill(old.pid, signal.SIGCONT)
        await confirmed(outbox, len(rows))
    assert ids(await read_events(kafka.bootstrap, gateway, since=since)) == sorted(str(row.id) for row in rows)


@pytest.mark.parametrize("kafka_is", ["at work", "frozen", "gone"])
async def test_it_obeys_sigterm_whatever_kafka_does(
    killable_kafka: KafkaServer, outbox: SqliteOutbox, gateway: str, kafka_is: str
) -> None:
    outbox.append(pours(30_000, origin=gateway))
    line = socket.create_server(("127.0.0.1", free_port()))
    line.settimeout(PATIENCE_S)
    bootstrap = killable_kafka.bootstrap if kafka_is != "gone" else f"127.0.0.1:{line.getsockname()[1]}"
    with line, process(outbox, bootstrap, gateway) as child:
        try:
            if kafka_is == "gone":
                (await asyncio.to_thread(line.accept))[0].close()  # it tries
                line.close()
            else:
                await progressed(outbox, 1)
            if kafka_is == "frozen":
                os.kill(killable_kafka.pid, signal.SIGSTOP)
                await asyncio.sleep(0.2)
            began_s = time.monotonic()
            child.terminate()
            await wait_until_async(lambda: child.poll() is not None, 10.0, "the process ended")
            assert time.monotonic() - began_s < TERM_S
            assert child.returncode == 0
        finally:
            os.kill(killable_kafka.pid, signal.SIGCONT)


async def test_a_frozen_kafka_loses_and_repeats_nothing(
    killable_kafka: KafkaServer, outbox: SqliteOutbox, gateway: str
) -> None:
    rows = pours(30_000, origin=gateway)
    outbox.append(rows)
    since = await end_of(killable_kafka.bootstrap, EVENTS.name)
    with process(outbox, killable_kafka.bootstrap, gateway):
        await progressed(outbox, 5_000)
        os.kill(killable_kafka.pid, signal.SIGSTOP)
        await asyncio.sleep(12.0)  # longer than a request and a transaction may take
        os.kill(killable_kafka.pid, signal.SIGCONT)
        await confirmed(outbox, len(rows))
    found = ids(await read_events(killable_kafka.bootstrap, gateway, since=since))
    assert found == sorted(str(row.id) for row in rows)


async def markers_written(bootstrap: str) -> None:
    """Wait until a commit that Kafka has answered is in all partitions (ADR 12): their stable ends stand still."""
    before: Offsets | None = None
    for _ in range(50):
        now = await end_of(bootstrap, EVENTS.name)
        if now == before:
            return
        before = now
    raise AssertionError(f"the stable ends went on moving: {before}")


async def test_a_killed_kafka_loses_and_repeats_nothing(
    killable_kafka: KafkaServer, outbox: SqliteOutbox, gateway: str
) -> None:
    rows = pours(30_000, origin=gateway)
    outbox.append(rows)
    since = await end_of(killable_kafka.bootstrap, EVENTS.name)
    with process(outbox, killable_kafka.bootstrap, gateway) as child:
        for goal in (5_000, 15_000):
            await progressed(outbox, goal)
            os.kill(child.pid, signal.SIGSTOP)
            await markers_written(killable_kafka.bootstrap)
            killable_kafka.kill()
            os.kill(child.pid, signal.SIGCONT)
            await asyncio.to_thread(killable_kafka.start)
        await confirmed(outbox, len(rows))
    found = ids(await read_events(killable_kafka.bootstrap, gateway, since=since))
    assert found == sorted(str(row.id) for row in rows)
