"""Bottles on nozzles: who poured from which, what is past its date or recalled, and who may pick from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody, RefilledBody
from firmware_bridge.messages import NozzleInfo
from gateway import bottle_pours, consents, lots
from gateway.clock import Clock
from gateway.dating import stamp
from gateway.door import Door
from gateway.ingest import Ingest
from gateway.lots import SAME_ACT_MS, Bottle, Lots, Recall
from gateway.picks import Recommender
from gateway.store import Store
from gateway.transaction import Transaction
from heat.errors import DataError
from heat.events import ConsentChanged, Poured, Stamp
from heat.identity import pseudonym
from tests.gateway.conftest import KEY, NOON_MS, Counter, HandClock, Screen, ask
from tests.waiting import wait_until_async

Rows = Callable[[str], list[tuple[Any, ...]]]
POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
ANNA = pseudonym("token", KEY, 1)
SESSION = "s-hot-bar-1-00000007-1"
TODAY = datetime.fromtimestamp(NOON_MS / 1000, UTC).date()
RED = Bottle("hot-bar-1", 1, "table-red", "L-1", TODAY, 750, "Ada", NOON_MS)


@pytest.fixture
def book(store: Store, hand_clock: HandClock) -> Lots:
    return Lots(store, lambda: datetime.fromtimestamp(hand_clock.wall_ms / 1000, UTC).date())


@pytest.fixture
async def ingest(store: Store, clock: Clock, door: Door, boot: int, book: Lots) -> Ingest:
    return Ingest(store, clock, door, boot, lambda _stored, _id: None, on_refill=book.look_again)


@pytest.fixture
def poured(store: Store, counter: Counter) -> Callable[..., None]:
    def pour(body: PouredBody | RefilledBody = POUR, session: int = 1, age_ms: int = 0) -> None:
        counter.send(body, session=session, age_ms=age_ms)
        store.write(lambda _tx: None).result(20)

    return pour


@pytest.fixture
def of_lot(store: Store) -> Iterator[Callable[[str], list[tuple[int, str | None, int]]]]:
    with closing(store.reader()) as reader:
        yield lambda lot: [(pour.nozzle, pour.subject, pour.volume_ul) for pour in bottle_pours.of_lot(reader, lot)]


async def test_who_poured_from_a_lot_is_known_whoever_they_turn_out_to_be(
    book: Lots, poured: Any, of_lot: Any, recommender: Recommender, counter: Counter, store: Store
) -> None:
    poured()  # before anybody said what hangs there
    await book.hang(RED)
    await book.hang(replace(RED, nozzle=2, lot="L-2"))
    poured()
    recommender.answer(Screen(), counter.hello, ask(1, token="token"), 0)  # type: ignore[arg-type]
    store.write(lambda _tx: None).result(20)
    poured()
    poured(session=2)
    poured(session=0)
    assert of_lot("L-1") == [(1, ANNA, 5000), (1, ANNA, 5000), (1, "s-hot-bar-1-00000007-2", 5000), (1, None, 5000)]
    assert of_lot("L-2") == []


async def test_the_next_bottle_gets_the_next_pours(
    book: Lots, poured: Any, of_lot: Any, hand_clock: HandClock, counter: Counter
) -> None:
    await book.hang(RED)
    poured()
    hand_clock.go_on(60_000)
    counter.uptime_ms += 60_000
    second = await book.hang(replace(RED, lot="L-2", since_ms=hand_clock.wall_ms))
    assert book.bottle("hot-bar-1", 1) == second
    poured()
    poured(age_ms=30_000)  # it waited on the dispenser, and happened before the bottle was changed
    assert (len(of_lot("L-1")), len(of_lot("L-2"))) == (2, 1)


async def test_a_refill_that_nobody_told_of_ends_the_bottle_that_was_known(
    book: Lots, poured: Any, of_lot: Any, hand_clock: HandClock, counter: Counter
) -> None:
    await book.hang(RED)
    hand_clock.go_on(SAME_ACT_MS - 1_000)
    counter.uptime_ms += SAME_ACT_MS - 1_000
    poured(RefilledBody(nozzle=1, sauce="table-red", volume_ul=750_000))
    assert book.bottle("hot-bar-1", 1) is not None, "the dispenser's own word of the same act"
    hand_clock.go_on(SAME_ACT_MS + 1_000)
    counter.uptime_ms += SAME_ACT_MS + 1_000
    poured(RefilledBody(nozzle=1, sauce="table-red", volume_ul=750_000))
    poured()
    await wait_until_async(lambda: book.bottle("hot-bar-1", 1) is None, 5, "the bottle has gone")
    assert of_lot("L-1") == []
    hand_clock.go_on(60_000)
    told = await book.hang(replace(RED, lot="L-3", since_ms=hand_clock.wall_ms))
    assert told.since_ms == hand_clock.wall_ms - 60_000, "it was hung when the dispenser said so"


async def test_a_bottle_that_goes_between_two_pours_of_one_commit_gets_the_first_alone(
    book: Lots, store: Store, of_lot: Any, door: Door
) -> None:
    first_hung, hung_ms = await book.hang(RED), NOON_MS + SAME_ACT_MS + 1_000
    data = door.admit(POUR, "session", None)
    assert isinstance(data, Poured)

    def work(tx: Transaction) -> None:
        for position, time_ms in ((1, hung_ms - 2), (2, hung_ms - 1), (3, hung_ms)):
            bottle_pours.note(tx, "hot-bar-1", position, data, Stamp(time_ms, 0, 0, "known"), f"s-{position}")
            if position == 1:
                lots.refill(tx, "hot-bar-1", 1, hung_ms - 1)

    store.write(work).result(20)
    assert (first_hung.lot, [subject for _, subject, _ in of_lot("L-1")]) == ("L-1", ["s-1"])


@pytest.mark.parametrize("opts_out", [False, True])
async def test_what_was_poured_between_a_refill_and_the_word_of_its_lot_is_of_this_lot(  # noqa: PLR0913, PLR0917
    book: Lots, poured: Any, of_lot: Any, hand_clock: HandClock, counter: Counter, recommender: Recommender,
    store: Store, door: Door, clock: Clock, boot: int, opts_out: bool,
) -> None:  # fmt: skip
    def go_on(ms: int) -> None:
        hand_clock.go_on(ms)
        counter.uptime_ms += ms

    await book.hang(RED)
    go_on(SAME_ACT_MS + 1_000)
    poured(RefilledBody(nozzle=1, sauce="table-red", volume_ul=750_000))
    go_on(10_000)
    poured()
    poured(PouredBody(nozzle=2, sauce="table-red", volume_ul=1000, duration_ms=900))
    recommender.answer(Screen(), counter.hello, ask(1, token="token"), 0)  # type: ignore[arg-type]
    store.write(lambda _tx: None).result(20)
    poured(session=2)
    go_on(60_000)
    if opts_out:
        data = ConsentChanged(store=door.store, region=door.region, channel="gateway", consent="none")
        when = stamp(clock.now(), boot, 0, sure=True)
        store.write(lambda tx: consents.set_here(tx, ANNA, when, data)).result(20)
    await book.hang(replace(RED, lot="L-2", since_ms=hand_clock.wall_ms))
    assert of_lot("L-2") == [(1, None if opts_out else ANNA, 5000), (1, "s-hot-bar-1-00000007-2", 5000)]
    assert of_lot("L-1") == []


async def test_who_opted_out_is_in_no_recall(  # noqa: PLR0913, PLR0917 -- its parts
    book: Lots, poured: Any, of_lot: Any, recommender: Recommender, counter: Counter, store: Store, door: Door,
    clock: Clock, boot: int,
) -> None:  # fmt: skip
    await book.hang(RED)
    poured()
    recommender.answer(Screen(), counter.hello, ask(1, token="token"), 0)  # type: ignore[arg-type]
    data = ConsentChanged(store=door.store, region=door.region, channel="gateway", consent="none")
    when = stamp(clock.now(), boot, 0, sure=True)
    store.write(lambda tx: consents.set_here(tx, ANNA, when, data)).result(20)
    assert of_lot("L-1") == [(1, None, 5000)]


async def test_while_the_time_is_unknown_a_pour_is_of_what_hangs_there(
    book: Lots, poured: Any, of_lot: Any, hand_clock: HandClock
) -> None:
    await book.hang(RED)
    hand_clock.wall_ms = 12_345_000  # 1970
    poured()
    assert of_lot("L-1") == [(1, SESSION, 5000)]


async def test_bottles_and_their_pours_are_bounded(
    book: Lots, poured: Any, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lots, "KEPT", 2)
    monkeypatch.setattr(bottle_pours, "KEPT", 2)
    for number in range(5):
        await book.hang(replace(RED, lot=f"L-{number}"))
        poured()
    assert rows("SELECT lot FROM bottles ORDER BY bottle") == [("L-2",), ("L-3",), ("L-4",)]
    assert rows("SELECT count(*) FROM bottle_pours") == [(3,)], "the newest, and what came since"


@pytest.mark.parametrize("best_before", [TODAY, None])
async def test_a_bottle_past_its_date_is_left_out(book: Lots, hand_clock: HandClock, best_before: date | None) -> None:
    nozzles = (NozzleInfo(1, "table-red", 500), NozzleInfo(2, "table-red", 500))
    hung = await book.hang(replace(RED, best_before=best_before))
    assert book.fit("hot-bar-1", nozzles) == nozzles
    assert book.unfit(hung) is None
    hand_clock.go_on(86_400_000)
    assert book.unfit(hung) == (None if best_before is None else "expired")
    assert book.fit("hot-bar-1", nozzles) == (nozzles if best_before is None else nozzles[1:])
    assert book.fit("hot-bar-2", nozzles) == nozzles


async def test_a_recalled_lot_is_left_out_until_the_recall_is_lifted(book: Lots, store: Store) -> None:
    nozzles = (NozzleInfo(1, "table-red", 500),)
    hung = await book.hang(RED)
    await book.recall(Recall("L-1", NOON_MS, "Ada", "glass"))
    assert (book.unfit(hung), book.fit("hot-bar-1", nozzles)) == ("recalled", ())
    again = Lots(store, lambda: TODAY)  # a restart
    assert (again.unfit(hung), again.hanging, again.recalls) == ("recalled", [hung], book.recalls)
    with pytest.raises(DataError, match="recalled"):
        await again.hang(replace(RED, nozzle=3))
    assert await again.lift("L-1")
    assert not await again.lift("L-1")
    assert again.fit("hot-bar-1", nozzles) == nozzles


async def test_a_bottle_that_is_past_its_date_is_not_hung(book: Lots, rows: Rows) -> None:
    with pytest.raises(DataError, match="has passed"):
        await book.hang(replace(RED, best_before=date(2020, 1, 1)))
    assert rows("SELECT * FROM bottles") == []


@pytest.mark.parametrize(("text", "lot"), [(" l2026-a ", "L2026-A"), ("a  b/3", "A B-3"), ("7", "7")])
def test_lots_are_read_as_labels_are(text: str, lot: str) -> None:
    assert lots.read_lot(text) == lot


@pytest.mark.parametrize("text", ["", "-1", "a" * 33, "ä", "a;b", "lot\n<b>"])
def test_what_can_t_be_a_lot(text: str) -> None:
    with pytest.raises(DataError):
        lots.read_lot(text)
