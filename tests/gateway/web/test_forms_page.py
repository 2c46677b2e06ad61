"""Forms in a browser: one key for as long as a document lives, and what pours is held for a second or typed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.gateway.web import sample
from tests.gateway.web.browser import visiting
from tests.gateway.web.sample import Served
from tests.waiting import wait_until

shop, as_new = sample.shop, sample.as_new


def test_a_form_has_one_key_as_long_as_its_document_lives(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample") as page:
        form = page.locator("form").first
        key = form.get_attribute("action")
        shop.sample.values["right"] = "2"
        expect(page.locator(".right")).to_have_text("2")
        assert form.get_attribute("action") == key
        page.get_by_role("button", name="Save").click()
        wait_until(lambda: shop.sample.posted, 5, "the form is posted")
        assert f"once={shop.sample.posted[0]['once']}" in (key or "")
        assert form.get_attribute("action") != key, "another document, another key"


# -- held for a second ------------------------------------------------------------------------------------------------


def test_a_button_is_held_for_a_second(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample") as page:
        button = page.get_by_role("button", name="Test pour")
        expect(page.get_by_label("Type POUR to go on")).to_be_hidden()
        button.hover()
        page.mouse.down()
        wait_until(lambda: shop.sample.posted, 5, "it is posted while the button is held")
    assert [posted["confirm"] for posted in shop.sample.posted] == ["POUR"]


def test_a_short_press_asks_for_the_word_instead(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample") as page:
        button = page.get_by_role("button", name="Test pour")
        button.click()
        word = page.get_by_label("Type POUR to go on")
        expect(word).to_be_focused()
        assert shop.sample.posted == []
        word.fill("pour")
        button.click()
        wait_until(lambda: shop.sample.posted, 5, "the word is posted")
    assert [posted["confirm"] for posted in shop.sample.posted] == ["pour"]


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_key_is_held_for_a_second(browser: Browser, shop: Served, key: str) -> None:
    with visiting(browser, shop, "/sample") as page:
        page.get_by_role("button", name="Test pour").focus()
        page.keyboard.down(key)
        wait_until(lambda: shop.sample.posted, 5, "it is posted while the key is held")
    assert [posted["confirm"] for posted in shop.sample.posted] == ["POUR"]


def test_without_javascript_the_word_is_typed(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample", javascript=False) as page:
        page.get_by_label("Type POUR to go on").fill("POUR")
        page.get_by_role("button", name="Test pour").click()
        expect(page).to_have_url(shop.url + "/sample")
    assert [posted["confirm"] for posted in shop.sample.posted] == ["POUR"]
