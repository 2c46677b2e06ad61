"""The edge of the promise: lines that go dead inside a transaction, answers that are lost, two of one name.

The broker is one of our own, which aborts what is too old within a moment.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from cloud_sync import kafka_client
from cloud_sync.envelope import Received
from cloud_sync.uplink import Uplink
from heat.errors import ForeignInstance
from tests.cloud_sync.examples import pours
from tests.cloud_sync.kafka_reading import ids, read_events
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, connected, progress, running, settings
from tests.cluster import describe_transaction
from tests.proxy import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    COMMIT_OFFSETS,
    END_TRANSACTION,
    METADATA,
    PRODUCE,
    Line,
    ProxiedKafka,
)
from tests.waiting import wait_until_async

pytestmark = pytest.mark.usefixtures("no_task_stays", "idle")  # what rests begins to rest here


GOES_ON_S = 30.0
"""s from the end of whatever was wrong until something is in Kafka again: promised."""


async def all_of(broker: ProxiedKafka, gateway: str) -> list[Received]:
    return [event for part in (await read_events(broker.bootstrap, gateway)).values() for event in part]


# -- a line that goes dead inside a transaction --------------------------------------------------------------------


@pytest.mark.parametrize("patience", ["longer than Kafka's", "as long as Kafka's"])
async def test_a_transaction_that_outlives_its_timeout_is_sent_again(
    broker: ProxiedKafka, outbox: SqliteOutbox, gateway: str, monkeypatch: pytest.MonkeyPatch, patience: str
) -> None:
    """A lone producer is fenced then, too; with the patience that it has it seldom lives to hear of it."""

    def soon_too_old(**options: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(**{**options, "transaction_timeout_ms": 1_000})

    timeout_ms = 1_000
    if patience == "longer than Kafka's":
        monkeypatch.setattr(kafka_client, "AIOKafkaProducer", soon_too_old)
        timeout_ms = 60_000
    rows = pours(2_000, origin=gateway)
    outbox.append(rows)
    errors: set[str] = set()
    async with Line(broker) as line:
        chosen = settings(line.bootstrap, gateway, transaction_timeout_ms=timeout_ms, request_timeout_ms=60_000)
        uplink = Uplink(outbox, chosen)
        line.dead_after(PRODUCE)
        async with running(uplink):
            await wait_until_async(lambda: line.dead, PATIENCE_S, "the line goes dead inside a transaction")
            await wait_until_async(lambda: aborted(broker, gateway), PATIENCE_S, "Kafka has aborted it")
            line.heal()
            await wait_until_async(lambda: uplink.status.failures, PATIENCE_S, "the uplink has noticed")
            errors.add(str(uplink.status.last_error))
            await confirmed(outbox, len(rows))
            await connected(uplink)
    assert ids(await all_of(broker, gateway)) == sorted(str(row.id) for row in rows)
    written = ids(await read_events(broker.bootstrap, gateway, "read_uncommitted"))
    assert len(written) > len(rows), "nothing was sent before the line went dead: nothing was tested"
    assert (uplink.status.state, uplink.status.foreign_instance, uplink.status.redelivered) == ("idle", None, 0)
    expected = "another producer took over" if patience == "longer than Kafka's" else "no answer in time"
    assert [expected in error for error in errors] == [True], errors


def aborted(broker: ProxiedKafka, gateway: str) -> bool:
    found = describe_transaction(broker.host, broker.port, gateway)
    return found is not None and found.state == "CompleteAbort"


@pytest.mark.filterwarnings("ignore:Unclosed AIOKafkaConnection:ResourceWarning")
async def test_of_a_broker_that_falls_silent_while_it_is_asked_nobody_speaks_but_the_uplink(
    broker: ProxiedKafka,
    outbox: SqliteOutbox,
    gateway: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # pytest would keep the record of its line, and with that the connection
    monkeypatch.setattr(logging.getLogger("cloud_sync.uplink"), "disabled", True)
    async with Line(broker) as line:
        uplink = Uplink(outbox, settings(line.bootstrap, gateway, connect_timeout_s=1))
        line.dead_after(METADATA)
        async with running(uplink):
            await wait_until_async(lambda: uplink.status.failures, PATIENCE_S, "it gives up")
            assert line.dead
            line.heal()
            await connected(uplink)
            gc.collect()
            lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == []


REQUESTS = [ADD_PARTITIONS, PRODUCE, ADD_OFFSETS, COMMIT_OFFSETS, END_TRANSACTION]
"""Of a transaction, in their order."""


async def test_when_a_connection_breaks_before_any_answer_nothing_is_lost_or_doubled(
    broker: ProxiedKafka, outbox: SqliteOutbox, gateway: str
) -> None:
    """The producer asks again over another connection."""
    rows = pours(len(REQUESTS) * 400, origin=gateway)
    async with Line(broker) as line:
        uplink = Uplink(outbox, settings(line.bootstrap, gateway))
        async with running(uplink):
            for number, request in enumerate(REQUESTS * 4, 1):
                line.cut_after(request)
                outbox.append(rows[(number - 1) * 100 : number * 100])
                await confirmed(outbox, number * 100)
                assert line.cuts == number, f"no answer to {request} was lost"
            await connected(uplink)
    assert ids(await all_of(broker, gateway)) == sorted(str(row.id) for row in rows)
    assert (uplink.status.redelivered, uplink.status.epoch) == (0, 1)


async def test_when_no_answer_comes_before_it_gives_up_nothing_is_lost_or_doubled(
    broker: ProxiedKafka, outbox: SqliteOutbox, gateway: str
) -> None:
    """Without an answer to the last request Kafka has the batch, and the database does not know."""
    rows = pours(len(REQUESTS) * 100 + 1, origin=gateway)
    async with Line(broker) as line:
        uplink = Uplink(outbox, settings(line.bootstrap, gateway, transaction_timeout_ms=500))
        async with running(uplink):
            for number, request in enumerate(REQUESTS, 1):
                failures = uplink.status.failures
                line.dead_after(request)
                outbox.append(rows[(number - 1) * 100 : number * 100])
                await wait_until_async(lambda: line.dead, PATIENCE_S, f"{request} has passed")
                await wait_until_async(lambda f=failures: uplink.status.failures > f, PATIENCE_S, "it gives up")  # type: ignore[misc]
                line.heal()
                await wait_until_async(
                    lambda n=number: progress(outbox) >= n * 100,  # type: ignore[misc]
                    GOES_ON_S,
                    "it goes on",
                    promised=True,
                )
            outbox.append(rows[-1:])
            await confirmed(outbox, len(rows))
    assert ids(await all_of(broker, gateway)) == sorted(str(row.id) for row in rows)
    assert (uplink.status.redelivered, uplink.status.epoch) == (0, 1)
    assert uplink.status.sent == len(rows) - 100, "the last batch was found in Kafka"


async def test_a_new_epoch_is_begun_once_however_often_its_transactions_fail(
    broker: ProxiedKafka, outbox: SqliteOutbox, gateway: str, tmp_path: Path
) -> None:
    """A lost database, and a Kafka that lets us in and takes nothing: what comes in meanwhile was never sent before."""
    outbox.append(pours(10, origin=gateway))
    async with running(Uplink(outbox, settings(broker.bootstrap, gateway))):
        await confirmed(outbox, 10)
    (tmp_path / "new").mkdir()
    shutil.copy(outbox.beside, tmp_path / "new" / "instances")
    with closing(SqliteOutbox(tmp_path / "new" / "outbox.db")) as recreated:
        recreated.append(pours(2, first=9, origin=gateway))
        async with Line(broker) as line:
            uplink = Uplink(recreated, settings(line.bootstrap, gateway, transaction_timeout_ms=500))
            line.dead_after(ADD_PARTITIONS)
            async with running(uplink):
                for number in (1, 2, 3):
                    await wait_until_async(lambda: line.dead, PATIENCE_S, "a transaction has begun")
                    await wait_until_async(lambda n=number: uplink.status.failures >= n, PATIENCE_S, "it gives up")  # type: ignore[misc]
                    recreated.append(pours(1, first=10 + number, origin=gateway))
                    line.heal()
                    if number < 3:
                        line.dead_after(ADD_PARTITIONS)
                await confirmed(recreated, 5)
        epochs = recreated.db.execute("SELECT epoch FROM epochs").fetchall()
    assert epochs == [(1,), (2,)]
    sent = [(event.id.sequence, event.redelivered) for event in await all_of(broker, gateway) if event.id.sequence > 8]
    assert sorted(sent) == [(9, False), (9, True), (10, False), (10, True), (11, False), (12, False), (13, False)]


async def test_who_sends_is_on_record_before_kafka_hears_of_it(
    broker: ProxiedKafka, outbox: SqliteOutbox, gateway: str
) -> None:
    """A process ends after its first transaction, before any answer: the next one must not take it for a clone."""
    outbox.append(pours(10, origin=gateway))
    async with Line(broker) as line:
        line.dead_after(END_TRANSACTION)
        async with running(Uplink(outbox, settings(line.bootstrap, gateway, close_timeout_s=0.1))):
            await wait_until_async(lambda: line.dead, PATIENCE_S, "the transaction ends, and nobody is told")
    following = Uplink(outbox, settings(broker.bootstrap, gateway))
    async with running(following):
        await wait_until_async(
            lambda: following.status.state in ("idle", "foreign"), PATIENCE_S, "the next process knows where it is"
        )
        assert (following.status.state, following.status.foreign_instance) == ("idle", None)
        await confirmed(outbox, 10)
    assert following.status.sent == 0, "the batch was not in Kafka: nothing was tested"
    assert ids(await all_of(broker, gateway)) == sorted(str(row.id) for row in pours(10, origin=gateway))


# -- one name, two outboxes ----------------------------------------------------------------------------------------


def copied(outbox: SqliteOutbox, to: Path) -> SqliteOutbox:
    """A copy of the card: what lies beside the database, too."""
    to.mkdir()
    with closing(sqlite3.connect(to / "outbox.db")) as copy:
        outbox.db.backup(copy)
    shutil.copy(outbox.beside, to / "instances")
    return SqliteOutbox(to / "outbox.db")


async def test_of_two_that_rested_under_one_name_the_first_to_send_goes_on(
    broker: ProxiedKafka, outbox: SqliteOutbox, gateway: str, tmp_path: Path
) -> None:
    """Both know who wrote the position, so neither is stopped when it starts."""
    outbox.append(pours(10, origin=gateway))
    async with running(Uplink(outbox, settings(broker.bootstrap, gateway))):
        await confirmed(outbox, 10)
    with closing(copied(outbox, tmp_path / "clone")) as other:
        first, second = (Uplink(box, settings(broker.bootstrap, gateway)) for box in (outbox, other))
        async with running(first):
            await connected(first)
            stopped = asyncio.create_task(second.run())
            await connected(second)
            outbox.append(pours(5, first=11, origin=gateway))
            await confirmed(outbox, 15)
            other.append(pours(5, first=101, origin=gateway))
            with pytest.raises(ForeignInstance, match=first.instance):
                await until_stopped(second, stopped)
            outbox.append(pours(5, first=16, origin=gateway))
            await confirmed(outbox, 20)
    events = await all_of(broker, gateway)
    assert sorted(event.id.sequence for event in events) == list(range(1, 21))
    assert not any(event.redelivered for event in events)


async def until_stopped(uplink: Uplink, task: asyncio.Task[Any]) -> None:
    """Let it fail, fenced, and run it again as the supervisor does, until it stops for good."""
    await asyncio.wait({task}, timeout=PATIENCE_S)
    assert task.done()
    while not isinstance(task.exception(), ForeignInstance):
        task = asyncio.create_task(uplink.run())
        await asyncio.wait({task}, timeout=PATIENCE_S)
    task.result()
