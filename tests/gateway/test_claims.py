"""A session is claimed while the clock is being set: wherever its sums are by then, they get the days of its events."""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody
from gateway import housekeeping
from gateway.clock import DAY_MS, HOUR_MS, Clock
from gateway.dating import register_boot
from gateway.door import Door
from gateway.outbox import StoreOutbox
from gateway.packed import unpack
from gateway.picks import Recommender
from gateway.store import Store
from gateway.transaction import read_profile
from heat.identity import pseudonym
from tests.gateway.conftest import DAY, KEY, NOON_MS, Counter, HandClock, Screen, ask, recommend

Query = Callable[[str], list[tuple[Any, ...]]]

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
VISIT = ["pour", "pour", "token", "pour"]
STEP_MS = 10 * 60_000
"""ms from one act of a visit to the next."""
BEGIN_MS = NOON_MS - 12 * HOUR_MS - 15 * 60_000
"""True time of the first: midnight is after the second."""
RIGHT = {DAY - 1: 2, DAY: 1}, {DAY - 1: 2}, {DAY - 1: 2, DAY: 1}
"""What `Bar.evidence` must be once all is dated."""


@dataclass
class Bar:
    """A dispenser with a customer, the gateway's clock, and what keeps its house."""

    recommender: Recommender
    counter: Counter
    store: Store
    clock: Clock
    hand_clock: HandClock
    boot: int
    rows: Query

    def act(self, what: str) -> None:
        """What the customer does, and it is on disk; time goes on."""
        if what == "pour":
            self.counter.send(POUR)
        else:
            self.recommender.answer(Screen(), self.counter.hello, ask(1, token="token"), 0)  # type: ignore[arg-type]
        self.store.write(lambda _tx: None).result(20)
        self.counter.uptime_ms += STEP_MS
        self.hand_clock.go_on(STEP_MS)

    async def keep_house(self) -> None:
        """One round of it, as far as it gives days."""
        await housekeeping.date_anew(self.clock, self.store, StoreOutbox(self.store), self.boot, sending=False)
        reader = self.store.reader()
        work = housekeeping.due(reader, self.clock.now(), self.boot)
        reader.close()
        if work is not None:
            self.store.write(work).result(20)

    def evidence(self) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
        """How many pours are on which day: in the customer's profile, in the claim, by themselves."""
        customer = pseudonym("token", KEY, 1)
        profile = self.store.write(lambda tx: read_profile(tx.connection, customer)).result(20)
        folded = sum(sums.n for sums in profile.buckets.values())
        assert self.rows("SELECT subject, sauce, sum(n) FROM pours") == [(customer, "table-red", folded)]
        ((text,),) = self.rows("SELECT data FROM events WHERE type = 'picante.session-claimed.v1'")
        poured = Tally(day for (day,) in self.rows("SELECT day FROM events WHERE type = 'picante.poured.v1'"))
        claimed = {bucket[1]: bucket[3] for bucket in msgspec.json.decode(unpack(text))["buckets"]}
        return {key.day: sums.n for key, sums in profile.buckets.items()}, claimed, dict(poured)


@pytest.fixture
def clock(vouched: Clock) -> Clock:
    return vouched


@pytest.fixture
async def bar(  # noqa: PLR0913, PLR0917 -- its parts
    recommender: Recommender,
    counter: Counter,
    store: Store,
    clock: Clock,
    hand_clock: HandClock,
    boot: int,
    rows: Query,
) -> Bar:
    return Bar(recommender, counter, store, clock, hand_clock, boot, rows)


@pytest.mark.parametrize("known", range(len(VISIT) + 1))
async def test_time_that_becomes_known_in_a_visit_dates_all_of_it(bar: Bar, hand_clock: HandClock, known: int) -> None:
    """`known`: before which act it does. Nobody has kept the house by then."""
    begin_ms, hand_clock.wall_ms = hand_clock.boot_ms, 12_345_000  # 1970
    for number, act in enumerate([*VISIT, "end"]):
        if number == known:
            hand_clock.wall_ms = BEGIN_MS + hand_clock.boot_ms - begin_ms
        if act != "end":
            bar.act(act)
    ready = await StoreOutbox(bar.store).read(0, 10)
    assert len(ready) == (5 if known == 0 else 0), "nothing goes up before what waits for its day"
    await bar.keep_house()
    assert bar.evidence() == RIGHT
    assert dict(bar.rows("SELECT day, n FROM pours")) == RIGHT[0], "past pours go with them"
    assert bar.rows("SELECT max(day) FROM events WHERE position <= 2") == [(DAY - 1,)]
    assert bar.rows("SELECT min(day) FROM events WHERE position > 2") == [(DAY,)]


ACTS = range(len(VISIT) + 1)


@pytest.mark.parametrize(("step", "believed"), [(a, b) for a in ACTS for b in ACTS if a <= b])
async def test_a_clock_that_is_set_in_a_visit_dates_all_of_it(
    bar: Bar, hand_clock: HandClock, word: Path, step: int, believed: int
) -> None:
    """`step`: before which act it is set; `believed`: before which the network vouches for it."""
    hand_clock.wall_ms = BEGIN_MS - DAY_MS
    bar.clock.now()
    bar.clock.look()
    await bar.keep_house()  # notes the offset
    for number, act in enumerate([*VISIT, "end"]):
        if number == step:
            hand_clock.wall_ms += DAY_MS
            bar.clock.now()
        if number == believed:
            os.utime(word, ns=(0, 1))
        if act != "end":
            bar.act(act)
    for _ in range(2):  # where nobody has looked at the clock by then, the first round does so at its end
        await bar.keep_house()
    assert bar.evidence() == RIGHT
    (clock,) = bar.rows("SELECT clock FROM events WHERE type = 'picante.session-claimed.v1'")
    early = believed <= VISIT.index("token")
    assert clock == ("known" if early and step == believed else "estimated",)


@pytest.mark.parametrize("boots", [1, 2])
async def test_a_claim_whose_events_are_gone_gets_its_own_day(
    bar: Bar, hand_clock: HandClock, door: Door, boots: int
) -> None:
    hand_clock.wall_ms = 12_345_000
    bar.act("pour")
    bar.act("pour")
    if boots == 2:
        bar.boot = bar.store.write(lambda tx: register_boot(tx, "boot-b", hand_clock.boot_ms)).result(20).number
        bar.recommender.close()
        bar.recommender = recommend(bar.store, bar.clock, door, bar.boot)
    bar.act("token")
    bar.store.write(lambda tx: tx.connection.execute("DELETE FROM events WHERE position = 1")).result(20)
    hand_clock.wall_ms = NOON_MS
    await bar.keep_house()
    assert bar.evidence() == ({DAY: 2}, {DAY: 2}, {DAY: 1})
