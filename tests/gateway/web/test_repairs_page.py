"""The first page in a browser: a cable is pulled, let be and plugged in again, by thumb and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.web.who import Role
from tests.gateway.web.browser import PHONE, WIDE, visiting
from tests.gateway.web.conftest import Shop
from tests.waiting import wait_until

OFFLINE = "[data-code=dispenser_offline]"


@pytest.fixture
def unplugged(shop: Shop) -> Iterator[Shop]:
    """A shop that is up for a while, and whose first dispenser has no cable."""
    wait_until(lambda: shop.json("/api/v1/repairs")["urgent"] == 0, 20, "all is well")
    shop.ask("unplug", dispenser="hot-bar-1")
    wait_until(lambda: shop.json("/api/v1/repairs")["urgent"] == 1, 30, "it is told of")
    yield shop
    shop.ask("plug", dispenser="hot-bar-1")
    wait_until(lambda: shop.json("/api/v1/repairs")["urgent"] == 0, 30, "all is well again")


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_a_pulled_cable_comes_and_goes_by_itself(unplugged: Shop, browser: Browser, size: tuple[int, int]) -> None:
    with visiting(browser, unplugged, "/", size) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("1 thing to fix")
        card = page.locator(OFFLINE)
        expect(card).to_contain_text("hot-bar-1 is offline")
        expect(card).to_contain_text("It shows no picks")
        assert_reachable(page)
        unplugged.ask("plug", dispenser="hot-bar-1")
        expect(page.locator(OFFLINE)).to_have_count(0, timeout=20_000)
        expect(page.get_by_role("heading", level=1)).to_contain_text("All good")


def assert_reachable(page: Page) -> None:
    """Each button is as large as a thumb, and inside the screen."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    for button in page.locator("main button:visible, main a.button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["x"] + box["width"] <= width


def test_somebody_lets_it_be_without_javascript(unplugged: Shop, browser: Browser) -> None:
    with visiting(browser, unplugged, "/", PHONE, javascript=False) as page:
        page.locator(OFFLINE).get_by_text("Let it be").click()
        expect(page.get_by_role("button", name="1 week")).to_have_count(0)  # it can't wait so long
        page.get_by_role("button", name="1 hour").click()
        expect(page.get_by_role("heading", level=1)).not_to_contain_text("to fix")
        page.locator("summary").get_by_text("1 that somebody lets be").click()
        expect(page.locator(OFFLINE)).to_contain_text("lets it be until")
        page.locator(OFFLINE).get_by_role("button", name="Show it again").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 thing to fix")
        page.locator(OFFLINE).get_by_role("button", name="Check again").click()
        expect(page.locator(OFFLINE)).to_be_visible()


def test_what_comes_and_goes_is_one_entry_that_stays_and_does_not_press(shop: Shop, browser: Browser) -> None:
    """By now the cable was pulled three times."""
    with visiting(browser, shop, "/", PHONE) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("1 to look at")
        expect(page.locator(OFFLINE)).to_contain_text("comes and goes")
        expect(page.locator(OFFLINE)).to_contain_text("not there now")
        expect(page.locator(OFFLINE)).to_contain_text("3 times within an hour")


def test_a_viewer_reads_and_has_no_buttons(unplugged: Shop, browser: Browser) -> None:
    with visiting(browser, unplugged, "/", PHONE, role=Role.VIEWER) as page:
        expect(page.locator(OFFLINE)).to_be_visible()
        expect(page.locator("main button")).to_have_count(0)
