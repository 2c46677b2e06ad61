"""What a site's customers like is what the next stranger is believed to; a few of them are not enough."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from gateway.picks import Recommender
from gateway.site_prior import META, SitePriors
from gateway.store import Store
from heat.profile import contribution
from heat.reading import Prior
from heat.scale import milli_octaves, shu
from heat.site_prior import LEAST_CUSTOMERS, NARROWEST_MO, learn
from models.features import Context
from tests.gateway.conftest import DAY, Counter
from tests.strategies import poured, rated

Query = Callable[[str], list[tuple[Any, ...]]]

BRAND = Prior()
W = 12
KEPT = f"SELECT value FROM meta WHERE key = '{META}'"  # noqa: S608 -- a constant


def site(n: int, mean_mo: int, sd_mo: int, pours: int = 30) -> list[tuple[int, int]]:
    """Customers with so many pours each, whose tastes differ by `sd_mo`."""
    rng = random.Random(n)
    customers = []
    for _ in range(n):
        liked = rng.gauss(mean_mo, sd_mo)
        heats = [max(round(rng.gauss(liked, 1150)), 0) for _ in range(pours)]
        customers.append((W * pours, W * sum(heats)))
    return customers


def test_many_customers_are_believed_over_the_brand() -> None:
    learned = learn(site(2000, 11_000, 1500), BRAND)
    assert learned is not None
    assert abs(learned.mean_mo - 11_000) < 200
    assert abs(learned.sd_mo - 1500) < 150


def test_what_pours_scatter_is_no_difference_between_customers() -> None:
    few = learn(site(2000, 9000, 1500, pours=5), BRAND)
    assert few is not None
    assert abs(few.sd_mo - 1500) < 60
    same = learn(site(2000, 8000, 0, pours=5), BRAND)
    assert same is not None
    assert NARROWEST_MO <= same.sd_mo < NARROWEST_MO + 100


def test_few_customers_are_drawn_towards_the_brand() -> None:
    assert learn(site(LEAST_CUSTOMERS - 1, 12_000, 1000), BRAND) is None
    assert learn([], BRAND) is None
    learned = learn(site(LEAST_CUSTOMERS, 12_000, 1000), BRAND)
    assert learned is not None
    assert abs(learned.mean_mo - 10_000) < 400
    assert learned.sd_mo > BRAND.sd_mo  # they and the brand are far apart


def fold(store: Store, subject: str, pours: int, heat_shu: int, origin: str = "gw-1") -> None:
    """A customer's pours."""

    def work(tx: Any) -> None:
        for _ in range(pours):
            tx.fold(subject, contribution(poured(heat_shu), origin, DAY))
        tx.fold(subject, contribution(rated(16_000_000, "too_hot"), origin, DAY))

    store.write(work).result(20)


async def test_it_is_learned_from_this_site_s_own_customers_and_survives_a_restart(
    store: Store, recommender: Recommender, counter: Counter, rows: Query
) -> None:
    for number in range(LEAST_CUSTOMERS):
        fold(store, f"p1-{number:032x}", 6, 100_000)
        fold(store, f"p1-{number:032x}", 6, 100, origin="gw-2")  # seen by another store
        fold(store, f"p1-{number + 100:032x}", 4, 100)  # hardly known
        fold(store, f"s-hot-bar-1-00000007-{number}", 6, 100)  # nobody
    priors = SitePriors(store, None, None)
    assert priors.current == BRAND
    await priors.look()
    expected = (milli_octaves(100_000) + BRAND.mean_mo) // 2
    assert abs(priors.current.mean_mo - expected) <= 1
    assert SitePriors(store, None, None).current == priors.current
    # again changes nothing on disk
    before = rows(KEPT)
    await priors.look()
    assert rows(KEPT) == before
    # and picks go by it
    recommender.prior = priors.current
    state = recommender.slate(counter.hello.nozzles, [], Context()).reading.state
    assert (state.mean_mo, state.sd_mo) == (priors.current.mean_mo, priors.current.sd_mo)


@pytest.mark.parametrize(("mean_shu", "sd_octaves"), [(50_000, None), (None, 1.5), (50_000, 1.5)])
def test_it_may_be_set_by_hand(store: Store, mean_shu: int | None, sd_octaves: float | None) -> None:
    current = SitePriors(store, mean_shu, sd_octaves).current
    assert shu(current.mean_mo) == pytest.approx(mean_shu or shu(BRAND.mean_mo), rel=0.001)
    assert current.sd_mo == (1500 if sd_octaves else BRAND.sd_mo)


def test_what_a_damaged_disk_gives_back_is_learned_again(store: Store) -> None:
    store.write(lambda tx: tx.set_meta(META, '{"mean_mo": "warm"}')).result(20)
    assert SitePriors(store, None, None).current == BRAND
