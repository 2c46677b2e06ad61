"""The main road through three SIGKILLs each of the gateway, of Mosquitto and of a Kafka broker of three, in one run.

`make faults` repeats it with other seeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import random
import secrets
from contextlib import closing
from pathlib import Path

import pytest

from cloud_sync.topics import EVENTS
from cloud_sync.uplink import Uplink
from tests.cloud_sync.examples import pours
from tests.cloud_sync.kafka_reading import read_events, topic_config
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, running, settings
from tests.cluster import KafkaCluster, KafkaNode
from tests.faults.kills import KILLS_EACH, KINDS, Outcome, run
from tests.flow.verdict import NOTHING_WRONG, judge
from tests.proxy import END_TRANSACTION, Line
from tests.waiting import wait_until_async

SEED = 20_261

pytestmark = [
    pytest.mark.timeout(600),  # the first test has the cluster's start and the whole run in it
    # what aiokafka was connecting to when its broker was killed, it leaves to the garbage collector
    pytest.mark.filterwarnings("ignore:Unclosed AIOKafkaConnection:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, cluster: KafkaCluster) -> Outcome:
    """A shop that went through it all."""
    made = run(tmp_path_factory.mktemp("kills") / "run", cluster, SEED)
    gc.collect()
    return made


def test_through_all_kills_the_topic_holds_each_event_once_and_in_order(outcome: Outcome) -> None:
    assert outcome.verdict == NOTHING_WRONG, f"seed {SEED}"
    assert outcome.made > 1_000
    assert outcome.integrity == "ok"


def test_through_all_kills_the_ledger_s_sums_are_those_of_the_events(outcome: Outcome) -> None:
    assert outcome.balanced, f"seed {SEED}, {outcome.made} events: {outcome.ledger}"


def test_the_kills_fell_where_they_hurt(outcome: Outcome) -> None:
    assert {kind: len(outcome.of(kind)) for kind in KINDS} == dict.fromkeys(KINDS, KILLS_EACH)
    inside = [kill.inside for kill in outcome.of("gateway")]
    assert sum(inside) * 2 >= len(inside), f"seed {SEED}: too few kills inside a transaction"


def test_what_the_killed_had_written_is_written_again_and_hidden(outcome: Outcome) -> None:
    inside = sum(kill.inside for kill in outcome.of("gateway"))
    assert outcome.aimed, (
        f"seed {SEED}: of {inside} gateways killed inside, {outcome.hits} left records that came again"
    )
    assert outcome.verdict.doubled == ()


def test_each_kill_is_logged_with_the_outbox_position(outcome: Outcome) -> None:
    lines = [json.loads(line) for line in outcome.log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == [kill.kind for kill in outcome.kills]
    assert all(0 < line["confirmed"] <= line["stored"] for line in lines)


ENDS = 2
"""Kills of a coordinator while it ends a transaction."""
INTO_THE_END_S = 0.03
"""Seconds at most from the request to the kill: about as long as the coordinator works on it."""


async def test_a_coordinator_killed_while_a_transaction_ends_loses_and_doubles_nothing(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    chance, gateway = random.Random(SEED), f"gw-ends-{secrets.token_hex(4)}"
    rows = pours(20_000, origin=gateway)
    async with contextlib.AsyncExitStack() as stack:
        outbox = stack.enter_context(closing(SqliteOutbox(tmp_path / "outbox.db")))
        lines = [await stack.enter_async_context(Line(node)) for node in cluster.nodes]
        # it gives up before the cluster has another coordinator, so that it must find out where it was
        bootstrap = ",".join(line.bootstrap for line in lines)
        uplink = Uplink(outbox, settings(bootstrap, gateway, transaction_timeout_ms=1_000))
        await stack.enter_async_context(running(uplink))
        for turn in range(ENDS):
            outbox.append(rows[turn * 5_000 : (turn + 1) * 5_000])
            await wait_until_async(lambda: uplink.status.in_flight, PATIENCE_S, "a transaction is open")
            victim = await killed_at_an_end(lines, cluster, chance.uniform(0, INTO_THE_END_S))
            await confirmed(outbox, (turn + 1) * 5_000)
            await asyncio.to_thread(victim.start)
            await asyncio.to_thread(cluster.wait_until_in_sync)
        outbox.append(rows[ENDS * 5_000 :])
        await confirmed(outbox, len(rows))
    assert uplink.status.failures >= ENDS, "no end was left in doubt"
    assert uplink.status.redelivered == 0
    events = await read_events(cluster.bootstrap, gateway)
    found = {part: [str(event.id) for event in part_events] for part, part_events in events.items()}
    assert judge({str(row.id) for row in rows}, found) == NOTHING_WRONG, f"seed {SEED}"


async def killed_at_an_end(lines: list[Line], cluster: KafkaCluster, after_s: float) -> KafkaNode:
    """Kill the node that is asked to end a transaction, so long after it has the request; its answer is lost anyway."""
    asked: list[KafkaNode] = []

    def kill_soon(node: KafkaNode) -> None:
        for line in lines:
            line.cut_after(None)
        asked.append(node)
        asyncio.get_running_loop().call_later(after_s, node.kill)

    for line, node in zip(lines, cluster.nodes, strict=True):
        line.cut_after(END_TRANSACTION, functools.partial(kill_soon, node))
    await wait_until_async(lambda: asked and not asked[0].alive, PATIENCE_S, "a coordinator was killed")
    return asked[0]


async def test_two_of_three_brokers_must_have_what_is_answered(outcome: Outcome, cluster: KafkaCluster) -> None:
    for topic in (EVENTS.name, "__consumer_offsets", "__transaction_state"):
        assert (await topic_config(cluster.bootstrap, topic))["min.insync.replicas"] == "2", topic
