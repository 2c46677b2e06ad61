"""A chart that stands open, fed ten times a second, does not grow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.gateway.web.browser import visiting
from tests.gateway.web.conftest import Shop, open_shop
from tests.gateway.web.test_sample_stream import SAMPLING
from tests.soak.growth import must_not_grow, soaked_s


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One whose sensors are read."""
    with open_shop(tmp_path_factory.mktemp("soak"), scenario=SAMPLING) as opened:
        yield opened


def test_the_chart_of_a_dispenser(browser: Browser, shop: Shop) -> None:
    seconds = soaked_s()
    with visiting(browser, shop, "/dispensers/hot-bar-2/readings") as page:
        expect(page.locator("sample-chart[data-at]")).to_be_visible()
        expect(page.get_by_role("table")).to_be_visible()  # without readings there is none yet
        before = page.locator("sample-chart").get_attribute("data-at") or ""
        must_not_grow(page, seconds)
        expect(page.locator("sample-chart")).not_to_have_attribute("data-at", before)
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
