"""Who opts out is answered as nobody is, nothing of theirs is learned, and what was is gone; so too after clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody, RatedBody, StatedBody
from gateway import consents, housekeeping, regulars, sessions
from gateway.clock import DAY_MS, Clock
from gateway.consents import Wish
from gateway.dating import stamp
from gateway.packed import unpack
from gateway.picks import Recommender
from gateway.regulars import Regular
from gateway.store import Store
from heat.events import ConsentChanged, Impression, read_data
from heat.identity import pseudonym, session_subject
from heat.profile import contribution
from tests.gateway.conftest import DAY, KEY, NOON_MS, Counter, HandClock, Screen, ask
from tests.strategies import poured

Query = Callable[[str], list[tuple[Any, ...]]]

CUSTOMER = pseudonym("token", KEY, 1)
OTHER = pseudonym("another", KEY, 1)
POUR = PouredBody(nozzle=1, sauce="reaper-raw", volume_ul=5000, duration_ms=900)
LEARNED = ("buckets", "flavours", "latest", "pours", "doses", "regulars")


def say(store: Store, clock: Clock, boot: int, wish: Wish, subject: str = CUSTOMER) -> bool:
    """The customer says so at this gateway."""
    data = ConsentChanged(store="plaza", region="south", channel="gateway", consent=wish)
    return store.write(lambda tx: consents.set_here(tx, subject, stamp(clock.now(), boot, 0, sure=True), data)).result(
        5
    )


def show(recommender: Recommender, counter: Counter, nonce: int, session: int = 1, token: str | None = None) -> Screen:
    """The customer shows their token, or somebody another one; returns the screen."""
    screen = Screen()
    question = ask(nonce, session=session, token=token or "token")
    recommender.answer(screen, counter.hello, question, 0)  # type: ignore[arg-type]
    return screen


def learned(rows: Query, subject: str = CUSTOMER) -> dict[str, int]:
    """Rows of a subject, by table."""
    sql = "SELECT count(*) FROM {} WHERE subject = '{}'"
    return {table: rows(sql.format(table, subject))[0][0] for table in LEARNED}


NOTHING = dict.fromkeys(LEARNED, 0)


def stored(rows: Query) -> list[tuple[str, str | None, str]]:
    """Type, subject and consent of all events."""
    found: list[tuple[str, str | None, str]] = []
    for type_, subject, text in rows("SELECT type, subject, data FROM events ORDER BY position"):
        data = read_data(type_, unpack(text))
        assert data is not None
        found.append((type_.split(".")[1], subject, data.consent))
    return found


async def test_a_token_that_opted_out_gets_what_a_stranger_gets(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    for sequence in range(1, 5):
        counter.send(POUR)
        await counter.settled(sequence)
    show(recommender, counter, 1)
    store.write(lambda _tx: None).result(20)
    assert learned(rows)["doses"] == 4
    assert say(store, clock, boot, "none")
    assert learned(rows) == NOTHING
    stranger = Screen()
    recommender.answer(stranger, counter.hello, ask(2, session=2), 0)  # type: ignore[arg-type]
    opted_out = show(recommender, counter, 3, session=3)
    shown = [[pick.sauce for pick in screen.shown[0].picks] for screen in (stranger, opted_out)]
    assert shown[0] == shown[1]


async def test_nothing_of_theirs_is_folded_and_their_events_are_nobody_s(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    say(store, clock, boot, "none")
    counter.send(StatedBody(word="medium"))  # before the token is shown
    await counter.settled(1)
    show(recommender, counter, 1)
    store.write(lambda _tx: None).result(20)
    counter.send(POUR)
    counter.send(RatedBody(sauce="reaper-raw", verdict="too_hot"))
    counter.send(StatedBody(word="medium"))
    await counter.settled(4)
    session = session_subject(counter.name, counter.generation, 1)
    assert learned(rows) == learned(rows, session) == NOTHING
    assert rows("SELECT count(*) FROM stated") == [(0,)]
    assert stored(rows) == [
        ("consent-changed", CUSTOMER, "none"),
        ("stated", session, "session"),
        ("impression", None, "none"),
        ("poured", None, "none"),
        ("rated", None, "none"),
        ("stated", None, "none"),
    ]
    ((text,),) = rows("SELECT data FROM events WHERE type = 'picante.impression.v1'")
    impression = read_data("picante.impression.v1", unpack(text))
    assert isinstance(impression, Impression)
    assert impression.known is not None
    assert impression.known.evidence == 0


async def test_who_opts_out_while_they_stand_there_is_forgotten_at_once(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    show(recommender, counter, 1)
    counter.send(POUR)
    await counter.settled(1)
    assert learned(rows)["doses"] == 1
    say(store, clock, boot, "none")
    counter.send(POUR)
    await counter.settled(2)
    assert learned(rows) == NOTHING
    assert stored(rows)[-1] == ("poured", None, "none")


async def test_somebody_else_s_token_in_their_session_is_theirs(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    say(store, clock, boot, "none")
    show(recommender, counter, 1)
    show(recommender, counter, 2, token="another")
    store.write(lambda _tx: None).result(20)
    counter.send(POUR)
    await counter.settled(1)
    assert learned(rows, OTHER)["doses"] == 1
    assert learned(rows) == NOTHING


def test_what_other_stores_knew_of_them_goes_with_its_share_of_the_disk(
    store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    known = Regular(CUSTOMER, 1, 7, DAY, contribution(poured(4000), "gw-2", DAY))
    store.write(lambda tx: regulars.take(tx, known, 0, 1)).result(20)
    assert learned(rows)["regulars"] == learned(rows)["buckets"] == 1
    assert say(store, clock, boot, "none")
    assert learned(rows) == NOTHING
    assert store.write(lambda tx: regulars.used_bytes(tx.connection)).result(20) == 0


async def test_saying_it_again_changes_nothing_and_it_can_be_taken_back(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    assert not say(store, clock, boot, "profile")
    assert say(store, clock, boot, "none")
    assert not say(store, clock, boot, "none")
    assert say(store, clock, boot, "profile")
    assert [kind for kind, _, _ in stored(rows)] == ["consent-changed"] * 2
    show(recommender, counter, 1)
    counter.send(POUR)
    await counter.settled(1)
    assert learned(rows)["doses"] == 1


async def test_an_opted_out_session_outlives_a_cable_that_is_out_for_long(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, boot: int, rows: Query
) -> None:
    say(store, clock, boot, "none")
    show(recommender, counter, 1)
    store.write(lambda tx: sessions.end_idle(tx, clock.now().boot_ms + 60 * 60_000)).result(20)
    counter.send(POUR)
    await counter.settled(1)
    assert stored(rows)[-1] == ("poured", None, "none")


async def test_days_that_become_known_bring_nothing_back(  # noqa: PLR0913, PLR0917 -- a shop and its clocks
    counter: Counter,
    recommender: Recommender,
    store: Store,
    clock: Clock,
    boot: int,
    hand_clock: HandClock,
    rows: Query,
) -> None:
    hand_clock.wall_ms = 0  # nobody has set the clock
    counter.send(POUR)
    await counter.settled(1)
    show(recommender, counter, 1)
    counter.send(POUR)
    await counter.settled(2)
    say(store, clock, boot, "none")
    assert rows("SELECT consent, time_ms FROM consents") == [("none", None)]
    # meanwhile nothing that comes down outdoes it
    assert not store.write(lambda tx: consents.hear(tx, CUSTOMER, "profile", NOON_MS)).result(20)
    hand_clock.wall_ms = DAY * DAY_MS + 3_600_000
    reader = store.reader()
    work = housekeeping.due(reader, clock.now(), boot)
    reader.close()
    assert work is not None
    store.write(work).result(20)
    assert learned(rows) == NOTHING
    ((consent, time_ms),) = rows("SELECT consent, time_ms FROM consents")
    assert (consent, time_ms // DAY_MS) == ("none", DAY)


async def test_a_day_that_becomes_known_brings_nothing_back_of_a_session_before_its_token_was_shown(  # noqa: PLR0913, PLR0917
    counter: Counter,
    recommender: Recommender,
    store: Store,
    clock: Clock,
    boot: int,
    hand_clock: HandClock,
    rows: Query,
) -> None:
    hand_clock.wall_ms = 0  # nobody has set the clock
    say(store, clock, boot, "none")
    counter.send(POUR)
    await counter.settled(1)
    session = session_subject(counter.name, counter.generation, 1)
    assert learned(rows, session)["doses"] == 1
    show(recommender, counter, 1)
    store.write(lambda _tx: None).result(20)
    hand_clock.wall_ms = DAY * DAY_MS + 3_600_000
    reader = store.reader()
    work = housekeeping.due(reader, clock.now(), boot)
    reader.close()
    assert work is not None
    store.write(work).result(20)
    assert learned(rows, session) == NOTHING


@pytest.mark.parametrize(
    ("wish", "later_ms", "counts"),
    [("none", 5, True), ("none", 0, True), ("none", -5, False), ("profile", 5, True), ("profile", 0, False)],
)
async def test_of_two_words_the_later_counts_and_of_two_at_once_the_one_that_says_no(
    store: Store, clock: Clock, boot: int, wish: Wish, later_ms: int, *, counts: bool
) -> None:
    say(store, clock, boot, "none")
    if wish == "none":
        say(store, clock, boot, "profile")
    at_ms = clock.now().wall_ms + later_ms
    assert store.write(lambda tx: consents.hear(tx, CUSTOMER, wish, at_ms)).result(20) is counts
    other: Wish = "profile" if wish == "none" else "none"
    assert store.write(lambda tx: consents.wish(tx.connection, CUSTOMER)).result(20) == (wish if counts else other)


async def test_a_word_said_here_stands_against_an_older_one_of_a_clock_that_is_ahead(
    store: Store, clock: Clock, boot: int
) -> None:
    ahead_ms = clock.now().wall_ms + 400 * DAY_MS
    assert store.write(lambda tx: consents.hear(tx, CUSTOMER, "none", ahead_ms)).result(20)
    assert store.write(lambda tx: consents.hear(tx, CUSTOMER, "profile", ahead_ms + 1)).result(20)
    assert say(store, clock, boot, "none")
    # the cloud tells it again, with the next visit elsewhere
    assert not store.write(lambda tx: consents.hear(tx, CUSTOMER, "profile", ahead_ms + 1)).result(20)
    assert store.write(lambda tx: consents.opted_out(tx.connection, CUSTOMER)).result(20)


async def test_what_the_cloud_tells_is_forgotten_here_too(
    counter: Counter, recommender: Recommender, store: Store, clock: Clock, rows: Query
) -> None:
    show(recommender, counter, 1)
    counter.send(POUR)
    await counter.settled(1)
    assert not store.write(lambda tx: consents.hear(tx, CUSTOMER, "profile", clock.now().wall_ms)).result(20)
    assert store.write(lambda tx: consents.hear(tx, CUSTOMER, "none", clock.now().wall_ms)).result(20)
    assert learned(rows) == NOTHING
    counter.send(POUR)
    await counter.settled(2)
    assert stored(rows)[-1] == ("poured", None, "none")
