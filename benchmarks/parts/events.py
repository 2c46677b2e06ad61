"""The pours that the benchmarks are made of, and a database full of them."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import body_map, encode_message
from firmware_bridge.messages import EventMessage
from gateway.door import Door
from gateway.store import Settings, open_store
from gateway.transaction import Transaction
from heat.catalog import default_catalog
from heat.events import Event, Poured, Stamp
from heat.identity import EventId, pseudonym
from heat.scale import default_words

KEY = bytes(range(32))
SAUCES = list(default_catalog())[:12]
QUOTA_BYTES = 4 * 2**30
CUSTOMERS = 5_000
POURS = 5
"""Pours of a customer, one after the other."""
ROWS_A_TRANSACTION = 1_000
DAY_MS = 86_400_000


def dispenser(number: int) -> str:
    """The name of a line's dispenser."""
    return f"bench-{number}"


def pour(sequence: int) -> PouredBody:
    """What a dispenser says of one pour."""
    return PouredBody(nozzle=1, sauce=SAUCES[sequence % len(SAUCES)], volume_ul=4_000, duration_ms=800)


def frame(sequence: int) -> bytes:
    """One pour as bytes on the line."""
    body = pour(sequence)
    message = EventMessage(
        generation=1,
        sequence=sequence,
        boot=1,
        uptime_ms=1_000 + sequence,
        sent_uptime_ms=2_000 + sequence,
        session=1 + sequence // POURS,
        kind=body.number,
        body=body_map(body),
    )
    return encode_message(message)


def the_door() -> Door:
    """The site's knowledge, as shipped."""
    return Door(default_catalog(), default_words(), "bench", "bench")


def fill(directory: Path, gateway: str, count: int) -> None:
    """Make a gateway's database with `count` pours that Kafka does not have yet."""
    admitted = [the_door().admit(pour(number), "profile", None) for number in range(len(SAUCES))]
    pours = [data for data in admitted if isinstance(data, Poured)]
    customers = [pseudonym(str(number), KEY, 1) for number in range(CUSTOMERS)]
    now_ms = time.time_ns() // 1_000_000
    store = open_store(Settings(directory, gateway, QUOTA_BYTES))

    def append(tx: Transaction, first: int) -> None:
        for n in range(first, min(first + ROWS_A_TRANSACTION, count + 1)):
            when = Stamp(now_ms - count + n, n, now_ms // DAY_MS, "known")
            customer = customers[n // POURS % CUSTOMERS]
            tx.append(Event(EventId(dispenser(1), 1, n), customer, when, pours[n % len(pours)]))

    for first in itertools.count(1, ROWS_A_TRANSACTION):
        if first > count:
            break
        store.write(lambda tx, first=first: append(tx, first)).result()  # type: ignore[misc]
    store.close()
