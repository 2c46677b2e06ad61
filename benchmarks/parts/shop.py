"""A shop that has been open for long: 200 dispensers, a database full of pours and refusals; and its pages."""

from __future__ import annotations

import http.client
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from benchmarks.parts.events import (
    CUSTOMERS,
    DAY_MS,
    KEY,
    POURS,
    QUOTA_BYTES,
    ROWS_A_TRANSACTION,
    SAUCES,
    pour,
    the_door,
)
from benchmarks.parts.watched import FILE
from gateway import letters
from gateway.migrations import m0013_ledger
from gateway.store import DATABASE, Settings, Store, open_store
from gateway.transaction import Transaction
from gateway.web.application import SHOWN
from heat.events import Event, Poured, Stamp
from heat.identity import EventId, pseudonym
from heat.quality import Refusal

DISPENSERS = 200
DAYS = 30
"""That the pours are spread over, to the present one."""
REFUSED_EVERY = 5_000
"""Events of which one was refused."""
BLOCK = 25_000
"""Events after which all begins anew: each customer has poured, each dispenser has sent as many."""
BODY = b"\xa1\x01\x02"
REFUSAL = Refusal("unknown_sauce", "'sriracha' is not in the catalogue")
TIMES = 5
"""Times that each page is asked for; the slowest counts."""
BESIDES = (
    *("/api/v1/dispensers?limit=24", "/api/v1/events?limit=100", "/api/v1/ledger", "/api/v1/status"),
    *("/api/v1/repairs", "/api/v1/dead-letters", "/dispensers?search=reaper&page=3", "/dispensers?state=away&page=9"),
)
"""Asked for beside the pages themselves."""
ANSWERS = {"/picks/customers"}
"""To a form, and to nothing else."""
_REPEAT = (
    "CREATE TEMP TABLE block AS SELECT *, position - 1 AS nth FROM events",
    """
    WITH RECURSIVE again(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM again WHERE number < :most),
    shifted AS (SELECT *, nth + number * :block AS n FROM again CROSS JOIN block WHERE nth + number * :block < :count),
    timed AS (SELECT *, :now_ms - (:count - n) * :span_ms / :count AS at_ms FROM shifted)
    INSERT INTO events
    SELECT n + 1, source, generation, sequence + number * :block / :dispensers, type, subject, at_ms, n,
           at_ms / :day_ms, clock, data, reason, detail
    FROM timed
    """,
    *("DELETE FROM letters", m0013_ledger.FILE),
    *("DELETE FROM ledger", m0013_ledger.COUNT),
    "UPDATE sequences SET last = (SELECT max(last) FROM ledger WHERE source = sequences.source)",
)
"""What has a block of events again and again, and what is kept beside them."""


def named(number: int) -> str:
    """A dispenser's name, as the simulator has them."""
    return f"bar-{number}"


def fill_shop(directory: Path, gateway: str, count: int) -> None:
    """Make a gateway's database of a shop with `count` events of all dispensers, none of which Kafka has.

    The first ones come through the store, as any event does; the others are these again, by SQL: a million in seconds.
    """
    admitted = [the_door().admit(pour(number), "profile", None) for number in range(len(SAUCES))]
    pours = [data for data in admitted if isinstance(data, Poured)]
    customers = [pseudonym(str(number), KEY, 1) for number in range(CUSTOMERS)]
    now_ms = time.time_ns() // 1_000_000
    store = open_store(Settings(directory, gateway, QUOTA_BYTES))
    _meet(store, DISPENSERS, now_ms)

    def append(tx: Transaction, first: int) -> None:
        for n in range(first, min(first + ROWS_A_TRANSACTION, count)):
            at_ms = now_ms - (count - n) * DAYS * DAY_MS // count
            when = Stamp(at_ms, n, at_ms // DAY_MS, "known")
            event_id = EventId(named(n % DISPENSERS + 1), 1, n // DISPENSERS + 1)
            if n % REFUSED_EVERY == REFUSED_EVERY - 1:
                position = tx.append_refusal(event_id, REFUSAL, BODY, when)
                letters.file(tx, position, event_id, REFUSAL, BODY, when, None)
            else:
                tx.append(Event(event_id, customers[n // POURS % CUSTOMERS], when, pours[n % len(pours)]))

    for first in range(0, min(count, BLOCK), ROWS_A_TRANSACTION):
        store.write(lambda tx, first=first: append(tx, first)).result()  # type: ignore[misc]
    store.close()
    if count > BLOCK:
        _repeat(directory / DATABASE, count, now_ms)


def _repeat(path: Path, count: int, now_ms: int) -> None:
    """Fill a database that has one block of events with so many in all."""
    values = {
        "count": count,
        "block": BLOCK,
        "most": -(-count // BLOCK) - 1,
        "now_ms": now_ms,
        "span_ms": DAYS * DAY_MS,
        "day_ms": DAY_MS,
        "dispensers": DISPENSERS,
    }
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        for statement in _REPEAT:
            connection.execute(statement, values)
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")


def _meet(store: Store, dispensers: int, now_ms: int) -> None:
    nozzles = msgspec.json.encode([[number, sauce, 500] for number, sauce in enumerate(SAUCES, 1)]).decode()
    rows = [(named(n), 1, "1.4.2", nozzles, f"/dev/ttyUSB{n}", now_ms, now_ms) for n in range(1, dispensers + 1)]
    insert = (
        "INSERT INTO dispensers (dispenser, generation, firmware, nozzles, link, seen_ms, lost_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    store.write(lambda tx: tx.connection.executemany(insert, rows), upkeep=True).result()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A page."""

    path: str
    status: int
    slowest_ms: float
    cpu_ms: float
    """Of the whole process, at the first time."""
    held_ms: float
    """CPU that the event loop's thread took without a pause, at most, whatever it was for."""
    size_bytes: int


def pages() -> list[str]:
    """The addresses of all pages that there are, of one dispenser and one event where they are of one."""
    routes = [route for module in SHOWN for route in module.router.routes if "GET" in route.methods]
    of_one = {"dispenser": named(7), "nozzle": 1, "position": 7, "pseudonym": pseudonym("7", KEY, 1)}
    paths = (route.path for route in routes if route.param_convertors.keys() <= of_one.keys())
    known = [path for path in paths if path not in ANSWERS]
    letter = of_one | {"position": REFUSED_EVERY}
    made = [path.format(**(letter if "letters" in path else of_one)) for path in known]
    return [*dict.fromkeys(made), *BESIDES]


def load(
    port: int, process: psutil.Process, directory: Path, headers: Mapping[str, str], times: int
) -> Iterator[Loaded]:
    """Ask a watched daemon for each page a few times, without what it links to."""
    for path in pages():
        slowest_s, status, size, costs = 0.0, 0, 0, []
        for _ in range(times):
            before_ms, _held_ms = look(process, directory)
            begun = time.perf_counter()
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", path, headers=dict(headers))
                answer = connection.getresponse()
                status, size = answer.status, len(answer.read())
            slowest_s = max(slowest_s, time.perf_counter() - begun)
            now_ms, held_ms = look(process, directory)
            costs.append((now_ms - before_ms, held_ms))
        yield Loaded(path, status, slowest_s * 1000, costs[0][0], max(held for _, held in costs), size)


def look(process: psutil.Process, directory: Path) -> tuple[float, float]:
    """ms of CPU that a watched daemon has taken, and for how long it held its loop since it was looked at last."""
    told = directory / FILE
    told.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    while not told.exists():
        time.sleep(0.001)
    cpu_ms, held_ms = map(float, told.read_text().split())
    return cpu_ms, held_ms
