"""A kiosk that stands open, with one customer after the other, does not grow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.gateway.web.browser import visiting
from tests.gateway.web.conftest import Shop, open_shop
from tests.soak.growth import must_not_grow, soaked_s

PACE_S = 3.5
"""s between two customers: more is pressed than a gateway takes otherwise."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One of its own: customers pour bottles empty."""
    with open_shop(tmp_path_factory.mktemp("soak")) as opened:
        yield opened


def test_the_kiosk_of_a_dispenser(browser: Browser, shop: Shop) -> None:
    customers = itertools.count()
    with visiting(browser, shop, "/kiosk/hot-bar-1", (800, 1280)) as page:

        def visit() -> None:
            """Somebody comes, pours, says how it was, and goes."""
            number = next(customers)
            shop.ask("visit", dispenser="hot-bar-1", token=f"card-{number % 5}", pour="")
            expect(page.locator(".pick")).to_have_count(3)
            shop.ask("pour", dispenser="hot-bar-1", nozzle=2, ml=1)
            if number % 50 == 0:
                shop.ask("refill", dispenser="hot-bar-1", nozzle=2)
            page.get_by_role("button", name="Just right").click()
            expect(page.locator(".question button")).to_have_count(0)
            page.get_by_role("button", name="I am done").click()
            expect(page.locator(".offered li")).to_have_count(6)
            page.wait_for_timeout(PACE_S * 1000)

        expect(page.locator("picante-kiosk")).to_have_attribute("data-line", "open")
        visit()
        must_not_grow(page, soaked_s(), visit)
        expect(page.locator("picante-kiosk")).to_have_attribute("data-line", "open")
