"""What is poured at a site makes its sauces popular there, whoever poured it, and old favourites are forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody
from gateway import site_pours
from gateway.picks import Recommender
from gateway.store import Store
from heat.catalog import default_catalog
from heat.events import Impression
from heat.pours import CATALOG_POURS
from models.features import COLUMN, Menu, features
from models.logged import asked
from tests.gateway.conftest import Counter, Screen, ask
from tests.gateway.test_picks import impressions

Query = Callable[[str], list[tuple[Any, ...]]]
MENU = Menu([default_catalog()[sauce] for sauce in ("table-red", "garlic-ghost")])
BEFORE = {sauce.id: CATALOG_POURS * sauce.popularity / 100 for sauce in MENU.sauces}


def pour(store: Store, sauce: str, times: int) -> None:
    def work(tx: Any) -> None:
        for _ in range(times):
            site_pours.note(tx, sauce)

    store.write(work).result(20)


def popularity(store: Store) -> dict[str, float]:
    with closing(store.reader()) as reader:
        return site_pours.popularity(reader, MENU)


def test_a_new_site_goes_by_the_catalogue(store: Store) -> None:
    assert popularity(store) == BEFORE


def test_pours_add_up(store: Store) -> None:
    pour(store, "garlic-ghost", 3)
    pour(store, "mango-fresno", 2)
    assert popularity(store) == BEFORE | {"garlic-ghost": BEFORE["garlic-ghost"] + 3}


def test_old_favourites_are_forgotten_by_and_by(store: Store, rows: Query) -> None:
    pour(store, "table-red", site_pours.HALVED_AT - 1)
    pour(store, "mango-fresno", 1)
    pour(store, "garlic-ghost", 10)
    pour(store, "table-red", 1)
    assert dict(rows("SELECT * FROM site_pours")) == {"table-red": site_pours.HALVED_AT // 2, "garlic-ghost": 5}


@pytest.mark.parametrize("session", [1, 0])
async def test_a_pour_counts_at_the_next_ask_of_anybody(
    recommender: Recommender, counter: Counter, rows: Query, session: int
) -> None:
    for _ in range(40):
        counter.send(PouredBody(nozzle=1, sauce="garlic-ghost", volume_ul=4000, duration_ms=800), session=session)
    await counter.settled(40)
    recommender.answer(Screen(), counter.hello, ask(1, session=2), 0)  # type: ignore[arg-type]
    (stored,) = (msgspec.convert(data, Impression) for data in await impressions(rows, 1))
    question = asked(stored)
    assert question is not None
    matrix = features(*question)
    best = question[1].ids[int(matrix[:, COLUMN["popularity"]].argmax())]
    assert (best == "garlic-ghost") == (session == 1), "what no customer poured, a test, makes nothing popular"
