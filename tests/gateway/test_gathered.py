"""What a commit gathers and writes once leaves the rows that events leave one by one, whatever comes between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_bridge.bodies import EventBody, PouredBody, RatedBody, RefilledBody, StatedBody
from firmware_bridge.codec import body_map, encode_body
from firmware_bridge.messages import EventMessage, Hello
from gateway import claims, consents, database, doses, lots, pours, replay, sessions, site_pours, voids
from gateway.claims import Asked
from gateway.clock import DAY_MS, Clock, Now
from gateway.dating import redate, register_boot, settle, stamp
from gateway.door import Door
from gateway.ingest import Ingest
from gateway.lots import Bottle
from gateway.store import Store
from gateway.transaction import Sequences, Transaction
from heat.catalog import default_catalog
from heat.errors import PicanteError
from heat.events import ConsentChanged
from heat.identity import pseudonym
from heat.scale import default_words
from tests.gateway.conftest import KEY, NOON_MS

DISPENSERS = ("hot-bar-1", "hot-bar-2")
SAUCES = tuple(default_catalog())[:4]
CUSTOMERS = tuple(pseudonym(token, KEY, 1) for token in ("ann", "bob"))
MIN_MS = 60_000
Piece = Callable[[Transaction], object]
Tables = dict[str, list[tuple[Any, ...]]]


class Step(NamedTuple):
    """Something happens at one of two dispensers: to one of a few sessions, sauces, customers, events."""

    what: str
    dispenser: int = 0
    session: int = 1
    which: int = 0


BODIES: dict[str, Callable[[int], EventBody]] = {
    "pour": lambda which: PouredBody(nozzle=which, sauce=SAUCES[which], volume_ul=4_000, duration_ms=800),
    "too hot": lambda which: RatedBody(sauce=SAUCES[which], verdict="too_hot"),
    "more": lambda which: RatedBody(sauce=SAUCES[which], verdict="more"),
    "dial": lambda which: StatedBody(dial=20 * which),
    "words": lambda _which: StatedBody(text="my mouth was on fire, loved it"),
    "refill": lambda which: RefilledBody(nozzle=which, sauce=SAUCES[which], volume_ul=500_000),
    "unknown sauce": lambda which: PouredBody(nozzle=which, sauce="no-such", volume_ul=4_000, duration_ms=800),
}
LEAPS_MS = (DAY_MS, -DAY_MS, 2 * pours.KEPT_DAYS * DAY_MS, -2 * pours.KEPT_DAYS * DAY_MS)
OTHERS = ("claim", "none", "profile", "void", "idle", "leap", "unset", "settle", "hang", "replay")
STEPS = st.builds(
    Step,
    st.sampled_from((*BODIES, *["pour"] * 6, *OTHERS)),  # what comes most in a shop comes most here
    st.integers(0, 1),
    st.integers(0, 3),
    st.integers(0, 3),
)


@dataclass
class Hands:
    """The clock, and what came: so that the same steps are the same pieces of work, however they are committed."""

    ingest: Ingest
    door: Door
    wall_ms: int = NOON_MS
    boot_ms: int = 5_000_000
    known: bool = True
    sequences: tuple[int, int] = (0, 0)
    """The last of each dispenser."""

    def piece(self, step: Step) -> Piece:
        """A step as work for the writer's thread."""
        self.wall_ms += 1_000
        self.boot_ms += 1_000
        if step.what in BODIES:
            return self._event(step)
        now = Now(self.wall_ms, self.boot_ms, self.known)
        when, name, customer = stamp(now, 1, 0, sure=True), DISPENSERS[step.dispenser], CUSTOMERS[step.which % 2]
        match step.what:
            case "claim":
                asked = Asked(name, 7, step.session, customer, when)
                return lambda tx: claims.enter(tx, asked, self.door, 1)
            case "none" | "profile" as consent:
                said = ConsentChanged(store="plaza", region="south", channel="kiosk", consent=consent)
                return lambda tx: consents.set_here(tx, customer, when, said)
            case "void":
                return lambda tx: voids.void(tx, 1 + 4 * step.which + step.session, "test", when, 1)
            case "idle":
                return lambda tx: sessions.end_idle(tx, now.boot_ms + sessions.IDLE_MS - step.which * 1_000)
            case "leap" | "unset":
                self.wall_ms, self.known = self.wall_ms + LEAPS_MS[step.which], step.what == "leap"
                return lambda _tx: None
            case "settle":
                return lambda tx: (settle(tx, 1, now), redate(tx, 1, 0, now.wall_ms - now.boot_ms))
            case "hang":
                best_before = date(2030, 1, 1)
                bottle = Bottle(name, step.which, SAUCES[step.which], "L1", best_before, 500, "ann", now.wall_ms)
                return lambda tx: lots._hang(tx, bottle)
            case _:
                return lambda tx: self._replay(tx, 1 + 4 * step.which + step.session, now)

    def _replay(self, tx: Transaction, position: int, now: Now) -> None:
        with suppress(PicanteError):
            replay.replay(tx, self.door, position, BODIES["pour"](0), "ann", now.wall_ms)

    def _event(self, step: Step) -> Piece:
        counts = [*self.sequences]
        counts[step.dispenser] += 1
        self.sequences = (counts[0], counts[1])
        body = BODIES[step.what](step.which)
        message = EventMessage(
            generation=7,
            sequence=counts[step.dispenser],
            boot=3,
            uptime_ms=self.boot_ms,
            sent_uptime_ms=self.boot_ms,
            session=step.session,
            kind=body.number,
            body=body_map(body),
        )
        fields = {name: getattr(message, name) for name in message.__struct_fields__[:-1]}
        message, now = EventMessage(**fields, raw=encode_body(message)), Now(self.wall_ms, self.boot_ms, self.known)
        hello = _hello(DISPENSERS[step.dispenser])
        return lambda tx: self.ingest._store_event(tx, message, hello, now)


def _hello(name: str) -> Hello:
    return Hello(
        dispenser=name, firmware="1", versions=(1,), nozzles=(), generation=7, lowest=1, next=2**40, nonce=bytes(8),
        boot=3, uptime_ms=0,
    )  # fmt: skip


class Rows:
    """A database in memory, as a store has it."""

    def __init__(self, empty: sqlite3.Connection) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        empty.backup(self.connection)
        self.sequences = Sequences.load(self.connection)
        self.commit([lambda tx: register_boot(tx, "boot-a", 0)])

    def commit(self, pieces: Sequence[Piece]) -> None:
        """Do the work in one transaction, as `Store` does."""
        tx = Transaction(self.connection, self.sequences, "gw-1")
        self.connection.execute("BEGIN")
        for piece in pieces:
            piece(tx)
        tx.finish()
        self.connection.execute("COMMIT")
        tx.committed()

    def all(self) -> Tables:
        """Each row of each table."""
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return {
            name: sorted(self.connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)  # noqa: S608 -- ours
            for (name,) in self.connection.execute(tables).fetchall()
        }


@pytest.fixture(scope="module")
def empty() -> Iterator[sqlite3.Connection]:
    """A new gateway's database."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        database.begin(Path(":memory:"), connection)
        yield connection


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """So little is kept that it overflows within a few steps."""
    with (
        patch.object(pours, "KEPT_ROWS", 3),
        patch.object(doses, "LATEST", 3),
        patch.object(site_pours, "HALVED_AT", 4),
    ):
        yield


@pytest.fixture(scope="module")
def ingest() -> Ingest:
    """The way in, of which no store is needed."""
    door = Door(default_catalog(), default_words(), "plaza", "south")

    async def made() -> Ingest:
        return Ingest(cast("Store", None), Clock(), door, 1, lambda _stored, _id: None)

    return asyncio.run(made())


def left(empty: sqlite3.Connection, ingest: Ingest, commits: Sequence[Sequence[Step]]) -> Tables:
    """The rows that are left after these commits."""
    hands, rows = Hands(ingest, ingest.door), Rows(empty)
    with closing(rows.connection):
        for steps in commits:
            rows.commit([hands.piece(step) for step in steps])
        return rows.all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=25), max_size=3))
@example([[Step("pour"), Step("claim"), Step("none"), Step("pour")]])
@example([[Step("pour"), Step("idle"), Step("pour")]])
@example([[Step("hang"), Step("pour"), Step("hang"), Step("pour")]])
@example([[Step("pour", which=which) for which in (0, 0, 1, 1, 0, 0, 1, 1)]])
@example([[Step("pour"), Step("leap", which=2), Step("pour", which=1), Step("leap", which=3), Step("pour")]])
@example([[Step("unset"), Step("pour"), Step("settle")]])
def test_together_or_one_by_one(empty: sqlite3.Connection, ingest: Ingest, commits: list[list[Step]]) -> None:
    one_by_one = [[step] for steps in commits for step in steps]
    assert left(empty, ingest, commits) == left(empty, ingest, one_by_one)


def test_a_commit_writes_each_row_once(empty: sqlite3.Connection, ingest: Ingest) -> None:
    rows, hands = Rows(empty), Hands(ingest, ingest.door)
    pieces = [hands.piece(Step(*step)) for step in (("pour", 0, 1, 1), ("more", 0, 1, 1), ("pour", 0, 1, 2))] * 5
    written: list[str] = []
    with closing(rows.connection):
        rows.connection.set_trace_callback(written.append)
        rows.commit(pieces)
        rows.connection.set_trace_callback(None)
        kept = rows.all()
    words = (line.replace("OR REPLACE ", "").replace("UPDATE ", "UPDATE INTO ").split() for line in written)
    writes = Counter(line[2] for line in words if line[0] in {"INSERT", "UPDATE"})
    for table in ("buckets", "flavours", "pours", "latest", "site_pours", "ledger", "sequences"):
        assert 1 <= writes[table] <= len(kept[table]), table
    assert writes["sessions"] == 2, "as it begins, and its last dose"
