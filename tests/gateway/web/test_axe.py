"""Every page as people with other eyes and hands meet it: axe-core finds nothing, and none is wider than its screen."""

from __future__ import annotations

from itertools import cycle

import pytest
from playwright.sync_api import Browser

from gateway.web import application
from tests.gateway.web.axe import violations
from tests.gateway.web.browser import PHONE, Look, context_of
from tests.gateway.web.conftest import Shop
from tests.gateway.web.places import ELSEWHERE, SIGN_IN, places, visited

ZOOMED = (640, 400)
"""What 200 % leaves of 1280 by 800."""


@pytest.fixture(scope="module", autouse=True)
def _a_visit(shop: Shop) -> None:
    visited(shop)


def test_every_page_is_looked_at(shop: Shop) -> None:
    assert set(places(shop)) - {"kiosk"} == set(application.pages()) - set(ELSEWHERE)


LIGHT: list[Look] = [{"language": language, "scheme": "light"} for language in ("en", "es", "de")]
DARK: list[Look] = [{"language": language, "scheme": "dark"} for language in ("de", "en", "es")]


@pytest.mark.parametrize(("size", "looks"), [(PHONE, LIGHT), (ZOOMED, DARK)], ids=["phone", "zoomed"])
def test_nobody_is_kept_out(browser: Browser, shop: Shop, size: tuple[int, int], looks: list[Look]) -> None:
    found: dict[str, object] = {}
    for (name, path), look in zip(places(shop).items(), cycle(looks), strict=False):
        with context_of(browser, shop, size, **look) as context:
            page = context.new_page()
            answer = page.goto(shop.url + path)
            assert answer is not None
            assert answer.status == 200, path
            if wrong := violations(page):
                found[f"{name} {look}"] = wrong
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > size[0]:
                found[f"{name} {look} width"] = width
    assert found == {}


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
