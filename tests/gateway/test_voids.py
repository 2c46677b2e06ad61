"""A pour that no customer made is taken back: from whoever has it by then, once, and on the day that it has by then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, RatedBody
from gateway import consents, housekeeping, sessions, voids
from gateway.clock import DAY_MS, Clock
from gateway.dating import stamp
from gateway.outbox import StoreOutbox
from gateway.packed import unpack
from gateway.picks import Recommender
from gateway.store import Store
from gateway.transaction import Transaction, read_profile
from gateway.voids import Refused, Voided
from heat.events import ConsentChanged, PourVoided, decode_data
from heat.identity import keyed_event_id, pseudonym
from heat.profile import Profile, contribution
from tests.gateway.conftest import DAY, KEY, NOON_MS, Counter, HandClock, Screen, ask

Rows = Callable[[str], list[tuple[Any, ...]]]
POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
GREEN = PouredBody(nozzle=0, sauce="garden-green", volume_ul=4000, duration_ms=700)
ANNA = pseudonym("token", KEY, 1)
SESSION = "s-hot-bar-1-00000007-1"


class Bar:
    """A dispenser, and a technician who takes pours back."""

    def __init__(self, store: Store, clock: Clock, counter: Counter, recommender: Recommender, boot: int) -> None:
        self.store, self.clock, self.counter, self.recommender, self.boot = store, clock, counter, recommender, boot

    def pour(self, body: PouredBody = POUR, session: int = 1) -> int:
        """Its position."""
        self.counter.send(body, session=session)
        return self.store.write(
            lambda tx: int(tx.connection.execute("SELECT max(position) FROM events").fetchone()[0])
        ).result(20)

    def claim(self) -> None:
        """The session's customer shows a token."""
        self.recommender.answer(Screen(), self.counter.hello, ask(1, token="token"), 0)  # type: ignore[arg-type]
        self.store.write(lambda _tx: None).result(20)

    def void(self, position: int) -> Voided | Refused:
        when = stamp(self.clock.now(), self.boot, 0, sure=True)
        return self.store.write(lambda tx: voids.void(tx, position, "leak", when, self.boot)).result(20)

    def profile(self, subject: str) -> Profile:
        return self.store.write(lambda tx: read_profile(tx.connection, subject)).result(20)

    async def keep_house(self) -> None:
        """Days are given, as far as they are known."""
        await housekeeping.date_anew(self.clock, self.store, StoreOutbox(self.store), self.boot, sending=False)
        reader = self.store.reader()
        work = housekeeping.due(reader, self.clock.now(), self.boot)
        reader.close()
        if work is not None:
            self.store.write(work).result(20)


@pytest.fixture
def clock(vouched: Clock) -> Clock:
    return vouched


@pytest.fixture
async def bar(store: Store, clock: Clock, counter: Counter, recommender: Recommender, boot: int) -> Bar:
    return Bar(store, clock, counter, recommender, boot)


def _replayed(rows: Rows, subject: str) -> Profile:
    """What a reader of the log has of a subject."""
    profile = Profile()
    for type_, day, data in rows(
        f"SELECT type, day, data FROM events WHERE subject = '{subject}' ORDER BY position DESC"  # noqa: S608
    ):
        profile.fold(contribution(decode_data(type_, unpack(data)), "gw-1", day))
    return profile


async def test_a_pour_of_an_open_session_is_taken_back(bar: Bar, rows: Rows) -> None:
    bar.pour(GREEN)
    without = bar.profile(SESSION)
    ghost = bar.pour()
    done = bar.void(ghost)
    assert isinstance(done, Voided)
    assert bar.profile(SESSION) == without == _replayed(rows, SESSION)
    assert rows("SELECT sauce, n FROM pours") == [("garden-green", 1)]
    assert rows("SELECT sauce, pours FROM site_pours") == [("garden-green", 1)]
    assert rows("SELECT count(*) FROM doses") == [(1,)]
    assert rows("SELECT sauce FROM latest") == []
    assert rows("SELECT count(*) FROM buckets WHERE n = 0") == [(0,)]
    (row,) = rows("SELECT source, generation, sequence, subject, type FROM events ORDER BY position DESC LIMIT 1")
    assert row == (*keyed_event_id("gw-1", "void hot-bar-1:00000007:2"), SESSION, PourVoided.type)


async def test_a_pour_is_taken_back_once(bar: Bar, rows: Rows) -> None:
    ghost = bar.pour()
    done = bar.void(ghost)
    assert isinstance(done, Voided)
    assert bar.void(ghost) == "already-voided"
    assert bar.void(done.position) == "not-a-pour", "a void stays"
    assert bar.void(999) == "no-such-event"
    bar.counter.send(RatedBody(sauce="table-red", verdict="more"))
    assert bar.void(done.position + 1) == "not-a-pour"
    assert rows(f"SELECT count(*) FROM events WHERE type = '{PourVoided.type}'") == [(1,)]  # noqa: S608


async def test_a_claim_carries_what_was_left(bar: Bar, rows: Rows) -> None:
    bar.pour(GREEN)
    bar.void(bar.pour())
    bar.claim()
    assert [(key.day, sums.n) for key, sums in bar.profile(ANNA).buckets.items()] == [(DAY, 1)]
    assert bar.profile(ANNA) == _replayed(rows, ANNA)


@pytest.mark.parametrize("over", [False, True], ids=["session open", "session over"])
async def test_what_was_claimed_is_taken_from_whoever_claimed_it(bar: Bar, rows: Rows, *, over: bool) -> None:
    ghost = bar.pour()
    bar.pour(GREEN)
    bar.claim()
    if over:
        bar.pour(GREEN, session=2)
    bar.void(ghost)
    assert [sums.n for sums in bar.profile(ANNA).buckets.values()] == [1]
    assert bar.profile(ANNA) == _replayed(rows, ANNA)
    assert rows(f"SELECT sauce, n FROM pours WHERE subject = '{ANNA}'") == [("garden-green", 1)]  # noqa: S608
    assert rows(f"SELECT subject FROM events WHERE type = '{PourVoided.type}'") == [(ANNA,)]  # noqa: S608


async def test_nobody_s_pour_is_taken_from_nobody(bar: Bar, rows: Rows) -> None:
    alone, of_a_session = bar.pour(session=0), bar.pour()
    bar.pour(GREEN, session=2)  # the session is over, and its sums are gone
    for ghost in (alone, of_a_session):
        assert isinstance(bar.void(ghost), Voided)
    assert set(rows(f"SELECT subject FROM events WHERE type = '{PourVoided.type}'")) == {(None,)}  # noqa: S608
    assert bar.profile("s-hot-bar-1-00000007-2").buckets != {}
    assert bar.profile(SESSION) == Profile()


async def test_who_opted_out_has_nothing_to_take_back(bar: Bar, door: Any) -> None:
    ghost = bar.pour()
    bar.claim()
    data = ConsentChanged(store=door.store, region=door.region, channel="gateway", consent="none")
    when = stamp(bar.clock.now(), bar.boot, 0, sure=True)
    bar.store.write(lambda tx: consents.set_here(tx, ANNA, when, data)).result(20)
    done = bar.void(ghost)
    assert isinstance(done, Voided)
    assert done.data.consent == "none"
    assert bar.profile(ANNA) == Profile()


async def test_an_old_pour_stays(bar: Bar, hand_clock: HandClock) -> None:
    ghost, last = bar.pour(), bar.pour()
    hand_clock.go_on(voids.MAX_AGE_DAYS * DAY_MS)
    other = bar.pour(session=2)
    assert isinstance(bar.void(last), Voided), "on its last day"
    hand_clock.go_on(DAY_MS)
    assert bar.void(ghost) == "too-old"
    assert isinstance(bar.void(other), Voided)


async def test_a_void_is_forgotten_with_its_pour(bar: Bar, rows: Rows) -> None:
    ghosts = [bar.pour(), bar.pour()]
    bar.void(ghosts[0])
    sql = "DELETE FROM events WHERE position <= ?"
    bar.store.write(lambda tx: tx.connection.execute(sql, (ghosts[0],)).rowcount).result(20)
    bar.void(ghosts[1])
    assert rows("SELECT position FROM voids") == [(ghosts[1],)]


async def test_a_void_waits_for_the_day_of_its_pour(bar: Bar, hand_clock: HandClock, rows: Rows) -> None:
    """The time is known by then, and days are given later."""
    begin_ms, hand_clock.wall_ms = hand_clock.boot_ms, 12_345_000  # 1970
    bar.pour(GREEN)
    ghost = bar.pour()
    hand_clock.wall_ms = NOON_MS + hand_clock.boot_ms - begin_ms
    bar.void(ghost)
    assert rows("SELECT DISTINCT sign(day) FROM events") == [(-1,)]
    await bar.keep_house()
    _is_right(bar, rows, SESSION, DAY)


async def test_what_is_told_again_after_a_restore_says_the_same(bar: Bar) -> None:
    ghost = bar.pour()
    first = bar.void(ghost)

    def restore(tx: Transaction) -> None:
        tx.connection.execute("DELETE FROM events WHERE position > ?", (ghost,))
        tx.connection.execute("DELETE FROM voids")

    bar.store.write(restore).result(20)
    again = bar.void(ghost)
    assert isinstance(first, Voided)
    assert isinstance(again, Voided)
    assert again.id == first.id


@pytest.mark.parametrize("claimed", ["never", "before", "after"])
async def test_time_that_becomes_known_dates_the_void_with_its_pour(
    bar: Bar, hand_clock: HandClock, rows: Rows, claimed: str
) -> None:
    begin_ms, hand_clock.wall_ms = hand_clock.boot_ms, 12_345_000  # 1970
    bar.pour(GREEN)
    ghost = bar.pour()
    if claimed == "before":
        bar.claim()
    hand_clock.go_on(60_000)
    bar.void(ghost)
    if claimed == "after":
        bar.claim()
    hand_clock.wall_ms = NOON_MS + hand_clock.boot_ms - begin_ms
    assert await StoreOutbox(bar.store).read(0, 10) == [], "the void waits with its pour"
    await bar.keep_house()
    _is_right(bar, rows, SESSION if claimed == "never" else ANNA, DAY)


@pytest.mark.parametrize("claimed", ["never", "before", "after"])
async def test_a_clock_that_is_set_dates_the_void_with_its_pour(
    bar: Bar, hand_clock: HandClock, rows: Rows, word: Path, claimed: str
) -> None:
    hand_clock.wall_ms = NOON_MS - 3 * DAY_MS
    bar.clock.now()
    bar.clock.look()
    await bar.keep_house()
    bar.pour(GREEN)
    ghost = bar.pour()
    if claimed == "before":
        bar.claim()
    bar.void(ghost)
    if claimed == "after":
        bar.claim()
    hand_clock.wall_ms += 3 * DAY_MS
    bar.clock.now()
    os.utime(word, ns=(0, 1))
    for _ in range(2):
        await bar.keep_house()
    _is_right(bar, rows, SESSION if claimed == "never" else ANNA, DAY)


def _is_right(bar: Bar, rows: Rows, subject: str, day: int) -> None:
    ((data,),) = rows(f"SELECT data FROM events WHERE type = '{PourVoided.type}'")  # noqa: S608
    assert msgspec.json.decode(unpack(data))["day"] == day
    assert [(key.day, sums.n) for key, sums in bar.profile(subject).buckets.items()] == [(day, 1)]
    assert bar.profile(subject) == _replayed(rows, subject)
    assert rows("SELECT count(*) FROM events WHERE day < 0") == [(0,)]
    assert rows("SELECT count(*) FROM buckets WHERE n = 0") == [(0,)]


def test_a_session_that_is_gone_holds_nothing(store: Store) -> None:
    assert store.write(lambda tx: sessions.holds_own_sums(tx, SESSION, 1)).result(20) is False
