"""The ledger: its sums are those of the rows, whatever becomes of these; and dead letters that are let in after all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody, RatedBody, StatedBody
from gateway import consents, ledger, letters, replay
from gateway.clock import Clock
from gateway.dating import redate, settle, stamp
from gateway.door import Door
from gateway.housekeeping import KEEP_CONFIRMED_ROWS, _prune
from gateway.ledger import Entry, Gap
from gateway.outbox import StoreOutbox
from gateway.replay import Content, NotOpen, RefusedAgain, Wrong
from gateway.sessions import Session, take_sums
from gateway.store import Store
from gateway.transaction import Transaction, read_profile
from heat.events import ConsentChanged
from heat.identity import session_subject
from tests.gateway.conftest import DAY, NOON_MS, Counter, HandClock

Query = Callable[[str], list[tuple[Any, ...]]]

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
KETCHUP = PouredBody(nozzle=1, sauce="ketchup", volume_ul=5000, duration_ms=900)
SESSION = session_subject("hot-bar-1", 7, 1)
CUSTOMER = "p1-" + "0" * 32


def entries(store: Store, day: int = DAY) -> list[Entry]:
    with closing(store.reader()) as reader:
        return ledger.of_day(reader, day)


def counts(entry: Entry) -> tuple[int, ...]:
    return entry.generated, entry.stored, entry.refused, entry.replayed, entry.lost, entry.sent, entry.sent_letters


def open_letters(store: Store) -> list[letters.Letter]:
    with closing(store.reader()) as reader:
        return letters.listed(reader, "open", 100)


def let_in(store: Store, door: Door, position: int, mended: Any = None) -> int:
    return store.write(lambda tx: replay.replay(tx, door, position, mended, "maria", NOON_MS)).result(20)


# -- the sums -------------------------------------------------------------------------------------------------------


async def test_each_sequence_is_counted_once_as_what_became_of_it(counter: Counter, store: Store) -> None:
    for body in (POUR, KETCHUP, POUR):
        counter.send(body)
    counter.send(POUR, sequence=3)  # again
    await counter.settled(4)
    counter.ingest.note_hello(counter.hello, "/dev/ttyUSB0", (4, 6), lambda: None)
    counter.send(POUR, sequence=7)
    await counter.settled(5)
    (gap,), (entry,) = entries(store)[:1], entries(store)[1:]
    assert gap.source == "gw-1"  # which tells of the gap
    assert counts(entry) == (7, 3, 1, 0, 3, 0, 0)
    with closing(store.reader()) as reader:
        assert list(ledger.gaps(reader)) == [Gap("hot-bar-1", 7, DAY, 4, 6)]


async def test_what_kafka_has_is_counted_as_its_position_moves_on_and_back(counter: Counter, store: Store) -> None:
    outbox = StoreOutbox(store)
    for body in (POUR, KETCHUP, POUR, POUR):
        counter.send(body)
    await counter.settled(4)
    await outbox.confirm(3)
    assert counts(entries(store)[0])[-2:] == (2, 1)
    with closing(store.reader()) as reader:
        assert ledger.waiting(reader, 3) == {("hot-bar-1", 7, DAY): (1, 0)}
    await outbox.confirm(2)  # it has more already
    await outbox.begin_epoch(1, 0)
    assert counts(entries(store)[0])[-2:] == (1, 0)
    await outbox.confirm(4)
    assert counts(entries(store)[0])[-2:] == (3, 1)


async def test_counts_go_with_events_that_get_their_day(
    counter: Counter, store: Store, hand_clock: HandClock, clock: Clock, boot: int
) -> None:
    known_ms = hand_clock.wall_ms
    hand_clock.wall_ms = 1_000
    for body in (POUR, KETCHUP):
        counter.send(body)
    await counter.settled(2)
    assert [counts(entry)[:3] for entry in entries(store, -boot)] == [(2, 1, 1)]
    hand_clock.wall_ms = known_ms
    store.write(lambda tx: settle(tx, boot, clock.now())).result(20)
    assert entries(store, -boot) == []
    assert [counts(entry)[:3] for entry in entries(store)] == [(2, 1, 1)]
    assert open_letters(store)[0].when.day == DAY


async def test_a_gap_and_a_replay_go_along_and_of_the_day_before_nothing_is_left(
    counter: Counter, store: Store, door: Door, hand_clock: HandClock, clock: Clock, boot: int
) -> None:
    known_ms = hand_clock.wall_ms
    hand_clock.wall_ms = 1_000
    counter.send(KETCHUP)
    await counter.settled(1)
    counter.ingest.note_hello(counter.hello, "/dev/ttyUSB0", (2, 4), lambda: None)
    let_in(store, door, 1, POUR)
    hand_clock.wall_ms = known_ms
    store.write(lambda tx: settle(tx, boot, clock.now())).result(20)
    assert entries(store, -boot) == []
    assert [counts(entry)[:5] for entry in entries(store)] == [(1, 1, 0, 0, 0), (4, 1, 1, 1, 3)]
    with closing(store.reader()) as reader:
        assert list(ledger.gaps(reader)) == [Gap("hot-bar-1", 7, DAY, 2, 4)]


async def test_what_is_stored_and_dated_in_one_commit_leaves_no_row_of_the_day_before(
    counter: Counter, store: Store, hand_clock: HandClock, clock: Clock, boot: int
) -> None:
    known_ms = hand_clock.wall_ms
    hand_clock.wall_ms = 1_000
    gate = threading.Event()
    store.submit(lambda _tx: gate.wait(5), lambda _result, _error: None)  # what is queued meanwhile is one batch
    counter.send(POUR)
    hand_clock.wall_ms = known_ms
    now = clock.now()
    settled = store.write(lambda tx: settle(tx, boot, now))
    gate.set()
    assert settled.result(20) == 1
    with closing(store.reader()) as reader:
        assert ledger.days(reader, 10) == [DAY]


async def test_a_day_reaches_no_further_than_what_a_mended_clock_leaves_it(
    counter: Counter, store: Store, clock: Clock, boot: int
) -> None:
    for _ in range(2):
        counter.send(POUR)
    await counter.settled(2)
    now = clock.now()
    fast = replace(now, wall_ms=now.wall_ms + 86_400_000)
    for after, offset_ms, expected in (
        (1, fast.wall_ms - fast.boot_ms, [(1, 1), (1, 1)]),
        (0, now.wall_ms - now.boot_ms, [(2, 2)]),
    ):
        store.write(partial(redate, boot=boot, after=after, offset_ms=offset_ms)).result(20)
        assert [counts(entry)[:2] for day in (DAY, DAY + 1) for entry in entries(store, day)] == expected


@pytest.mark.parametrize("sent", [False, True], ids=["unsent", "sent"])
async def test_what_a_letter_became_has_the_letter_s_day(
    counter: Counter, store: Store, door: Door, clock: Clock, boot: int, sent: bool
) -> None:
    counter.send(KETCHUP)
    await counter.settled(1)
    let_in(store, door, 1, POUR)
    now = clock.now()
    offset_ms = now.wall_ms - now.boot_ms + 86_400_000
    store.write(partial(redate, boot=boot, after=int(sent), offset_ms=offset_ms)).result(20)
    by_day = [[counts(entry)[:4] for entry in entries(store, day)] for day in (DAY, DAY + 1)]
    assert by_day == ([[(1, 1, 1, 1)], []] if sent else [[], [(1, 1, 1, 1)]])


async def test_counts_and_letters_outlive_their_rows(counter: Counter, store: Store, rows: Query) -> None:
    for body in (POUR, KETCHUP):
        counter.send(body)
    await counter.settled(2)
    store.write(lambda tx: tx.set_meta("confirmed", str(KEEP_CONFIRMED_ROWS + 2))).result(20)
    store.write(lambda tx: _prune(tx, KEEP_CONFIRMED_ROWS, 10)).result(20)
    assert rows("SELECT count(*) FROM events") == [(0,)]
    assert counts(entries(store)[0])[:3] == (2, 1, 1)
    assert [letter.reason for letter in open_letters(store)] == ["unknown_sauce"]


async def test_days_follow_one_another_and_what_lies_between_them_is_missing(counter: Counter, store: Store) -> None:
    for _ in range(4):
        counter.send(POUR)
    await counter.settled(4)
    day_ms = 86_400_000
    counter.uptime_ms += 3 * day_ms
    for sequence, age_ms in ((5, 2 * day_ms), (6, day_ms)):  # as told later
        counter.send(POUR, sequence=sequence, age_ms=age_ms)
    await counter.settled(6)
    assert [counts(entry)[:2] for day in (DAY - 2, DAY - 1, DAY) for entry in entries(store, day)] == [
        (1, 1),
        (1, 1),
        (4, 4),
    ]
    store.write(lambda tx: tx.connection.execute("DELETE FROM ledger WHERE day = ?", (DAY - 2,))).result(20)
    (entry,) = entries(store, DAY - 1)
    assert entry.missing == (5, 5)
    assert entry.generated == 2


# -- letters --------------------------------------------------------------------------------------------------------


async def test_a_letter_that_is_mended_is_let_in_once_under_its_identity(
    counter: Counter, store: Store, door: Door, rows: Query
) -> None:
    counter.send(KETCHUP)
    await counter.settled(1)
    (letter,) = open_letters(store)
    assert replay.content(letter) == Content(
        "poured", {"nozzle": 1, "sauce": "ketchup", "volume_ul": 5000, "duration_ms": 900}
    )
    with pytest.raises(RefusedAgain) as refused:
        let_in(store, door, letter.position)
    assert refused.value.reason == "unknown_sauce"
    assert [wrong.field for wrong in refused.value.wrong] == ["sauce"]
    assert open_letters(store) == [letter]
    became = let_in(store, door, letter.position, POUR)
    with pytest.raises(NotOpen):
        let_in(store, door, letter.position, POUR)
    assert rows("SELECT position, source, generation, sequence, type, subject, time_ms FROM events") == [
        (1, "hot-bar-1", 7, 1, None, None, letter.when.time_ms),
        (became, "hot-bar-1", 7, 1, "picante.poured.v1", SESSION, letter.when.time_ms),
    ]
    with closing(store.reader()) as reader:
        sums = read_profile(reader, SESSION).buckets
        found = letters.find(reader, letter.position)
    assert [sum_.n for sum_ in sums.values()] == [1]
    assert found is not None
    assert (found.state, found.ended_by, found.became) == ("replayed", "maria", became)
    assert counts(entries(store)[0])[:5] == (1, 1, 1, 1, 0)


async def test_it_goes_up_behind_what_was_stored_meanwhile(counter: Counter, store: Store, door: Door) -> None:
    outbox = StoreOutbox(store)
    for body in (KETCHUP, POUR):
        counter.send(body)
    await counter.settled(2)
    await outbox.confirm(2)
    let_in(store, door, 1, POUR)
    (row,) = await outbox.read(2, 10)
    assert str(row.id) == "hot-bar-1:00000007:1"
    assert row.time_ms == NOON_MS


async def test_whose_it_is_goes_with_the_session(counter: Counter, store: Store, door: Door) -> None:
    counter.send(KETCHUP)
    await counter.settled(1)

    def claimed(tx: Transaction) -> None:
        take_sums(tx, Session(SESSION, SESSION, None, None, False), CUSTOMER)

    store.write(claimed).result(20)
    counter.send(POUR, session=2)  # the session is over
    await counter.settled(2)
    let_in(store, door, 1, POUR)
    with closing(store.reader()) as reader:
        assert [sums.n for sums in read_profile(reader, CUSTOMER).buckets.values()] == [1]
        assert read_profile(reader, SESSION).buckets == {}


async def test_who_wants_not_to_be_known_is_not_by_a_letter(
    counter: Counter, store: Store, door: Door, clock: Clock, boot: int, rows: Query
) -> None:
    counter.send(KETCHUP)
    await counter.settled(1)
    said = ConsentChanged(store=door.store, region=door.region, channel="gateway", consent="none")

    def forgotten(tx: Transaction) -> None:
        take_sums(tx, Session(SESSION, SESSION, None, None, False), CUSTOMER)
        consents.set_here(tx, CUSTOMER, stamp(clock.now(), boot, 0, sure=True), said)

    store.write(forgotten).result(20)
    let_in(store, door, 1, POUR)
    told = rows("SELECT subject, CAST(data AS TEXT) FROM events WHERE type = 'picante.poured.v1'")
    assert [(subject, '"consent":"none"' in data) for subject, data in told] == [(None, True)]
    assert rows("SELECT count(*) FROM buckets") == [(0,)]


@pytest.mark.parametrize(
    ("kind", "body", "wrong"),
    [
        ("poured", {"nozzle": 1, "sauce": "table-red", "duration_ms": 9}, Wrong("volume_ul", "is missing")),
        ("poured", {"nozzle": "one"}, Wrong("nozzle", "Expected `int`, got `str`")),
        ("poured", {"token": "x"}, Wrong("token", "a poured event has no such field")),
        ("drunk", {}, Wrong("type", "one of poured, rated, stated, refilled")),
        ("rated", {"sauce": "table-red", "verdict": "meh"}, Wrong("verdict", "Invalid enum value 'meh'")),
    ],
)
def test_what_is_wrong_with_a_field_is_said_of_it(kind: str, body: dict[str, Any], wrong: Wrong) -> None:
    with pytest.raises(RefusedAgain) as refused:
        replay.read(kind, body)
    assert refused.value.wrong == (wrong,)


async def test_what_no_event_has_is_not_shown(counter: Counter, store: Store) -> None:
    counter.send(kind=1, fields={1: 1, 2: "table-red", 3: "much", 9: "loyalty-4711"})
    counter.send(kind=99, fields={1: "loyalty-4711"})
    await counter.settled(2)
    unknown, malformed = (replay.content(letter) for letter in open_letters(store))
    assert malformed == Content("poured", {"nozzle": 1, "sauce": "table-red", "volume_ul": "much", "9": "…"})
    assert unknown == Content(None, {"1": "…"})


async def test_what_is_dismissed_stays_refused(counter: Counter, store: Store, door: Door) -> None:
    counter.send(StatedBody(word="lukewarm"))
    await counter.settled(1)
    store.write(lambda tx: replay.dismiss(tx, 1, "a test", "maria", NOON_MS)).result(20)
    with pytest.raises(NotOpen):
        let_in(store, door, 1, RatedBody(sauce="table-red", verdict="more"))
    assert counts(entries(store)[0])[:4] == (1, 0, 1, 0)


async def test_letters_are_bounded_and_open_ones_stay_longest(
    counter: Counter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "KEPT", 3)
    monkeypatch.setattr(letters, "_SLACK", 0)
    for _ in range(3):
        counter.send(KETCHUP)
    await counter.settled(3)
    store.write(lambda tx: replay.dismiss(tx, 3, "a test", "maria", NOON_MS)).result(20)
    for _ in range(2):
        counter.send(KETCHUP)
    await counter.settled(5)
    assert [letter.position for letter in open_letters(store)] == [5, 4, 2]
