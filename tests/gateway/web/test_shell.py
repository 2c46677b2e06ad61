"""The shell: every page has its place in the menu, fits both sizes, and says nothing on the console."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from gateway.web.shell import MENU
from tests.gateway.web.browser import PHONE, WIDE, visiting
from tests.gateway.web.conftest import Shop

PAGES = [path for _, path, _ in MENU if path != "/"]


@pytest.mark.parametrize("javascript", [True, False], ids=["live", "still"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_each_page_of_the_menu_is_reached_and_fits(
    browser: Browser, shop: Shop, size: tuple[int, int], javascript: bool
) -> None:
    with visiting(browser, shop, PAGES[0], size, javascript=javascript) as page:
        menu = page.get_by_role("navigation", name="Pages")
        for name, path, title in MENU[1:]:
            if name in {"events", "system", "people"} and size == PHONE:
                menu.locator("summary").click()
            menu.get_by_role("link", name=str(title)).click()
            expect(page).to_have_url(shop.url + path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            expect(menu.locator("a[aria-current=page]:visible, .within > summary:visible")).to_have_count(1)
