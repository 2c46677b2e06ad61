"""A live page in a browser: what changes comes in, what somebody is at stays, ages grow, and a lost line is told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, expect

from gateway.web.cookies import SESSION
from gateway.web.who import Role
from tests.access import NAMES, give_cookie
from tests.gateway.web import sample
from tests.gateway.web.browser import context_of, set_visibility, visiting
from tests.gateway.web.sample import Served
from tests.waiting import wait_until

shop, as_new = sample.shop, sample.as_new


def test_a_change_comes_in(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample") as page:
        shop.sample.values["left"] = "five <b>"
        expect(page.locator(".left")).to_have_text("five <b>")
        shop.sample.values["rows"] = ["a"]
        expect(page.locator("li[data-key]")).to_have_text(["a"])
        shop.sample.values["rows"] = ["b", "a"]
        expect(page.locator("li.new")).to_have_text(["b"])


def test_what_it_is_about_is_gone(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample", tolerate="404") as page:
        shop.sample.values["gone"] = True
        expect(page.locator("main")).to_contain_text("there is no dispenser of this name")


def test_whoever_is_signed_out_elsewhere_is_led_to_the_sign_in_and_back(browser: Browser, shop: Served) -> None:
    with context_of(browser, shop, role=None, tolerate="401|sse:error") as context:
        own = shop.web.access.sessions.begin_now(NAMES[Role.OWNER], "127.0.0.1", "a test")
        give_cookie(context, shop.url, SESSION, own)
        page = context.new_page()
        page.goto(shop.url + "/sample")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        assert context.request.post(f"{shop.url}/sign-out", headers={"origin": shop.url}).ok
        expect(page).to_have_url(f"{shop.url}/sign-in?next=/sample")


def test_what_somebody_is_at_stays(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample") as page:
        page.get_by_text("More", exact=True).last.click()
        label, kind, sure = (page.get_by_label(each, exact=True) for each in ("Label", "Kind", "Sure"))
        kind.select_option("seven")
        sure.check()
        label.fill("half of a na")
        shop.sample.values["right"] = "2"
        expect(page.locator(".right")).to_have_text("2")
        expect(page.get_by_text("inside 2")).to_be_visible()
        expect(label).to_have_value("half of a na")
        expect(label).to_be_focused()
        page.get_by_role("heading", name="Right").click()  # focus goes, what was typed stays
        shop.sample.values["right"] = "3"
        expect(page.locator(".right")).to_have_text("3")
        expect(label).to_have_value("half of a na")
        expect(kind).to_have_value("7")
        expect(sure).to_be_checked()


def test_ages_grow_and_what_is_old_is_grey(browser: Browser, shop: Served) -> None:
    shop.sample.values["since"] = datetime.now(UTC)
    with visiting(browser, shop, "/sample") as page:
        reading = page.locator(".reading")
        expect(reading).to_have_class("reading")
        expect(reading).to_have_class("reading stale")
        expect(reading.locator("time")).to_have_text(re.compile(r"[4-9] sec\. ago"))
        shop.sample.values["since"] = datetime.now(UTC) + timedelta(seconds=60)  # a newer one: true again
        expect(reading).to_have_class("reading")


def test_ages_are_by_the_gateways_clock(browser: Browser, shop: Served) -> None:
    with context_of(browser, shop) as context:
        context.clock.install(time=datetime.now() + timedelta(hours=1))  # noqa: DTZ005  the browser's
        shop.sample.values["since"] = datetime.now(UTC) + timedelta(seconds=60)
        page = context.new_page()
        page.goto(shop.url + "/sample")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        shop.sample.values["left"] = "told"  # with what time it is
        expect(page.locator(".left")).to_have_text("told")
        page.clock.run_for(2_000)
        expect(page.locator(".reading")).to_have_class("reading")


def test_ages_are_told_in_the_readers_language(browser: Browser, shop: Served) -> None:
    for language, text in (("en", "7 min. ago"), ("de", "vor 7 Min."), ("es", "hace 7 min")):
        for javascript in (True, False):  # the gateway and the browser say the same
            shop.sample.values["since"] = datetime.now(UTC) - timedelta(minutes=7, seconds=5)
            with visiting(browser, shop, "/sample", language=language, javascript=javascript) as page:
                expect(page.locator(".reading time")).to_have_text(text)
                expect(page.locator(".reading")).to_have_class("reading stale")


# -- a line that is lost ----------------------------------------------------------------------------------------------


def test_silence_is_told_after_twelve_seconds_and_ends_with_the_next_word(browser: Browser, shop: Served) -> None:
    with context_of(browser, shop) as context:
        page = context.new_page()
        page.clock.install()
        page.goto(shop.url + "/sample")
        badge = page.locator("#connection")
        expect(badge).to_have_attribute("data-state", "live")
        page.clock.pause_at(datetime.now() + timedelta(seconds=40))  # noqa: DTZ005  the browser's
        expect(badge).to_have_text(re.compile(r"not connected since \d+:\d\d:\d\d"))
        page.clock.resume()
        expect(badge).to_have_attribute("data-state", "live")


def test_an_error_is_told_at_once(browser: Browser, shop: Served) -> None:
    with visiting(browser, shop, "/sample", tolerate="htmx:sse:error|ERR_INTERNET_DISCONNECTED") as page:
        badge = page.locator("#connection")
        page.context.set_offline(True)
        expect(badge).to_have_attribute("data-state", "lost", timeout=4_000)
        shop.sample.values["left"] = "meanwhile"
        page.context.set_offline(False)
        expect(badge).to_have_attribute("data-state", "live")
        expect(page.locator(".left")).to_have_text("meanwhile")


def test_a_page_that_was_opened_in_the_background_waits_there(browser: Browser, shop: Served) -> None:
    with context_of(browser, shop) as context:
        page = context.new_page()
        page.add_init_script("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.goto(shop.url + "/sample")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        wait_until(lambda: not shop.web.streams, 10, "it has closed its stream")
        shop.sample.values["left"] = "meanwhile"
        set_visibility(page, "visible")
        expect(page.locator(".left")).to_have_text("meanwhile", timeout=2_000)
