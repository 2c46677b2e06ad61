"""ASK -> PICKS: what is shown, what is remembered of it, and that a token never stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, RatedBody
from firmware_bridge.messages import NozzleInfo, Picks
from gateway import customers
from gateway.packed import unpack
from gateway.picks import RECORDED_A_MINUTE, Recommender
from gateway.store import Store
from heat.catalog import default_catalog
from heat.events import Impression
from heat.identity import pseudonym, session_subject
from heat.scale import default_words
from models.explore import agrees, replay
from tests.gateway.conftest import KEY, Counter, Screen, ask
from tests.gateway.test_store import fill
from tests.tasting import unsure
from tests.waiting import wait_until_async

Query = Callable[[str], list[tuple[Any, ...]]]
TOKEN = "loyalty-4711-jane"


async def impressions(rows: Query, count: int) -> list[dict[str, Any]]:
    sql = "SELECT data FROM events WHERE type = 'picante.impression.v1' ORDER BY position"
    await wait_until_async(lambda: len(rows(sql)) >= count, 5, f"{count} impressions stored")
    return [msgspec.json.decode(unpack(row[0])) for row in rows(sql)]


def claimants(rows: Query) -> list[str]:
    """Who claimed sessions, in the order of the claims."""
    sql = "SELECT subject FROM events WHERE type = 'picante.session-claimed.v1' ORDER BY position"
    return [subject for (subject,) in rows(sql)]


class EndingLink:
    """A link that ends before anything is written to it."""

    def answer(self, picks: Picks, written: Callable[[], None]) -> None:
        """Drop picks."""


async def test_three_picks_and_one_impression(recommender: Recommender, counter: Counter, rows: Query) -> None:
    screen = Screen()
    recommender.answer(screen, counter.hello, ask(1), 0)  # type: ignore[arg-type]
    recommender.answer(screen, counter.hello, ask(1), 0)  # type: ignore[arg-type]  # repeated until answered
    assert len(screen.shown) == 2
    assert screen.shown[0] == screen.shown[1]
    picks = screen.shown[0].picks
    assert len({pick.sauce for pick in picks}) == 3
    assert all(pick.why for pick in picks)
    (impression,) = await impressions(rows, 1)
    assert impression["pick_id"] == screen.shown[0].pick_id
    assert [shown["sauce"] for shown in impression["picks"]] == [pick.sauce for pick in picks]
    assert impression["ranker"] == recommender.ranker.name != "rule"
    assert set(impression["candidates"]) == set(default_catalog())


async def test_an_impression_keeps_what_was_known_at_the_pick(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    pour = PouredBody(nozzle=1, sauce="garlic-ghost", volume_ul=4000, duration_ms=800)
    for body in (pour, RatedBody(sauce="garlic-ghost", verdict="too_hot")):
        counter.send(body)
    await counter.settled(2)
    screen = Screen()
    recommender.answer(screen, counter.hello, ask(1, dial=40, mood="bold"), 0)  # type: ignore[arg-type]
    counter.send(pour)
    await counter.settled(3)
    recommender.answer(screen, counter.hello, ask(2, dial=40, mood="bold"), 0)  # type: ignore[arg-type]
    first, second = (msgspec.convert(data, Impression) for data in await impressions(rows, 2))
    assert first.known is not None
    assert first.known.dial == default_words().dial(40)
    assert (first.known.mood, first.known.last_sauce, first.known.last_verdict) == ("bold", "garlic-ghost", "too_hot")
    assert first.known.evidence == 2
    assert first.catalog == default_catalog().version
    assert first.known != second.known, "the profile has gone on"
    for impression in (first, second):
        again = replay(impression, recommender.ranker)
        assert again is not None
        assert agrees(impression, again)
        assert (impression.policy, impression.seed, impression.slate_propensity) == ("greedy", None, 1)


async def test_picks_that_explore_are_replayed_to_the_bit_from_what_is_stored(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    recommender.rankers.use(unsure())
    counter.send(PouredBody(nozzle=1, sauce="garlic-ghost", volume_ul=4000, duration_ms=800))
    await counter.settled(1)
    screen = Screen()
    for nonce in range(12):
        for _ in range(2):
            recommender.answer(screen, counter.hello, ask(nonce), 0)  # type: ignore[arg-type]
    assert screen.shown[::2] == screen.shown[1::2], "the same ASK again gets the same answer"
    stored = [msgspec.convert(data, Impression) for data in await impressions(rows, 12)]
    assert len({impression.seed for impression in stored}) == 12
    assert len({tuple(pick.sauce for pick in impression.picks) for impression in stored}) > 1
    for impression in stored:
        assert impression.policy in {"thompson", "uniform"}
        assert (impression.seed or 0) < 2**53
        assert 0 < (impression.slate_propensity or 0) < 1
        again = replay(impression, unsure())
        assert again is not None
        assert agrees(impression, again)


async def test_an_answer_is_of_one_moment_whatever_is_committed_meanwhile(
    recommender: Recommender, counter: Counter, store: Store, rows: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter.send(PouredBody(nozzle=1, sauce="garlic-ghost", volume_ul=4000, duration_ms=800))
    await counter.settled(1)
    subjects_of = customers.subjects_of

    def then_claimed_by_another(*known: Any) -> list[str]:
        found = subjects_of(*known)
        store.write(lambda tx: tx.connection.execute("UPDATE buckets SET subject = 'other'")).result(20)
        store.write(lambda tx: tx.connection.execute("UPDATE pours SET subject = 'other'")).result(20)
        return found

    monkeypatch.setattr(customers, "subjects_of", then_claimed_by_another)
    recommender.answer(Screen(), counter.hello, ask(1), 0)  # type: ignore[arg-type]
    (stored,) = await impressions(rows, 1)
    known = msgspec.convert(stored, Impression).known
    assert known is not None
    assert (known.evidence, [row.sauce for row in known.pours]) == (1, ["garlic-ghost"])
    recommender.answer(Screen(), counter.hello, ask(2), 0)  # type: ignore[arg-type]
    later = msgspec.convert((await impressions(rows, 2))[1], Impression).known
    assert later is not None
    assert later.evidence == 0, "a moment ends with its answer"


async def test_too_hot_makes_the_next_picks_milder(recommender: Recommender, counter: Counter) -> None:
    screen = Screen()
    recommender.answer(screen, counter.hello, ask(1), 0)  # type: ignore[arg-type]
    hot = max(screen.shown[0].picks, key=lambda pick: pick.milli_octaves)
    counter.send(PouredBody(nozzle=hot.nozzle, sauce=hot.sauce, volume_ul=4000, duration_ms=800))
    counter.send(RatedBody(sauce=hot.sauce, verdict="too_hot"))
    await counter.settled(2)
    recommender.answer(screen, counter.hello, ask(2), 0)  # type: ignore[arg-type]
    before, after = (max(pick.milli_octaves for pick in shown.picks) for shown in screen.shown)
    assert after < before
    assert hot.sauce not in {pick.sauce for pick in screen.shown[1].picks}


async def test_only_what_can_be_poured_is_shown(recommender: Recommender, counter: Counter) -> None:
    full, empty = NozzleInfo(1, "table-red", 200), NozzleInfo(2, "garden-green", 0)
    unknown = NozzleInfo(3, "ketchup", 500)
    hello = msgspec.structs.replace(counter.hello, nozzles=(full, empty, unknown))
    screen = Screen()
    recommender.answer(screen, hello, ask(1), 0)  # type: ignore[arg-type]
    assert [(pick.nozzle, pick.sauce) for pick in screen.shown[0].picks] == [(1, "table-red")]


async def test_a_token_claims_the_session_and_is_never_stored(
    recommender: Recommender, counter: Counter, store: Store, rows: Query
) -> None:
    counter.send(PouredBody(nozzle=1, sauce="garlic-ghost", volume_ul=4000, duration_ms=800))
    await counter.settled(1)
    screen = Screen()
    recommender.answer(screen, counter.hello, ask(1, token=TOKEN), 0)  # type: ignore[arg-type]
    customer = pseudonym(TOKEN, KEY, 1)
    (impression,) = await impressions(rows, 1)
    assert impression["consent"] == "profile"
    claims = rows("SELECT subject, data FROM events WHERE type = 'picante.session-claimed.v1'")
    assert [claim[0] for claim in claims] == [customer]
    assert rows("SELECT DISTINCT subject FROM buckets") == [(customer,)]
    assert rows("SELECT subject FROM sessions") == [(customer,)]
    # once more in the same session: no second claim
    recommender.answer(screen, counter.hello, ask(2, token=TOKEN), 0)  # type: ignore[arg-type]
    await impressions(rows, 2)
    assert rows("SELECT count(*) FROM events WHERE type = 'picante.session-claimed.v1'") == [(1,)]
    for file in store.path.parent.iterdir():
        assert TOKEN.encode() not in file.read_bytes()
    assert TOKEN not in repr(ask(1, token=TOKEN))


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not seen yet"])
@pytest.mark.parametrize("store", [2 * 1024 * 1024], indirect=True)
async def test_a_token_shown_while_the_store_is_full_claims_the_session_before_its_next_event(
    recommender: Recommender, counter: Counter, store: Store, rows: Query, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pour = PouredBody(nozzle=1, sauce="garlic-ghost", volume_ul=4000, duration_ms=800)
    counter.send(pour)
    await counter.settled(1)
    fill(store)
    screen = Screen()
    with monkeypatch.context() as context:
        if not seen:
            context.setattr(store, "has_room", lambda: True)
        for nonce in (1, 2):
            recommender.answer(screen, counter.hello, ask(nonce, token=TOKEN), 0)  # type: ignore[arg-type]
        await wait_until_async(lambda: recommender.not_stored == 2, 5, "there was no room for the impressions")
    assert len(screen.shown) == 2

    # what others stored goes; then the dispenser's ring comes, in which the session has ended
    store.write(lambda tx: tx.connection.execute("DELETE FROM events WHERE source = 'other'"), upkeep=True).result(10)
    await wait_until_async(store.has_room, 10, "the store has found the room")
    counter.send(pour)
    counter.send(pour, session=2)
    await counter.settled(3)
    assert (counter.acked, recommender.not_stored) == ([1, 2, 3], 2)
    customer, stranger = pseudonym(TOKEN, KEY, 1), session_subject("hot-bar-1", 7, 2)
    stored = [("poured", session_subject("hot-bar-1", 7, 1)), ("session-claimed", customer), ("poured", customer)]
    assert [(kind.split(".")[1], subject) for kind, subject in rows("SELECT type, subject FROM events")] == [
        *stored,
        ("poured", stranger),
    ]
    assert set(rows("SELECT subject, sum(n) FROM buckets GROUP BY subject")) == {(customer, 2), (stranger, 1)}


async def test_picks_that_a_link_never_wrote_are_recorded_once_their_repetition_is(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    recommender.answer(EndingLink(), counter.hello, ask(1, token=TOKEN), 0)  # type: ignore[arg-type]
    assert recommender.shown == 0
    screen = Screen()
    for _ in range(2):
        recommender.answer(screen, counter.hello, ask(1, token=TOKEN), 0)  # type: ignore[arg-type]
    (impression,) = await impressions(rows, 1)
    assert [impression["pick_id"]] * 2 == [shown.pick_id for shown in screen.shown]
    assert recommender.shown == 1
    assert claimants(rows) == [pseudonym(TOKEN, KEY, 1)]


async def test_a_token_that_comes_faster_than_people_ask_claims_the_session(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    for nonce in range(RECORDED_A_MINUTE):
        recommender.answer(Screen(), counter.hello, ask(nonce), 0)  # type: ignore[arg-type]
    recommender.answer(Screen(), counter.hello, ask(RECORDED_A_MINUTE, token=TOKEN), 0)  # type: ignore[arg-type]
    await wait_until_async(lambda: claimants(rows) == [pseudonym(TOKEN, KEY, 1)], 5, "the session is claimed")
    assert len(await impressions(rows, RECORDED_A_MINUTE)) == RECORDED_A_MINUTE
    assert recommender.not_stored == 1


async def test_an_impression_that_fails_is_told_of_and_costs_no_claim(
    recommender: Recommender,
    counter: Counter,
    rows: Query,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a bug of ours")

    monkeypatch.setattr(recommender, "_impression", fail)
    recommender.answer(Screen(), counter.hello, ask(1, token=TOKEN), 0)  # type: ignore[arg-type]
    await wait_until_async(lambda: claimants(rows) == [pseudonym(TOKEN, KEY, 1)], 5, "the session is claimed")
    (record,) = [record for record in caplog.records if record.name == "gateway.picks"]
    assert record.exc_info is not None
    assert "a bug of ours" in str(record.exc_info[1])


async def test_a_returning_customer_is_known_in_a_new_session(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    screen = Screen()
    for session in (1, 2, 3):
        recommender.answer(screen, counter.hello, ask(session, session, token=TOKEN), 0)  # type: ignore[arg-type]
        await impressions(rows, session)
        counter.send(PouredBody(nozzle=1, sauce="scorpion-mango", volume_ul=4000, duration_ms=800), session=session)
        counter.send(RatedBody(sauce="scorpion-mango", verdict="just_right"), session=session)
        await counter.settled(2 * session)
    recommender.answer(screen, counter.hello, ask(9, 9), 0)  # type: ignore[arg-type]
    recommender.answer(screen, counter.hello, ask(10, 10, token=TOKEN), 0)  # type: ignore[arg-type]
    stranger, regular = (shown.picks for shown in screen.shown[-2:])
    assert session_subject("hot-bar-1", 7, 9) not in {row[0] for row in rows("SELECT subject FROM buckets")}
    assert min(pick.milli_octaves for pick in regular) > max(pick.milli_octaves for pick in stranger)


async def test_a_stuck_button_does_not_fill_the_disk(recommender: Recommender) -> None:
    minute = 1_000
    recorded = [recommender._is_slow("bar-1", minute) for _ in range(RECORDED_A_MINUTE + 50)]
    assert recorded == [True] * RECORDED_A_MINUTE + [False] * 50
    assert recommender._is_slow("bar-2", minute)
    assert recommender._is_slow("bar-1", minute + 1)
