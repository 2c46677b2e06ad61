"""The shell: every page has its place in the menu, fits both sizes, and says nothing on the console."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from gateway.web.application import pages
from gateway.web.shell import MENU
from tests.gateway.web.browser import PHONE, WIDE, visiting
from tests.gateway.web.conftest import Inside, Shop

PAGES = [path for _, path, _ in MENU if path != "/"]


def test_each_page_stands_under_one_of_the_menu() -> None:
    menu = {name for name, _, _ in MENU}
    assert [name for name, page in pages().items() if page.stands_under not in menu] == []


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


async def test_what_hangs_on_one_says_so(inside: Inside) -> None:
    for path, place in (("/system/log", "/system"), ("/sync/letters", "/sync"), ("/recall", "/dispensers")):
        page = (await inside.client.get(path)).text
        assert re.search(rf'<a href="{place}"[^>]* aria-current="true">', page), path
