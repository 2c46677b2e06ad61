"""A kiosk's visits: whose they are, what is pressed in them, and that nothing is left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cloud_sync.envelope import Received, decode, encode, fault
from cloud_sync.outbox import StoredEvent
from firmware_bridge.bodies import PouredBody, RatedBody, RefilledBody
from firmware_bridge.messages import Ask
from gateway import consents, visits, voids
from gateway.clock import Clock
from gateway.dating import stamp
from gateway.ingest import Ingest
from gateway.kiosk import PRESSES_A_MINUTE, Kiosk, NotNow, TooOften
from gateway.packed import unpack
from gateway.picks import Recommender
from gateway.store import Store
from gateway.transaction import read_profile
from gateway.visits import Visit
from heat.errors import StoreFull
from heat.events import ConsentChanged, Verdict
from heat.identity import EventId, pseudonym, session_subject
from tests import reference
from tests.gateway.conftest import KEY, Counter, HandClock, Screen, ask
from tests.waiting import wait_until_async

Query = Callable[[str], list[tuple[Any, ...]]]
TOKEN = "loyalty-4711-jane"
CARD = pseudonym(TOKEN, KEY, 1)
POUR = PouredBody(nozzle=5, sauce="chipotle-honey", volume_ul=4_000, duration_ms=900)
HOTTER = PouredBody(nozzle=9, sauce="serrano-verde", volume_ul=4_000, duration_ms=900)


class At:
    """A dispenser with a kiosk."""

    def __init__(self, kiosk: Kiosk, counter: Counter, recommender: Recommender) -> None:
        self.kiosk = kiosk
        self.counter = counter
        self.screen = Screen()
        self._recommender = recommender
        self._settled = 0

    @property
    def visit(self) -> Visit:
        """Who stands there."""
        visit = self.kiosk.at("hot-bar-1")
        assert visit is not None
        return visit

    def ask(self, asked: Ask) -> None:
        """Somebody asks for picks."""
        self._recommender.answer(self.screen, self.counter.hello, asked, 0)  # type: ignore[arg-type]

    async def do(self, body: PouredBody | RatedBody | RefilledBody, **more: Any) -> None:
        """Something happens at the machine, and is on disk."""
        self.counter.send(body, **more)
        self._settled += 1
        await self.counter.settled(self._settled)


@pytest.fixture
def make_kiosk(
    store: Store, clock: Clock, boot: int, ingest: Ingest, recommender: Recommender
) -> Iterator[Callable[[], Kiosk]]:
    """What makes one, as a start of the daemon does."""
    reader = store.reader()
    yield lambda: Kiosk(store, clock, boot, ingest, recommender, reader, lambda: None)
    reader.close()


@pytest.fixture
def at(make_kiosk: Callable[[], Kiosk], counter: Counter, recommender: Recommender) -> At:
    """The counter's dispenser."""
    return At(make_kiosk(), counter, recommender)


def rated(rows: Query) -> list[tuple[str | None, dict[str, Any]]]:
    """Subject and data of the gateway's own ratings."""
    sql = "SELECT subject, data FROM events WHERE type = 'picante.rated.v1' AND source = 'gw-1'"
    return [(subject, msgspec.json.decode(unpack(data))) for subject, data in rows(sql)]


# -- who stands there -----------------------------------------------------------------------------------------------


async def test_it_shows_the_slate_of_the_dispensers_own_screen(at: At, rows: Query) -> None:
    assert at.kiosk.at("hot-bar-1") is None
    with at.kiosk.visits.watching("hot-bar-1") as changed:
        at.ask(ask(1, dial=40))
        assert changed.is_set(), "whoever watches hears of it before anything is stored"
    assert at.visit.picks == at.screen.shown[0].picks
    assert at.visit.standing == "anonymous"
    at.ask(ask(1, dial=40))  # repeated, since its answer was lost
    sql = "SELECT 1 FROM events WHERE type = 'picante.impression.v1'"
    await wait_until_async(lambda: rows(sql), 5, "the impression")
    await at.do(POUR)
    assert len(rows(sql)) == 1, "no second impression"


async def test_the_next_customer_takes_the_place_of_the_last(at: At) -> None:
    at.ask(ask(1, token=TOKEN))
    first = at.visit
    assert (first.card, first.standing) == (CARD, "known")
    at.ask(ask(2, session=2))
    assert at.visit.key != first.key
    with at.kiosk.visits.watching("hot-bar-1") as changed:
        at.kiosk.visits.stay(first)
        assert not changed.is_set(), "a late touch is the last customer's"
    assert (at.visit.card, at.visit.dose) == (None, None)
    await at.do(POUR, session=1)  # it waited in the ring
    assert at.visit.session == 2
    assert at.visit.dose is None


async def test_whoever_showed_a_card_is_known_when_they_ask_again(at: At) -> None:
    at.ask(ask(1, token=TOKEN))
    await at.do(POUR)
    at.kiosk.visits.leave("hot-bar-1")
    at.ask(ask(2))
    assert (at.visit.card, at.visit.standing) == (CARD, "known")


async def test_who_pours_without_asking_is_there_too(at: At) -> None:
    await at.do(RefilledBody(nozzle=1, sauce="table-red", volume_ul=700_000), session=0)
    assert at.kiosk.at("hot-bar-1") is None, "the staff is no customer"
    await at.do(POUR)
    assert at.visit.picks is None
    assert at.visit.dose is not None
    assert at.visit.dose.sauce == "chipotle-honey"


async def test_what_waited_in_a_ring_is_nobody_who_stands_there(at: At, hand_clock: HandClock) -> None:
    hand_clock.go_on(1_000)
    await at.do(POUR, age_ms=31_000)
    await at.do(POUR, boot=at.counter.boot + 1)
    assert at.kiosk.at("hot-bar-1") is None
    await at.do(POUR, age_ms=29_000)
    assert at.visit.dose is not None


async def test_after_30_s_of_nothing_nobody_is_there(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visits.IDLE_S == 30
    monkeypatch.setattr(visits, "IDLE_S", 1.0)
    at.ask(ask(1, token=TOKEN))
    key = at.visit.key
    await asyncio.sleep(0.1)
    at.kiosk.visits.stay(at.visit)
    touched_s = asyncio.get_running_loop().time()
    with at.kiosk.visits.watching("hot-bar-1") as changed:
        await asyncio.wait_for(changed.wait(), 20)
    assert asyncio.get_running_loop().time() - touched_s > 0.95, "a touch keeps it"
    assert at.kiosk.at("hot-bar-1") is None
    with pytest.raises(NotNow, match="over"):
        at.kiosk.pressed("hot-bar-1", key)


def in_memory() -> list[Visit]:
    """Each visit that this process has: of other tests' shops, too, which may stand open."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Visit)]


async def test_nothing_of_a_customer_stays_in_memory(at: At) -> None:
    others = in_memory()
    at.ask(ask(1, token=TOKEN))
    await at.do(POUR)
    await at.kiosk.rate(at.visit, "more")
    assert [each for each in in_memory() if all(each is not other for other in others)], "it is looked for rightly"
    at.kiosk.visits.leave("hot-bar-1")
    assert [each for each in in_memory() if all(each is not other for other in others)] == []


async def test_a_pseudonym_is_in_no_repr(at: At) -> None:
    at.ask(ask(1, token=TOKEN))
    assert CARD not in repr(at.visit)


# -- rating ---------------------------------------------------------------------------------------------------------


async def test_a_rating_is_an_event_of_the_gateways_own_once_a_pour(at: At, rows: Query) -> None:
    at.ask(ask(1))
    picked = at.screen.shown[0]
    await at.do(msgspec.structs.replace(POUR, pick_id=picked.pick_id))
    believed = at.visit.belief
    await asyncio.gather(*(at.kiosk.rate(at.visit, "more") for _ in range(3)))
    [(subject, data)] = rated(rows)
    assert subject == session_subject("hot-bar-1", 7, 1)
    assert (data["channel"], data["consent"], data["verdict"]) == ("kiosk", "session", "more")
    assert (data["sauce"], data["pick_id"]) == ("chipotle-honey", picked.pick_id)
    with pytest.raises(NotNow, match="rated already"):
        await at.kiosk.rate(at.visit, "too_hot")
    assert at.visit.belief != believed, "what was said is believed at once"
    await at.do(POUR)
    await at.kiosk.rate(at.visit, "too_hot")
    assert len(rated(rows)) == 2, "the next pour is another one"


async def test_it_weighs_what_the_same_press_at_the_dispenser_weighs(
    at: At, rows: Query, hand_clock: HandClock, store: Store
) -> None:
    """Right after another dose a verdict weighs less."""
    hello = msgspec.structs.replace(at.counter.hello, uptime_ms=at.counter.uptime_ms)
    at.counter.ingest.note_hello(hello, "/dev/ttyUSB0", None, lambda: None)
    await at.do(POUR)
    await at.kiosk.rate(at.visit, "just_right")
    hand_clock.go_on(60_000)
    at.counter.uptime_ms += 60_000
    await at.do(HOTTER)
    await at.kiosk.rate(at.visit, "just_right")
    await at.do(RatedBody(sauce="serrano-verde", verdict="just_right"))
    sql = "SELECT data FROM events WHERE type = 'picante.rated.v1' AND source = 'hot-bar-1'"
    [[pressed]] = rows(sql)
    first, second = (data["w"] for _, data in rated(rows))
    assert second == msgspec.json.decode(unpack(pressed))["w"] < first


async def test_a_rating_is_of_the_pour_that_was_asked_after(at: At, rows: Query) -> None:
    await at.do(POUR)
    first = at.visit.dose
    assert first is not None
    await at.do(HOTTER)
    with pytest.raises(NotNow, match="something else"):
        await at.kiosk.rate(at.visit, "too_hot", first.position)
    assert rated(rows) == []
    assert at.visit.dose is not None
    await at.kiosk.rate(at.visit, "too_hot", at.visit.dose.position)
    assert [data["sauce"] for _, data in rated(rows)] == ["serrano-verde"]


async def test_a_pour_that_comes_while_the_last_is_rated_is_asked_after(at: At) -> None:
    await at.do(POUR)
    rate = at.kiosk._rate

    async def slowly(visit: Visit, dose: visits.Dose, verdict: Verdict) -> None:
        await rate(visit, dose, verdict)
        await at.do(HOTTER)

    at.kiosk._rate = slowly  # type: ignore[method-assign]
    await at.kiosk.rate(at.visit, "more")
    assert at.visit.dose is not None
    assert (at.visit.dose.sauce, at.visit.dose.verdict) == ("serrano-verde", None)


async def test_a_rating_of_another_sauce_is_none_of_the_last_pour(at: At) -> None:
    await at.do(POUR)
    await at.do(RatedBody(sauce="serrano-verde", verdict="more"))
    assert at.visit.dose is not None
    assert at.visit.dose.verdict is None


async def test_nothing_to_rate(at: At) -> None:
    at.ask(ask(1))
    with pytest.raises(NotNow, match="nothing was poured"):
        await at.kiosk.rate(at.visit, "more")


async def test_a_pour_that_was_taken_back_is_asked_after_no_more(
    at: At, make_kiosk: Callable[[], Kiosk], store: Store, clock: Clock, boot: int
) -> None:
    await at.do(POUR)
    visit = at.visit
    assert visit.dose is not None
    position, when = visit.dose.position, stamp(clock.now(), boot, 0, sure=True)
    assert isinstance(store.write(lambda tx: voids.void(tx, position, "leak", when, boot)).result(20), voids.Voided)
    at.kiosk.visits.taken_back(position - 1)
    assert visit.dose is not None, "another one"
    with at.kiosk.visits.watching("hot-bar-1") as changed:
        at.kiosk.visits.taken_back(position)
        assert changed.is_set(), "the screen is drawn anew"
    with pytest.raises(NotNow, match="nothing was poured"):
        await at.kiosk.rate(visit, "more")
    again = make_kiosk().at("hot-bar-1")
    assert again is not None
    assert again.dose is None, "nor after a restart"


async def test_what_was_said_at_the_dispenser_is_not_asked_again(at: At, rows: Query) -> None:
    await at.do(POUR)
    await at.do(RatedBody(sauce="chipotle-honey", verdict="too_hot"))
    assert at.visit.dose is not None
    assert at.visit.dose.verdict == "too_hot"
    await at.kiosk.rate(at.visit, "too_hot")
    assert rated(rows) == []


async def test_a_rating_that_is_not_on_disk_can_be_pressed_again(at: At, rows: Query) -> None:
    await at.do(POUR)
    write, at.kiosk._store.write = at.kiosk._store.write, _full  # type: ignore[method-assign]
    with pytest.raises(StoreFull):
        await at.kiosk.rate(at.visit, "more")
    at.kiosk._store.write = write  # type: ignore[method-assign]
    await at.kiosk.rate(at.visit, "more")
    assert len(rated(rows)) == 1


def _full(*_: Any, **__: Any) -> Any:
    raise StoreFull("the disk is full", hint="Make room")


async def test_edge_and_cloud_agree_on_what_was_said_at_a_kiosk(at: At, rows: Query, store: Store) -> None:
    at.ask(ask(1, token=TOKEN))
    await at.do(POUR)
    await at.kiosk.rate(at.visit, "too_hot")
    sql = "SELECT position, source, generation, sequence, type, subject, time_ms, day, clock, data FROM events"
    events = []
    for position, source, generation, sequence, type_, subject, time_ms, day, clock, data in rows(sql):
        row = StoredEvent(
            position=position,
            id=EventId(source, generation, sequence),
            type=type_,
            subject=subject,
            time_ms=time_ms,
            day=day,
            clock=clock,
            data=unpack(data),
            origin="gw-1",
            redelivered=False,
        )
        assert fault(row) is None
        received = decode(encode(row).value or b"")
        assert isinstance(received, Received)
        events.append(
            {
                "subject": received.subject,
                "origin": received.origin,
                "day": received.day,
                "type": type_,
                "data": msgspec.json.decode(row.data),
            }
        )
    profile = store.write(lambda tx: read_profile(tx.connection, CARD)).result(20)
    assert any(key.kind == "too_hot" for key in profile.buckets)
    assert profile.digest() == reference.profiles(events)[CARD]["digest"]


# -- being forgotten ------------------------------------------------------------------------------------------------


def wish(store: Store) -> str:
    """What the customer of the card said."""
    return store.write(lambda tx: consents.wish(tx.connection, CARD)).result(20)


def sums(store: Store, subject: str) -> bool:
    """Whether anything is known of a subject."""
    return bool(store.write(lambda tx: read_profile(tx.connection, subject)).result(20).buckets)


async def test_forget_a_card_and_remember_it(at: At, rows: Query, store: Store, recommender: Recommender) -> None:
    at.ask(ask(1, token=TOKEN))
    await at.do(POUR)
    assert sums(store, CARD)
    await at.kiosk.forget(at.visit)
    assert wish(store) == "none"
    assert not sums(store, CARD)
    assert (at.visit.standing, at.visit.belief) == ("forgotten", None)
    assert {pick.why for pick in at.visit.picks or ()} == {""}, "why they were picked is what was known"
    assert all(shown.subject is None for shown in recommender.recent)
    await at.kiosk.rate(at.visit, "more")
    await at.do(HOTTER)
    assert not sums(store, CARD)
    assert rated(rows)[-1][0] is None, "nobody said it"
    at.ask(ask(2, token=TOKEN))
    assert at.visit.standing == "forgotten"
    await at.kiosk.remember(at.visit)
    assert (wish(store), at.visit.standing) == ("profile", "known")
    await at.do(POUR)
    assert sums(store, CARD)
    told = rows(f"SELECT data FROM events WHERE type = '{ConsentChanged.type}' ORDER BY position")  # noqa: S608
    heard = [msgspec.json.decode(unpack(data)) for (data,) in told]
    assert [(each["consent"], each["channel"]) for each in heard] == [("none", "kiosk"), ("profile", "kiosk")]


async def test_forget_a_visit_without_a_card(at: At, store: Store) -> None:
    at.ask(ask(1))
    await at.do(POUR)
    session = session_subject("hot-bar-1", 7, 1)
    assert sums(store, session)
    await at.kiosk.forget(at.visit)
    await at.do(HOTTER)
    await at.kiosk.rate(at.visit, "more")
    assert not sums(store, session)
    with pytest.raises(NotNow, match="no card"):
        await at.kiosk.remember(at.visit)


async def test_who_is_remembered_again_sees_their_own_heat_again(at: At) -> None:
    at.ask(ask(1, token=TOKEN))
    await at.kiosk.forget(at.visit)
    assert at.visit.belief is None
    await at.kiosk.remember(at.visit)
    assert at.visit.belief is not None


async def test_who_opted_out_before_is_forgotten_from_the_start(at: At) -> None:
    at.ask(ask(1, token=TOKEN))
    await at.kiosk.forget(at.visit)
    at.ask(ask(2, session=2, token=TOKEN))
    assert (at.visit.session, at.visit.standing) == (2, "forgotten")


# -- bounds, and a restart ------------------------------------------------------------------------------------------


async def test_a_cat_on_the_glass(at: At, hand_clock: HandClock) -> None:
    await at.do(POUR)
    for _ in range(PRESSES_A_MINUTE):
        at.kiosk.pressed("hot-bar-1", at.visit.key)
    with pytest.raises(TooOften):
        at.kiosk.pressed("hot-bar-1", at.visit.key)
    hand_clock.go_on(60_000)
    at.kiosk.pressed("hot-bar-1", at.visit.key)


async def test_a_restart_keeps_who_stands_there(at: At, make_kiosk: Callable[[], Kiosk], rows: Query) -> None:
    at.ask(ask(1, token=TOKEN))
    sql = "SELECT 1 FROM events WHERE type = 'picante.impression.v1'"
    await wait_until_async(lambda: rows(sql), 5, "the impression")
    await at.do(POUR)
    before = at.visit
    again = make_kiosk().at("hot-bar-1")
    assert again is not None
    assert before.picks is not None
    assert again.picks is not None
    assert [(pick.nozzle, pick.name) for pick in again.picks] == [(pick.nozzle, pick.name) for pick in before.picks]
    assert (again.card, again.dose, again.belief) == (before.card, before.dose, before.belief)


async def test_a_restart_takes_nobody_for_somebody_else(at: At, make_kiosk: Callable[[], Kiosk], rows: Query) -> None:
    await at.do(POUR)
    at.ask(ask(1, session=2, token=TOKEN))
    sql = "SELECT 1 FROM events WHERE type = 'picante.impression.v1'"
    await wait_until_async(lambda: rows(sql), 5, "the impression")
    again = make_kiosk().at("hot-bar-1")
    assert again is not None
    assert (again.session, again.card, again.dose) == (2, CARD, None)


async def test_after_a_restart_a_pour_is_still_rated_once(
    at: At, make_kiosk: Callable[[], Kiosk], rows: Query, store: Store
) -> None:
    await at.do(POUR)
    await at.kiosk.rate(at.visit, "more")
    started = make_kiosk()
    again = started.at("hot-bar-1")
    assert again is not None
    assert again.dose is not None
    assert again.dose.verdict == "more"
    # and if only the store knew: an answer that was lost is pressed again
    again.dose = visits.Dose(again.dose.sauce, again.dose.position, None)
    await started.rate(again, "more")
    assert len(rated(rows)) == 1


async def test_a_restart_long_after_finds_nobody(
    at: At, make_kiosk: Callable[[], Kiosk], hand_clock: HandClock
) -> None:
    await at.do(POUR)
    hand_clock.go_on(30_000)
    assert make_kiosk().at("hot-bar-1") is None


async def test_who_was_forgotten_stays_so_over_a_restart(at: At, make_kiosk: Callable[[], Kiosk]) -> None:
    at.ask(ask(1, token=TOKEN))
    await at.do(POUR)
    await at.kiosk.forget(at.visit)
    again = make_kiosk().at("hot-bar-1")
    assert again is not None
    assert (again.standing, again.card, again.belief) == ("forgotten", None, None)
