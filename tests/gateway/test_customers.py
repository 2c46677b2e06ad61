"""Who stands at a dispenser: whose past counts at an ASK, and what the store's rules and the customer's needs leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, StatedBody
from gateway import customers
from gateway.clock import Clock
from gateway.door import Door
from gateway.picks import Recommender
from gateway.rankers import Rankers
from gateway.store import Store
from gateway.transaction import read_profiles
from gateway.venue import Venue
from heat.catalog import Catalog, default_catalog
from heat.events import Impression, Known, SaucePours
from heat.identity import pseudonym, session_subject
from heat.reading import Prior, read
from heat.scale import default_words
from models.ranker import RuleRanker
from tests.gateway.conftest import KEY, Counter, HandClock, Screen, ask
from tests.gateway.test_picks import impressions

Query = Callable[[str], list[tuple[Any, ...]]]
DAY_MS = 86_400_000


class Bar:
    """A dispenser's customers, one ASK after the other."""

    def __init__(self, recommender: Recommender, counter: Counter, rows: Query) -> None:
        self._recommender, self._counter, self._rows = recommender, counter, rows
        self._asked = self._poured = 0

    async def pour(self, *sauces: str, session: int = 1) -> None:
        """Pour a portion of each."""
        for sauce in sauces:
            self._counter.send(PouredBody(nozzle=1, sauce=sauce, volume_ul=4000, duration_ms=800), session=session)
            self._poured += 1
        await self._counter.settled(self._poured)

    async def known(self, session: int, token: str | None = None) -> Known:
        """What is known of whoever asks now."""
        self._asked += 1
        question = ask(self._asked, session, token=token)
        self._recommender.answer(Screen(), self._counter.hello, question, 0)  # type: ignore[arg-type]
        known = msgspec.convert((await impressions(self._rows, self._asked))[-1], Impression).known
        assert known is not None
        return known


@pytest.fixture
def bar(recommender: Recommender, counter: Counter, rows: Query) -> Bar:
    """The bar."""
    return Bar(recommender, counter, rows)


async def test_a_session_s_past_is_its_customer_s_and_nobody_else_s(bar: Bar) -> None:
    await bar.pour("table-red")
    assert (await bar.known(1, "ann")).evidence == 1, "of the session, which Ann claims by this very ASK"
    assert (await bar.known(1)).evidence == 1, "of Ann, whose session it is by now"
    assert (await bar.known(1, "bob")).evidence == 0, "Bob is not Ann"
    assert (await bar.known(2, "ann")).evidence == 1
    assert (await bar.known(3)).evidence == 0
    await bar.pour("lime-jalapeno", session=2)
    await bar.pour("garlic-ghost", session=4)
    ann = await bar.known(4, "ann")
    assert (ann.evidence, ann.last_sauce) == (3, "garlic-ghost"), "what this session poured is later than all before"


async def test_past_pours_count_half_after_a_month(bar: Bar, hand_clock: HandClock) -> None:
    await bar.pour("table-red", "table-red")
    assert (await bar.known(1, "ann")).pours == (SaucePours("table-red", 2.0),)
    hand_clock.go_on(30 * DAY_MS)
    assert (await bar.known(2, "ann")).pours == (SaucePours("table-red", 1.0),)


async def test_a_change_of_taste_is_followed_by_the_doses_in_the_store(bar: Bar, store: Store) -> None:
    await bar.pour(*["lime-jalapeno"] * 8, *["cayenne-classic"] * 5)
    known = await bar.known(1)
    reader = store.reader()
    subject = session_subject("hot-bar-1", 7, 1)
    unfollowed = read(read_profiles(reader, [subject]), 20_416, Prior()).state.mean_mo
    reader.close()
    hot = default_catalog()["cayenne-classic"].heat.milli_octaves
    assert abs(known.mean_mo - hot) < 500 < hot - unfollowed


async def test_the_hottest_wish_of_a_session_opens_what_is_above_the_store_s_limit(
    store: Store, clock: Clock, door: Door, boot: int, counter: Counter
) -> None:
    counter.send(StatedBody(shu=60_000))
    await counter.settled(1)
    venue = Venue(limit_shu=20_000)
    recommender = Recommender(store, clock, door, boot, Rankers(RuleRanker()), (KEY, 1), lambda: None, venue)
    offered = [
        set(recommender._answer(counter.hello, ask(nonce, session, dial=30)).slate.menu.ids)
        for nonce, session in enumerate((1, 2))
    ]
    assert ["miso-piri" in menu for menu in offered] == [True, False]
    assert "reaper-raw" not in offered[0]
    recommender.close()


async def test_a_sauce_for_adults_is_for_whom_the_dispenser_checked(
    store: Store, clock: Clock, boot: int, counter: Counter
) -> None:
    known = default_catalog()
    grown_up = (msgspec.structs.replace(known["table-red"], adults_only=True), known["lime-jalapeno"])
    door = Door(Catalog("test", known.flavours, grown_up, known.allergens), default_words(), "plaza", "south")
    recommender = Recommender(store, clock, door, boot, Rankers(RuleRanker()), (KEY, 1), lambda: None)
    menus = [recommender._answer(counter.hello, ask(nonce, adult=nonce == 1)).slate.menu.ids for nonce in (1, 2)]
    assert menus == [("lime-jalapeno", "table-red"), ("lime-jalapeno",)]
    recommender.close()


async def test_who_wants_not_to_be_known_is_not_on_the_page(recommender: Recommender, bar: Bar) -> None:
    for session, token in ((1, "ann"), (2, "bob")):
        await bar.known(session, token)
    ann, bob = (pseudonym(token, KEY, 1) for token in ("ann", "bob"))
    assert [shown.subject for shown in recommender.recent] == [ann, bob]
    recommender.forget(ann)
    assert [shown.subject for shown in recommender.recent] == [None, bob]


async def test_without_a_session_the_token_alone_tells_who_it_is(recommender: Recommender) -> None:
    assert customers.subjects_of(recommender._reader, None, None) == []
    assert customers.subjects_of(recommender._reader, None, "p1-ann") == ["p1-ann"]
