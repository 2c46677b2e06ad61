"""Past pours in the store: noted with the pour, handed over with the session, bounded, read for the next pick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from firmware_bridge.bodies import PouredBody, StatedBody
from firmware_bridge.messages import NozzleInfo
from gateway import arrivals, customers, pours, sessions
from gateway.clock import DAY_MS, Clock
from gateway.dating import settle
from gateway.ingest import Ingest
from gateway.picks import Recommender
from gateway.store import Store
from heat.events import Impression, SaucePours
from heat.identity import pseudonym, session_subject
from tests.gateway.conftest import DAY, KEY, NOON_MS, Counter, HandClock, Screen, ask
from tests.gateway.test_picks import impressions
from tests.waiting import wait_until_async

Query = Callable[[str], list[tuple[Any, ...]]]
SESSION = session_subject("hot-bar-1", 7, 1)
ALL = "SELECT subject, sauce, day, n FROM pours ORDER BY subject, sauce, day"


def pour(sauce: str) -> PouredBody:
    return PouredBody(nozzle=1, sauce=sauce, volume_ul=4000, duration_ms=800)


async def test_a_session_s_pours_go_with_its_claim(recommender: Recommender, counter: Counter, rows: Query) -> None:
    for sauce in ("table-red", "garlic-ghost", "table-red"):
        counter.send(pour(sauce))
    await counter.settled(3)
    assert rows(ALL) == [(SESSION, "garlic-ghost", DAY, 1), (SESSION, "table-red", DAY, 2)]
    recommender.answer(Screen(), counter.hello, ask(1, token="token"), 0)  # type: ignore[arg-type]
    (shown,) = (msgspec.convert(data, Impression) for data in await impressions(rows, 1))
    assert shown.known is not None
    assert set(shown.known.pours) == {SaucePours("garlic-ghost", 1.0), SaucePours("table-red", 2.0)}
    counter.send(pour("table-red"))
    await counter.settled(4)
    customer = pseudonym("token", KEY, 1)
    assert rows(ALL) == [(customer, "garlic-ghost", DAY, 1), (customer, "table-red", DAY, 3)]


async def test_what_nobody_claimed_ends_with_the_session(counter: Counter, rows: Query) -> None:
    counter.send(pour("table-red"))
    counter.send(StatedBody(dial=70))
    await counter.settled(2)
    assert rows("SELECT count(*) FROM stated") == [(1,)]
    counter.send(pour("lime-jalapeno"), session=2)
    await counter.settled(3)
    assert [(sauce, n) for _, sauce, _, n in rows(ALL)] == [("lime-jalapeno", 1)]
    assert rows("SELECT count(*) FROM stated") == [(0,)]


async def test_what_a_session_stated_last_counts(counter: Counter, store: Store) -> None:
    for body in (StatedBody(shu=50_000), StatedBody(shu=984)):
        counter.send(body)
    await counter.settled(2)
    reader = store.reader()
    assert customers.stated_mo(reader, SESSION) == 5966
    assert customers.stated_mo(reader, None) is None
    reader.close()


def test_old_pours_and_too_many_are_forgotten(store: Store, rows: Query) -> None:
    def work(tx: Any) -> None:
        for day in range(1000, 1000 + pours.KEPT_ROWS + 50):
            pours.note(tx, "s", "table-red", day)

    store.write(work).result(20)
    assert rows("SELECT count(*), min(day) FROM pours") == [(pours.KEPT_ROWS, 1050)]
    store.write(lambda tx: pours.note(tx, "s", "table-red", 1100 + pours.KEPT_DAYS)).result(20)
    assert rows("SELECT min(day) FROM pours") == [(1101,)]


def test_a_forgotten_subject_has_no_pours(store: Store, rows: Query) -> None:
    store.write(lambda tx: pours.note(tx, "s", "table-red", 1)).result(20)
    store.write(lambda tx: tx.forget("s")).result(20)
    assert rows(ALL) == []


def test_a_pour_that_waits_gets_its_day_with_its_claim(store: Store, rows: Query) -> None:
    def work(tx: Any) -> None:
        for sauce, day in (("a", -2), ("a", -2), ("b", -2), ("c", 40)):
            pours.note(tx, "s", sauce, day)
        pours.follow(tx, "s", [("a", 41), ("a", 42)], [-2], 43)

    store.write(work).result(20)
    assert rows(ALL) == [("s", "a", 41, 1), ("s", "a", 42, 1), ("s", "b", 43, 1), ("s", "c", 40, 1)]


async def test_a_pour_at_an_unknown_time_gets_its_day(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, rows: Query, boot: int
) -> None:
    hand_clock.wall_ms = 12_345_000  # 1970
    counter.send(pour("table-red"))
    await counter.settled(1)
    assert rows(ALL) == [(SESSION, "table-red", -boot, 1)]
    hand_clock.wall_ms = NOON_MS
    store.write(lambda tx: settle(tx, boot, clock.now())).result(20)
    assert rows(ALL) == [(SESSION, "table-red", DAY, 1)]


async def test_a_sauce_that_came_lately_is_new(  # noqa: PLR0913, PLR0917 -- its parts
    recommender: Recommender,
    ingest: Ingest,
    counter: Counter,
    store: Store,
    clock: Clock,
    hand_clock: HandClock,
    rows: Query,
) -> None:
    first, later = NozzleInfo(1, "table-red", 200), NozzleInfo(2, "garlic-ghost", 200)
    reader = store.reader()

    async def holds(*nozzles: NozzleInfo) -> frozenset[str]:
        hello = msgspec.structs.replace(counter.hello, nozzles=nozzles)
        ingest.note_hello(hello, "test", None, lambda: None)
        sauces = sorted(nozzle.sauce for nozzle in nozzles)
        seen = "SELECT sauce FROM arrivals ORDER BY sauce"
        await wait_until_async(lambda: [sauce for (sauce,) in rows(seen)] == sauces, 5, "the HELLO is noted")
        return arrivals.new_at(reader, "hot-bar-1", clock.now())

    assert await holds(first) == frozenset(), "what a dispenser came with is not new"
    assert await holds(first, later) == {"garlic-ghost"}
    screen = Screen()
    hello = msgspec.structs.replace(counter.hello, nozzles=(first, later))
    recommender.answer(screen, hello, ask(1, dial=90), 0)  # type: ignore[arg-type]
    assert recommender._answers["hot-bar-1"].slate.context.new == {"garlic-ghost"}, "so that its reason may say so"
    hand_clock.go_on(13 * DAY_MS)
    assert arrivals.new_at(reader, "hot-bar-1", clock.now()) == {"garlic-ghost"}
    hand_clock.go_on(2 * DAY_MS)
    assert arrivals.new_at(reader, "hot-bar-1", clock.now()) == frozenset()
    assert await holds(later) == frozenset()
    reader.close()


def test_a_session_that_ended_takes_its_wish_along(store: Store, rows: Query) -> None:
    def work(tx: Any) -> None:
        session = sessions.enter(tx, "hot-bar-1", 7, 1, 0)
        sessions.note_stated(tx, session, 5000)
        sessions.end_idle(tx, sessions.IDLE_MS + 1)

    store.write(work).result(20)
    assert rows("SELECT * FROM stated") == []
