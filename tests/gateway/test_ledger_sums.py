"""Whatever befalls a shop, at each step the ledger says what a list of all its events says, and its sums agree."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter as Counts
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_bridge.bodies import EventBody, PouredBody
from gateway import ledger, letters, replay, voids
from gateway.clock import DAY_MS, HOUR_MS, Clock, Now
from gateway.dating import redate, register_boot, settle, stamp
from gateway.door import Door
from gateway.housekeeping import _prune
from gateway.ingest import Ingest
from gateway.outbox import StoreOutbox
from gateway.store import Settings, Store, open_store
from gateway.transaction import Transaction
from gateway.web.records.ledger import LedgerRow, read_ledger
from gateway.web.web import Web
from heat.catalog import default_catalog
from heat.scale import default_words
from tests.gateway.conftest import NOON_MS, Counter
from tests.gateway.naive_ledger import Naive

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
KETCHUP = PouredBody(nozzle=1, sauce="ketchup", volume_ul=5000, duration_ms=900)
NAMES = ("hot-bar-1", "hot-bar-2")
BOOTED_MS = 3 * DAY_MS
"""Uptime at the start: events may be older than midnight."""

names = st.sampled_from(NAMES)
hours = st.integers(0, 40)


class Hand:
    """A clock that the trial sets."""

    def __init__(self) -> None:
        self.now_ = Now(NOON_MS, BOOTED_MS, known=True)

    def now(self) -> Now:
        return self.now_


class Shop(RuleBasedStateMachine):
    """Two dispensers, a gateway and a Kafka that is far away."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="picante-ledger-"))
        self.loop = asyncio.new_event_loop()
        self.door = Door(default_catalog(), default_words(), "plaza", "south")
        self.clock, self.naive, self.boots, self.handed = Hand(), Naive(), 0, 0
        self.units: dict[str, Counter] = {}
        self.sent: Counts[tuple[str, int]] = Counts()
        """The last sequence of each dispenser and generation."""
        self.kept: Naive | None = None
        self.open_gate: threading.Event | None = None
        self.open()
        self.begin_boot()

    # -- the shop's parts -------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.store: Store = open_store(Settings(self.place / "data", "gw-1", ballast_bytes=0))
        self.outbox = StoreOutbox(self.store)

    def begin_boot(self) -> None:
        self.boots += 1
        self.boot = self.write(lambda tx: register_boot(tx, f"boot-{self.boots}", BOOTED_MS)).number

        async def make() -> Ingest:
            return Ingest(self.store, cast("Clock", self.clock), self.door, self.boot, lambda _stored, _id: None)

        ingest = self.loop.run_until_complete(make())
        for name in NAMES:
            unit = self.units.get(name)
            if unit is None:
                self.units[name] = Counter(ingest, name, uptime_ms=BOOTED_MS)
            else:
                unit.ingest = ingest

    def write(self, work: Callable[[Transaction], Any]) -> Any:
        """Do it, in a transaction of its own unless others are held back."""
        future = self.store.write(work)
        return None if self.open_gate is not None else future.result(10)

    def lift(self) -> None:
        """Let go what was held back: one transaction."""
        if self.open_gate is not None:
            self.open_gate.set()
            self.open_gate = None
        self.store.write(lambda _tx: None).result(10)
        self.loop.run_until_complete(asyncio.sleep(0))

    # -- dispensers -------------------------------------------------------------------------------------------------

    def deliver(self, name: str, sequence: int, body: EventBody | None, hours_ago: int, kind: int | None) -> None:
        unit = self.units[name]
        unit.send(body, sequence=sequence, age_ms=hours_ago * HOUR_MS, kind=kind)

    @rule(name=names, body=st.sampled_from([POUR, POUR, KETCHUP, None]), hours_ago=hours, n=st.integers(1, 3))
    def comes(self, name: str, body: EventBody | None, hours_ago: int, n: int) -> None:
        for _ in range(n):
            unit = self.units[name]
            self.sent[name, unit.generation] += 1
            self.deliver(name, self.sent[name, unit.generation], body, hours_ago, 99 if body is None else None)

    @rule(name=names, back=st.integers(0, 5))
    def comes_twice(self, name: str, back: int) -> None:
        sequence = self.sent[name, self.units[name].generation] - back
        if sequence > 0:
            self.deliver(name, sequence, POUR, 0, None)

    @rule(name=names, ahead=st.integers(2, 5))
    def comes_too_early(self, name: str, ahead: int) -> None:
        self.deliver(name, self.sent[name, self.units[name].generation] + ahead, POUR, 0, None)

    @rule(name=names, n=st.integers(1, 4))
    def ring_is_full(self, name: str, n: int) -> None:
        unit = self.units[name]
        first = self.sent[name, unit.generation] + 1
        self.sent[name, unit.generation] += n
        unit.ingest.note_hello(unit.hello, "port", (max(first - 2, 1), first + n - 1), lambda: None)

    @rule(name=names)
    def memory_begins_anew(self, name: str) -> None:
        self.units[name].generation += 1

    # -- time -------------------------------------------------------------------------------------------------------

    @rule(n=hours)
    def time_passes(self, n: int) -> None:
        now = self.clock.now_
        self.clock.now_ = Now(now.wall_ms + n * HOUR_MS, now.boot_ms + n * HOUR_MS, now.known)
        for unit in self.units.values():
            unit.uptime_ms += n * HOUR_MS

    @rule(n=st.integers(-30, 30), mended=st.booleans())
    def clock_is_set(self, n: int, mended: bool) -> None:
        now = self.clock.now_
        self.clock.now_ = Now(now.wall_ms + n * HOUR_MS, now.boot_ms, now.known)
        if mended:
            self.days_are_mended()

    @rule(known=st.booleans())
    def gateway_boots(self, known: bool) -> None:
        self.lift()
        self.clock.now_ = Now(self.clock.now_.wall_ms + HOUR_MS, BOOTED_MS, known)
        self.begin_boot()

    @rule()
    def days_are_known(self) -> None:
        now = self.clock.now_ = Now(self.clock.now_.wall_ms, self.clock.now_.boot_ms, known=True)
        self.write(lambda tx: settle(tx, self.boot, now))

    def days_are_mended(self) -> None:
        now = self.clock.now_

        def work(tx: Transaction) -> None:
            after: int | None = self.handed
            while after is not None:
                after = redate(tx, self.boot, after, now.wall_ms - now.boot_ms)

        if now.known:
            self.write(work)

    # -- Kafka, housekeeping and technicians ------------------------------------------------------------------------

    @rule()
    def is_held_back(self) -> None:
        """What follows is one transaction."""
        self.lift()
        self.open_gate = gate = threading.Event()
        self.store.submit(lambda _tx: gate.wait(10), lambda _result, _error: None)

    @rule(limit=st.integers(1, 5), confirmed=st.booleans())
    def goes_up(self, limit: int, confirmed: bool) -> None:
        self.lift()
        rows = self.loop.run_until_complete(self.outbox.read(self.naive.confirmed, limit))
        self.handed = max([self.handed, *(row.position for row in rows)])
        if rows and confirmed:
            self.loop.run_until_complete(self.outbox.confirm(rows[-1].position))

    @rule(back=st.integers(0, 9))
    def kafka_has_forgotten(self, back: int) -> None:
        self.lift()
        self.loop.run_until_complete(self.outbox.begin_epoch(max(self.naive.confirmed - back, 0), 0))

    @rule(keep=st.integers(1, 4))
    def is_pruned(self, keep: int) -> None:
        self.write(lambda tx: _prune(tx, keep, 10))

    @rule(mended=st.sampled_from([POUR, POUR, None]), newest=st.booleans())
    def letter_is_replayed(self, mended: EventBody | None, newest: bool) -> None:
        self.lift()
        with closing(self.store.reader()) as reader:
            found = letters.listed(reader, "open", 100)
        if found:
            position = found[0 if newest else -1].position
            with suppress(replay.RefusedAgain):
                self.write(lambda tx: replay.replay(tx, self.door, position, mended, "maria", NOON_MS))
                self.naive.replayed.add(position)

    @rule()
    def pour_is_taken_back(self) -> None:
        self.lift()
        when = stamp(self.clock.now_, self.boot, 0, sure=True)
        position = max(self.naive.here, default=0)
        self.write(lambda tx: voids.void(tx, position, "leak", when, self.boot))

    # -- backups ----------------------------------------------------------------------------------------------------

    @rule()
    def is_backed_up(self) -> None:
        self.lift()
        self.same_as_naive()
        self.kept = self.naive.as_of_now()
        with closing(self.store.reader()) as reader, closing(sqlite3.connect(self.place / "backup")) as to:
            reader.backup(to)

    @precondition(lambda self: self.kept is not None)
    @rule()
    def is_put_back(self) -> None:
        self.lift()
        self.store.close()
        for old in (self.place / "data").glob("gateway.db*"):
            old.unlink()
        shutil.copy(self.place / "backup", self.place / "data" / "gateway.db")
        assert self.kept is not None
        self.naive, self.handed = self.kept.as_of_now(), 0
        self.open()
        self.begin_boot()
        for name, unit in self.units.items():  # what was acknowledged since is not in their memory any more
            durable, sent = self.store.sequences.durable(name, unit.generation), self.sent[name, unit.generation]
            if sent > durable:
                unit.ingest.note_hello(unit.hello, "port", (durable + 1, sent), lambda: None)

    # -- what holds -------------------------------------------------------------------------------------------------

    @invariant()
    def same_as_naive(self) -> None:
        if self.open_gate is not None:
            return
        self.lift()
        with closing(self.store.reader()) as reader:
            self.naive.look(reader)
            entries = [entry for day in ledger.days(reader, 10_000) for entry in ledger.of_day(reader, day)]
            gaps = list(ledger.gaps(reader))
        assert {
            (e.source, e.generation, e.day): (
                *(e.first, e.last, e.stored, e.refused, e.replayed, e.lost, e.sent, e.sent_letters),
            )
            for e in entries
        } == self.naive.entries()
        assert [(g.dispenser, g.generation, g.day, g.first, g.last) for g in gaps] == self.naive.gaps()
        assert sum(e.generated for e in entries) == sum(
            len(days[day]) for days in self.naive.sequences().values() for day in days
        )

    def rows(self, source: str) -> list[LedgerRow]:
        """As they are told."""
        config = SimpleNamespace(gateway=SimpleNamespace(id="gw-1"))
        web = cast("Web", SimpleNamespace(state=SimpleNamespace(store=self.store, config=config)))
        return self.loop.run_until_complete(read_ledger(web, None, source)).rows

    def teardown(self) -> None:
        self.lift()
        self.same_as_naive()
        for source in ("gw-1", *NAMES):
            for row in self.rows(source):
                off = row.generated - (row.stored + row.refused - row.replayed + row.lost)
                assert row.stored == row.pending + row.in_kafka
                assert ("dated_elsewhere" in row.flaws) == (off != 0)
                assert set(row.flaws) <= {"dated_elsewhere"}, row
                assert off == 0 or not self.naive.in_order(source, row.day), row
        self.store.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.place)


TestShop = Shop.TestCase
TestShop.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
