"""The way in: dedup, refusals, sessions and claims, time, and what never reaches the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import UNREADABLE, PouredBody, RatedBody, RefilledBody, StatedBody
from gateway import sessions
from gateway.clock import Clock
from gateway.door import Door
from gateway.ingest import Ingest
from gateway.packed import unpack
from gateway.store import Store
from gateway.transaction import Transaction, read_profile
from heat.catalog import default_catalog
from heat.errors import StoreFull
from heat.identity import EventId, session_subject
from heat.profile import Profile
from heat.scale import default_words
from tests.gateway.conftest import DAY, NOON_MS, Counter, HandClock
from tests.reference import profiles as reference_profiles
from tests.waiting import wait_until_async

Query = Callable[[str], list[tuple[Any, ...]]]

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
TOO_HOT = RatedBody(sauce="table-red", verdict="too_hot")
SESSION = session_subject("hot-bar-1", 7, 1)
CUSTOMER = "p1-" + "0" * 32


def profile(store: Store, subject: str) -> Profile:
    return store.write(lambda tx: read_profile(tx.connection, subject)).result(20)


async def test_an_event_is_stored_folded_and_then_acknowledged(counter: Counter, store: Store, rows: Query) -> None:
    counter.send(POUR, age_ms=1500)
    await counter.settled(1)
    assert counter.acked == [1]
    assert rows("SELECT source, generation, sequence, type, subject, time_ms, day, clock, reason FROM events") == [
        ("hot-bar-1", 7, 1, "picante.poured.v1", SESSION, NOON_MS - 1500, DAY, "known", None)
    ]
    sums = next(iter(profile(store, SESSION).buckets.items()))
    assert sums[0] == ("gw-1", DAY, "poured")
    assert sums[1].n == 1


async def test_the_same_identity_is_folded_once(counter: Counter, store: Store, rows: Query) -> None:
    for _ in range(3):
        counter.send(POUR, sequence=1)
    counter.send(PouredBody(nozzle=2, sauce="garlic-ghost", volume_ul=1, duration_ms=1), sequence=1)
    await counter.settled(4)
    assert counter.acked == [1, 1, 1, 1]
    assert rows("SELECT count(*) FROM events") == [(1,)]
    assert counter.ingest.counters["duplicate"] == 3
    assert [sums.n for sums in profile(store, SESSION).buckets.values()] == [1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (StatedBody(shu=99_000_000), "impossible_heat"),
        (StatedBody(shu=-1), "impossible_heat"),
        (StatedBody(word="lukewarm"), "unknown_word"),
        (StatedBody(shu=500, dial=3), "malformed"),
        (StatedBody(), "malformed"),
        (StatedBody(text="on a hot summer day"), "unknown_word"),
        (PouredBody(nozzle=1, sauce="table-red", volume_ul=-5, duration_ms=9), "impossible_volume"),
        (PouredBody(nozzle=1, sauce="ketchup", volume_ul=5, duration_ms=9), "unknown_sauce"),
        (RatedBody(sauce="ketchup", verdict="more"), "unknown_sauce"),
        (RefilledBody(nozzle=1, sauce="ketchup", volume_ul=5), "unknown_sauce"),
    ],
)
async def test_a_refused_event_is_filed_acknowledged_and_blocks_nothing(
    counter: Counter, rows: Query, body: StatedBody, reason: str
) -> None:
    counter.send(body)
    counter.send(POUR)
    await counter.settled(2)
    assert counter.acked == [1, 2]
    assert rows("SELECT sequence, reason, type FROM events ORDER BY position") == [
        (1, reason, None),
        (2, None, "picante.poured.v1"),
    ]
    assert counter.ingest.counters[f"refused:{reason}"] == 1


async def test_own_words_are_stored_and_filed_without_contacts(counter: Counter, rows: Query) -> None:
    counter.send(StatedBody(text="medium please, I am me@example.com"))
    counter.send(StatedBody(text="nice place, call me at 555-123-4567"))
    counter.send(kind=3, fields={4: ["me@example.com"]})
    counter.send(kind=3, fields={4: "x" * 201 + " me@example.com"})
    await counter.settled(4)
    said, filed, odd, long = rows("SELECT data, reason FROM events ORDER BY position")
    assert b"medium please, I am \xe2\x80\xa6" in bytes(said[0])
    assert (filed[1], odd[1], long[1]) == ("unknown_word", "malformed", "malformed")
    assert "call me at …".encode() in bytes(filed[0])
    assert b"example.com" not in bytes(said[0]) + bytes(long[0])
    assert b"555-123-4567" not in bytes(filed[0])


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("my mouth was on fire, loved it", ("picante.rated.v1", "just_right")),
        ("way too hot for me", ("picante.rated.v1", "too_hot")),
        ("could use more kick", ("picante.rated.v1", "more")),
        ("12k SHU", ("picante.stated.v1", None)),
        ("something mild please", ("picante.stated.v1", None)),
        ("what a hot summer day", (None, None)),
    ],
)
async def test_own_words_after_a_pour_are_the_verdict_that_they_are(
    counter: Counter, rows: Query, text: str, stored: tuple[str | None, str | None]
) -> None:
    counter.send(POUR, session=5)
    counter.send(StatedBody(text=text), session=5)
    await counter.settled(2)
    assert rows(
        "SELECT type, CASE WHEN type IS NOT NULL THEN data ->> 'verdict' END FROM events WHERE sequence = 2"
    ) == [stored]
    if stored[1]:
        assert rows("SELECT data ->> 'sauce' FROM events WHERE sequence = 2") == [(POUR.sauce,)]


async def test_own_words_before_a_pour_are_no_verdict(counter: Counter, rows: Query, store: Store) -> None:
    counter.send(POUR, session=4)
    # what they poured in an earlier session is not what this is about
    row = (session_subject("hot-bar-1", 7, 5), POUR.sauce)
    store.write(lambda tx: tx.connection.execute("INSERT INTO latest VALUES (?, ?, NULL)", row)).result(20)
    counter.send(StatedBody(text="way too hot for me"), session=5)
    counter.send(StatedBody(text="way too hot for me"), session=0)
    await counter.settled(3)
    assert rows("SELECT reason FROM events ORDER BY position") == [(None,), ("unknown_word",), ("unknown_word",)]


async def test_kinds_and_bodies_of_the_future_are_refused_with_their_bytes(counter: Counter, rows: Query) -> None:
    counter.send(kind=99, fields={1: "from the future"})
    counter.send(kind=1, fields={1: "not a nozzle"})
    await counter.settled(2)
    filed = rows("SELECT reason, detail, data FROM events ORDER BY position")
    assert [row[0] for row in filed] == ["unknown_type", "malformed"]
    assert b"from the future" in filed[0][2]
    assert "99" in str(filed[0][1])


async def test_a_refused_event_is_filed_once(counter: Counter, rows: Query) -> None:
    for _ in range(2):
        counter.send(StatedBody(shu=-1), sequence=1)
    await counter.settled(2)
    assert rows("SELECT count(*) FROM events") == [(1,)]


async def test_a_bug_of_ours_neither_blocks_nor_loses(
    store: Store, clock: Clock, boot: int, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenDoor(Door):
        def admit(self, *_: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError("nobody expected this")

    ingest = Ingest(
        store, clock, BrokenDoor(default_catalog(), default_words(), "plaza", "south"), boot, lambda *_: None
    )
    counter = Counter(ingest)
    counter.send(POUR)
    await counter.settled(1)
    assert counter.acked == [1]
    ((reason, detail),) = rows("SELECT reason, detail FROM events")
    assert (reason, detail) == ("internal_error", "ZeroDivisionError: nobody expected this")


async def test_a_bug_in_telling_of_one_event_leaves_the_others_of_its_commit_alone(
    store: Store, clock: Clock, door: Door, boot: int
) -> None:
    loop, broken = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: broken.append(context["exception"]))

    def on_commit(_stored: object, event_id: EventId) -> None:
        if event_id.sequence in {1, 3}:
            raise ZeroDivisionError

    counter = Counter(Ingest(store, clock, door, boot, on_commit))
    for _ in range(5):
        counter.send(POUR)
    store.write(lambda _: None).result(20)  # the loop stands still until all fates are known
    await counter.settled(5)
    assert counter.acked == [1, 2, 3, 4, 5]
    assert len(broken) == 2


async def test_a_full_store_leaves_events_on_the_dispenser(counter: Counter, store: Store) -> None:
    store.write(lambda tx: tx.connection.execute("PRAGMA max_page_count=1")).result(20)
    limit = store.write(lambda tx: tx.connection.execute("PRAGMA page_count").fetchone()[0]).result(20)
    store.write(lambda tx: tx.connection.execute(f"PRAGMA max_page_count={limit}")).result(20)
    sent = 0
    while not counter.retried:
        counter.send(POUR)
        sent += 1
        await counter.settled(sent)
    assert counter.acked == list(range(1, sent))
    assert store.sequences.durable("hot-bar-1", 7) == sent - 1


async def test_a_claimed_session_belongs_to_the_customer(counter: Counter, store: Store) -> None:
    counter.send(POUR)
    counter.send(TOO_HOT)
    await counter.settled(2)

    def claim(tx: Transaction) -> Profile:
        session = sessions.enter(tx, "hot-bar-1", 7, 1, NOON_MS)
        sums = sessions.take_sums(tx, session, CUSTOMER)
        tx.fold(CUSTOMER, sums)
        return sums

    taken = store.write(claim).result(20)
    assert {key.kind for key in taken.buckets} == {"poured", "too_hot"}
    assert profile(store, SESSION).buckets == {}
    counter.send(POUR)
    await counter.settled(3)
    assert {k.kind: s.n for k, s in profile(store, CUSTOMER).buckets.items()} == {"poured": 2, "too_hot": 1}


async def test_a_session_ends_with_the_next_one(counter: Counter, store: Store, rows: Query, clock: Clock) -> None:
    counter.send(POUR, session=1)
    counter.send(POUR, session=2)
    await counter.settled(2)
    assert profile(store, SESSION).buckets == {}
    assert profile(store, session_subject("hot-bar-1", 7, 2)).buckets != {}
    assert rows("SELECT session FROM sessions") == [(session_subject("hot-bar-1", 7, 2),)]
    assert store.write(lambda tx: sessions.end_idle(tx, clock.now().boot_ms)).result(20) == 0
    store.write(lambda tx: sessions.end_idle(tx, clock.now().boot_ms + sessions.IDLE_MS + 1)).result(20)
    assert rows("SELECT count(*) FROM sessions") == rows("SELECT count(*) FROM buckets") == [(0,)]


async def test_a_rating_soon_after_another_dose_weighs_half(counter: Counter, rows: Query) -> None:
    counter.send(POUR, age_ms=10 * 60_000)
    counter.send(TOO_HOT, age_ms=9 * 60_000)
    counter.send(POUR, age_ms=2_000)
    counter.send(TOO_HOT, age_ms=1_000)
    await counter.settled(4)
    weights = [msgspec.json.decode(row[0])["w"] for row in rows("SELECT data FROM events WHERE type LIKE '%rated%'")]
    assert weights[1] == weights[0] // 2


@pytest.mark.parametrize("jump_ms", [-365 * 86_400_000, 3_600_000])
async def test_a_clock_that_jumps_between_two_doses_changes_no_weight(
    counter: Counter, hand_clock: HandClock, rows: Query, jump_ms: int
) -> None:
    for minutes, jump in ((0, 0), (2, jump_ms), (40, 0), (41, 0)):
        counter.uptime_ms = 1_000_000 + minutes * 60_000
        hand_clock.boot_ms = 5_000_000 + minutes * 60_000
        hand_clock.wall_ms = NOON_MS + minutes * 60_000 + jump
        counter.send(POUR)
        counter.send(TOO_HOT)
    await counter.settled(8)
    first, soon, late, again = (
        msgspec.json.decode(row[0])["w"] for row in rows("SELECT data FROM events WHERE type LIKE '%rated%'")
    )
    assert (soon, late, again) == (first // 2, first, first // 2)


async def test_events_of_an_earlier_boot_use_what_was_known_of_it(counter: Counter, rows: Query, store: Store) -> None:
    store.write(
        lambda tx: tx.connection.execute(
            "INSERT INTO dispenser_boots VALUES ('hot-bar-1', 2, 0, 0, ?)", (NOON_MS - 7_200_000,)
        )
    ).result(20)
    counter.uptime_ms = 600_000
    counter.send(POUR, boot=2)
    counter.send(POUR, boot=1)
    await counter.settled(2)
    assert rows("SELECT time_ms, clock FROM events ORDER BY position") == [
        (NOON_MS - 7_200_000 + 600_000, "known"),
        (NOON_MS, "unknown"),
    ]


async def test_a_dispenser_that_restarts_for_ever_fills_no_table(
    counter: Counter, store: Store, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ingest.BOOTS_KEPT", 3)
    for counter.name, counter.boot in (("hot-bar-2", 1), *(("hot-bar-1", boot) for boot in range(3, 10))):
        counter.ingest.note_hello(counter.hello, "port", None, lambda: None)
    store.write(lambda _tx: None).result(20)  # queued behind them
    assert rows("SELECT dispenser, boot FROM dispenser_boots") == [
        ("hot-bar-1", 7), ("hot-bar-1", 8), ("hot-bar-1", 9), ("hot-bar-2", 1),
    ]  # fmt: skip


async def test_profiles_equal_the_naive_reference(counter: Counter, store: Store, rows: Query) -> None:
    sauces = list(default_catalog())
    for n in range(60):
        sauce = sauces[n % len(sauces)]
        counter.send(PouredBody(nozzle=1, sauce=sauce, volume_ul=4000, duration_ms=800), session=5)
        counter.send(RatedBody(sauce=sauce, verdict=("too_hot", "just_right", "more")[n % 3]), session=5)
        counter.send(StatedBody(dial=n), session=5)
    await counter.settled(180)
    stored = rows("SELECT subject, day, type, data FROM events")
    events = [
        {"subject": s, "origin": "gw-1", "day": d, "type": t, "data": msgspec.json.decode(unpack(x))}
        for s, d, t, x in stored
    ]
    subject = session_subject("hot-bar-1", 7, 5)
    assert profile(store, subject).digest() == reference_profiles(events)[subject]["digest"]


async def test_a_claimed_session_outlives_a_cable_that_is_out_for_long(
    counter: Counter, store: Store, clock: Clock
) -> None:
    counter.send(POUR)
    await counter.settled(1)
    session = sessions.Session(SESSION, SESSION, None, None, opted_out=False)
    store.write(lambda tx: tx.fold(CUSTOMER, sessions.take_sums(tx, session, CUSTOMER))).result(20)
    later_ms = clock.now().boot_ms + 40 * 60_000
    store.write(lambda tx: sessions.end_idle(tx, later_ms)).result(20)
    counter.uptime_ms += 45 * 60_000
    counter.send(POUR, age_ms=40 * 60_000)
    await counter.settled(2)
    assert [sums.n for sums in profile(store, CUSTOMER).buckets.values()] == [2]


async def test_a_database_that_somebody_holds_makes_events_wait_and_not_fail(counter: Counter, store: Store) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        store.write(lambda tx: tx.connection.execute("PRAGMA busy_timeout=50")).result(20)
        other.execute("BEGIN IMMEDIATE")
        counter.send(POUR)
        await counter.settled(1)
        assert counter.retried == [1]
        other.execute("ROLLBACK")
    counter.send(POUR, sequence=1)
    await counter.settled(2)
    assert counter.acked == [1]
    assert counter.ingest.counters["picante.poured.v1"] == 1


async def test_nothing_overtakes_an_event_that_could_not_be_stored(counter: Counter, store: Store, rows: Query) -> None:
    counter.send(POUR)
    counter.send(POUR, sequence=3)  # 2 is lost on its way to disk
    await counter.settled(2)
    assert (counter.acked, counter.retried) == ([1], [3])
    for sequence in (2, 3):
        counter.send(POUR, sequence=sequence)
    await counter.settled(4)
    assert rows("SELECT sequence FROM events ORDER BY position") == [(1,), (2,), (3,)]


async def test_nothing_is_acknowledged_into_a_file_that_was_removed(counter: Counter, store: Store) -> None:
    counter.send(POUR)
    await counter.settled(1)
    store.path.rename(store.path.with_suffix(".away"))
    counter.send(POUR)
    await counter.settled(2)
    assert (counter.acked, counter.retried) == ([1], [2])
    assert "removed or replaced" in str(store.broken)


async def test_of_an_unreadable_event_the_bytes_are_filed(counter: Counter, rows: Query) -> None:
    counter.send(kind=UNREADABLE, fields={})
    counter.send(POUR)
    await counter.settled(2)
    assert counter.acked == [1, 2]
    assert rows("SELECT reason FROM events ORDER BY position") == [("malformed",), (None,)]


async def test_a_hello_that_finds_no_room_keeps_its_link_and_is_noted_later(
    counter: Counter, store: Store, rows: Query, hand_clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ingest.NOTE_AGAIN_S", 0.02)
    submit, full = store.submit, [StoreFull("disk is full")] * 3

    def full_at_first(work: Callable[[Transaction], Any], done: Callable[..., None], *, upkeep: bool = False) -> None:
        assert upkeep
        if full:
            hand_clock.go_on(60_000)
            done(None, full.pop())
        else:
            submit(work, done, upkeep=upkeep)

    monkeypatch.setattr(store, "submit", full_at_first)
    failed: list[str] = []
    counter.ingest.note_hello(counter.hello, "port", (1, 3), lambda: failed.append("closed"))
    newer = msgspec.structs.replace(counter.hello, firmware="newer")
    counter.ingest.note_hello(newer, "port", (1, 3), lambda: failed.append("closed"))
    noted = "SELECT firmware, seen_ms FROM dispensers"
    assert await wait_until_async(lambda: rows(noted), 10, "noted") == [("newer", NOON_MS + 60_000)]
    assert len(rows("SELECT 1 FROM events WHERE type = 'picante.gap.v1'")) == 1
    assert rows("SELECT * FROM losses") == [("hot-bar-1", 3, NOON_MS + 60_000)]
    assert not failed


async def test_what_a_ring_lost_is_summed_up_in_the_transaction_of_its_gap(
    counter: Counter, store: Store, rows: Query, hand_clock: HandClock
) -> None:
    def fail() -> None:
        raise AssertionError

    for gap in ((1, 3), (4, 10), (4, 10)):  # the last says nothing new
        counter.ingest.note_hello(counter.hello, "port", gap, fail)
        hand_clock.go_on(1_000)
    counter.ingest.note_hello(msgspec.structs.replace(counter.hello, dispenser="bar-2"), "port", (5, 5), fail)
    noted = "SELECT * FROM losses ORDER BY dispenser"
    expected = [("bar-2", 1, NOON_MS + 3_000), ("hot-bar-1", 10, NOON_MS + 1_000)]
    await wait_until_async(lambda: rows(noted) == expected, 10, "both are noted")
