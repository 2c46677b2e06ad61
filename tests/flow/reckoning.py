"""A shop's account: everything that its dispensers and its gateway made, against what a reader of the topic finds."""

from __future__ import annotations

import asyncio

from cloud_sync.topics import EVENTS
from hw_sim.control import call
from hw_sim.journal import read_journal
from tests.cloud_sync.kafka_reading import no_transaction_is_open, read_events
from tests.flow.verdict import Verdict, generated, judge
from tests.flow.world import World
from tests.waiting import wait_until, wait_until_async

PATIENCE_S = 60.0
"""Seconds for each step, on a busy machine."""


def settle(shop: World) -> tuple[int, Verdict]:
    """Let the dispensers rest and all events go up; how many there are, and what is wrong with them."""
    call(shop.socket, {"do": "pause"})
    wait_until(lambda: not _held(shop), PATIENCE_S, "the rings are empty")
    made = generated(read_journal(shop.directory / "sim" / "journal.jsonl"))
    while True:
        own = _own(shop)
        wait_until(shop.everything_confirmed, PATIENCE_S, "Kafka has everything")
        found, ledger = asyncio.run(_found(shop)), shop.ledger()
        if _own(shop) == own:  # else a question that was under way at the pause was answered meanwhile
            assert [row for row in ledger if row["flaws"] or row["pending"]] == []
            return len(made | own), judge(made | own, found)


def _own(shop: World) -> set[str]:
    rows = shop.query("SELECT source, generation, sequence FROM events WHERE source = ?", shop.gateway_id)
    return {f"{source}:{generation:08x}:{sequence}" for source, generation, sequence in rows}


def _held(shop: World) -> int:
    return sum(dispenser["held"] for dispenser in call(shop.socket, {"do": "status"})["dispensers"].values())


async def _found(shop: World) -> dict[int, list[str]]:
    # a commit is answered before its last marker is written
    await wait_until_async(
        lambda: no_transaction_is_open(shop.bootstrap, EVENTS.name), PATIENCE_S, "no transaction is open"
    )
    events = await read_events(shop.bootstrap, shop.gateway_id)
    return {part: [str(event.id) for event in found] for part, found in events.items()}
