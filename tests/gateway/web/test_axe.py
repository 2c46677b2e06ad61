"""Every page as people with other eyes and hands meet it: axe-core finds nothing, and none is wider than its screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from gateway.web import application
from gateway.web.language import LANGUAGES
from tests.gateway.web.axe import violations
from tests.gateway.web.browser import PHONE, context_of
from tests.gateway.web.conftest import Shop
from tests.gateway.web.places import ELSEWHERE, SIGN_IN, places, visited

ZOOMED = (640, 400)
"""What 200 % leaves of 1280 by 800."""


@pytest.fixture(scope="module", autouse=True)
def _a_visit(shop: Shop) -> None:
    visited(shop)


def test_every_page_is_looked_at(shop: Shop) -> None:
    assert set(places(shop)) - {"kiosk"} == set(application.pages()) - set(ELSEWHERE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_is_kept_out(browser: Browser, shop: Shop, language: str) -> None:
    """Each page in one language; its colours and its width on a phone in the light, and at 200 % in the dark."""
    found: dict[str, object] = {}
    first = LANGUAGES.index(language)
    with context_of(browser, shop, language=language) as context:
        for name, path in list(places(shop).items())[first :: len(LANGUAGES)]:
            page = context.new_page()
            answer = page.goto(shop.url + path)
            assert answer is not None
            assert answer.status == 200, path
            found[name] = [*violations(page), *too_wide(page, PHONE)]
            page.set_viewport_size({"width": ZOOMED[0], "height": ZOOMED[1]})
            page.emulate_media(color_scheme="dark")
            found[f"{name}, zoomed"] = [*violations(page, "color-contrast", "target-size"), *too_wide(page, ZOOMED)]
            page.close()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def too_wide(page: Page, size: tuple[int, int]) -> list[str]:
    """Whether something lies beside the screen."""
    width = page.evaluate("document.documentElement.scrollWidth")
    return [f"{width} px wide"] if width > size[0] else []


def test_the_door_keeps_nobody_out(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop, role=None) as context:
        page = context.new_page()
        page.goto(shop.url + SIGN_IN)
        assert violations(page) == []


def test_a_violation_is_found(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop) as context:
        page = context.new_page()
        page.goto(shop.url + "/sync")
        page.evaluate("document.querySelector('h1').append(document.createElement('button'))")
        assert any(line.startswith("button-name") for line in violations(page))
