"""What a customer may be shown at a dispenser: needs from the ASK, the store's limit, a wish of the session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, StatedBody
from firmware_bridge.messages import NozzleInfo
from gateway.clock import Clock
from gateway.door import Door
from gateway.menus import KEPT, Menus
from gateway.packed import unpack
from gateway.picks import Recommender
from gateway.rankers import Rankers
from gateway.store import Store
from gateway.venue import Venue
from heat.catalog import Catalog, default_catalog
from heat.events import Impression, Poured, read_data
from models.logged import asked
from models.ranker import RuleRanker
from models.rules import NO_NEEDS, Needs
from tests.gateway.conftest import KEY, Counter, Screen, ask
from tests.waiting import wait_until_async

CATALOG = default_catalog()
HOT = "reaper-raw"
NOZZLES = tuple(NozzleInfo(i, sauce, 500) for i, sauce in enumerate(("table-red", "miso-piri", HOT, "ketchup"), 1))


def with_adults(*ids: str) -> Catalog:
    sauces = tuple(msgspec.structs.replace(sauce, adults_only=sauce.id in ids) for sauce in CATALOG.values())
    return Catalog(CATALOG.version, CATALOG.flavours, sauces, CATALOG.allergens)


@pytest.fixture
async def limited(store: Store, clock: Clock, door: Door, boot: int) -> Recommender:
    door = dataclasses.replace(door, catalog=with_adults("table-red"))
    return Recommender(store, clock, door, boot, Rankers(RuleRanker()), (KEY, 1), lambda: None, Venue(50_000))


def shown(recommender: Recommender, counter: Counter, nonce: int, **more: object) -> set[str]:
    """What an ASK is answered."""
    hello, screen = msgspec.structs.replace(counter.hello, nozzles=NOZZLES), Screen()
    recommender.answer(screen, hello, ask(nonce, **more), 0)  # type: ignore[arg-type]
    return {pick.sauce for pick in screen.shown[0].picks}


async def test_an_ask_says_what_must_not_be_shown(limited: Recommender, counter: Counter) -> None:
    assert shown(limited, counter, 1) == set(), "not for minors, and above the limit: nothing fills up"
    assert shown(limited, counter, 2, adult=True) == {"table-red"}
    assert shown(limited, counter, 3, adult=True, dial=100) == {"table-red", "miso-piri"}
    assert shown(limited, counter, 4, adult=True, dial=100, avoid=("soya",)) == {"table-red"}
    assert shown(limited, counter, 5, adult=True, avoid=("kiwi",)) == set(), "no sauce was checked for it"
    limited.close()


async def test_the_limit_outlives_a_catalogue(limited: Recommender, counter: Counter, door: Door) -> None:
    limited.use(door)
    assert shown(limited, counter, 1) == {"table-red"}, "for everybody by now"
    assert limited.menus.to_confirm(NOZZLES) == (2, 3, 4)
    limited.close()


async def test_what_an_impression_leaves_out_tells_nobody_s_allergies(
    limited: Recommender, counter: Counter, rows: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    shown(limited, counter, 1, adult=True, dial=100)
    assert shown(limited, counter, 2, adult=True, dial=100, avoid=("soya",)) == {"table-red"}
    sql = "SELECT data FROM events WHERE type = 'picante.impression.v1' ORDER BY position"
    await wait_until_async(lambda: len(rows(sql)) == 2, 5, "impressions stored")
    whole, bare = (read_data("picante.impression.v1", unpack(data)) for (data,) in rows(sql))
    assert isinstance(whole, Impression)
    assert isinstance(bare, Impression)
    assert (whole.candidates, len(whole.offered)) == (("table-red", "miso-piri"), 2)
    assert (bare.candidates, bare.offered, bare.known) == (("table-red",), (), None)
    assert asked(whole) is not None
    assert asked(bare) is None
    limited.close()


async def test_a_wish_of_this_session_counts(limited: Recommender, counter: Counter) -> None:
    counter.send(StatedBody(shu=2_000_000))
    await counter.settled(1)
    assert HOT in shown(limited, counter, 1)
    counter.send(StatedBody(shu=1_000), session=2)
    await counter.settled(2)
    assert HOT not in shown(limited, counter, 2, session=2)
    limited.close()


def test_what_lies_above_the_limit_is_to_be_confirmed_and_what_nobody_knows() -> None:
    assert Menus(CATALOG, 50_000).to_confirm(NOZZLES) == (2, 3, 4)
    assert Menus(CATALOG, 100_000).to_confirm(NOZZLES) == (3, 4)
    assert Menus(CATALOG).to_confirm(NOZZLES) == ()


def test_menus_are_kept_and_bounded() -> None:
    menus = Menus(CATALOG, 50_000)
    first = menus.offer(NOZZLES, NO_NEEDS, None)
    assert menus.offer(NOZZLES, NO_NEEDS, 1) is first, "a mild wish changes nothing"
    assert menus.offer(NOZZLES, Needs(frozenset({"soya"})), None) is not first
    for level in range(KEPT + 5):
        menus.offer((NozzleInfo(1, "table-red", level + 1),), NO_NEEDS, None)
    assert len(menus._kept) <= KEPT


def test_a_confirmed_pour_is_flagged(door: Door) -> None:
    for confirmed in (False, True):
        body = PouredBody(nozzle=1, sauce=HOT, volume_ul=3000, duration_ms=900, confirmed=confirmed)
        data = door.admit(body, "session", None)
        assert isinstance(data, Poured)
        assert ("confirmed" in data.flags) is confirmed
