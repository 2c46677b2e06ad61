"""Dispensers in a real browser: found, let in by finger and by keyboard, through a kill and a cut; told, and drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.gateway.web.browser import PHONE, WIDE, hold, visiting
from tests.gateway.web.conftest import Shop, open_shop

LET_IN_MS = 20_000
"""ms in which an adopted dispenser opens its link, and its page says so: it says HELLO every 8 s at least."""
GREY = "rgb(102, 91, 81)"
"""`--soft` of the light scheme."""
HOLD_MS = 1_000
"""ms for which a button is held; less is a slip."""
GONE = r"net::ERR_|^error: htmx:"
NEW = ("new-phone", "new-wide", "new-keys", "new-kill", "new-cut", "new-plain")

SCENARIO = """\
store = "mercado-12"

[[dispensers]]
id = "hot-bar-1"
nozzles = ["garden-green", "table-red", "chipotle-honey"]
sample_hz = 10

[[dispensers]]
id = "hot-bar-2"
nozzles = 12
""" + "".join(
    f'\n[[dispensers]]\nid = "{name}"\nfactory_new = true\nnozzles = ["table-red", "mango-fresno"]\n' for name in NEW
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Two dispensers, and six that wait."""
    with open_shop(tmp_path_factory.mktemp("shop"), scenario=SCENARIO) as opened:
        yield opened


def expect_let_in(page: Page, name: str) -> None:
    """It is at its own page, which comes to say that it is there."""
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.locator("#dispenser-head .badge").first).to_have_text("Well", timeout=LET_IN_MS)


@pytest.mark.parametrize(("size", "name"), [(PHONE, "new-phone"), (WIDE, "new-wide")], ids=["phone", "wide"])
def test_a_new_one_is_found_and_let_in_by_finger(
    browser: Browser, shop: Shop, size: tuple[int, int], name: str
) -> None:
    with visiting(browser, shop, "/dispensers", size, touch=True) as page:
        waiting = page.locator("article", has_text=name)
        expect(waiting).to_contain_text("Waits to be let in", timeout=LET_IN_MS)
        waiting.get_by_role("link", name="Adopt").tap()
        expect(page.locator("#adopt-state")).to_contain_text("Table Red, Mango Fresno")
        page.get_by_label("What people call it").fill(f"Bar, {name}")
        page.get_by_role("button", name="Adopt").tap()
        expect_let_in(page, f"Bar, {name}")
        page.get_by_role("button", name="Let it blink").tap()
        expect(page.locator("#dispenser-commands li").first).to_contain_text(re.compile("Blink.*done", re.DOTALL))


def press_until(page: Page, text: str) -> None:
    """Go on from one thing to the next, as who has no mouse does, until the focus is there."""
    focused = page.locator(":focus")
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused.count() and text in (focused.inner_text() or focused.get_attribute("name") or ""):
            return
    raise AssertionError(f"no way to {text!r} by keyboard")


def test_a_new_one_is_let_in_by_keyboard_alone(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/dispensers?search=new-keys", WIDE) as page:
        expect(page.locator("article")).to_contain_text("Waits to be let in", timeout=LET_IN_MS)
        press_until(page, "Adopt")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Adopt new-keys")
        press_until(page, "name")
        page.keyboard.type("By keys")
        press_until(page, "Adopt")
        page.keyboard.press("Enter")
        expect_let_in(page, "By keys")


def test_a_daemon_that_is_killed_right_after_lets_it_in_all_the_same(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/dispensers/new-kill/adopt", tolerate=GONE) as page:
        page.get_by_label("What people call it").fill("Killed")
        page.get_by_role("button", name="Adopt").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Killed")
        shop.gateway.kill()
        expect(page.locator("#connection")).to_contain_text("not connected since", timeout=15_000)
        for value in ("#dispenser-head .figures dd", "#dispenser-bottles .list"):
            expect(page.locator(value).first).to_have_css("color", GREY)
        shop.start_gateway()
        expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=15_000)
        expect(page.locator("#dispenser-head .figures dd").first).not_to_have_css("color", GREY)
        expect_let_in(page, "Killed")


def test_a_form_that_was_sent_into_a_cut_is_sent_again_and_adopts_once(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/dispensers/new-cut/adopt", tolerate=GONE) as page:
        name = page.get_by_label("What people call it")
        name.fill("After the cut")
        page.context.set_offline(True)
        page.get_by_role("button", name="Adopt").click()
        page.wait_for_url("chrome-error://**")
        page.context.set_offline(False)
        page.go_back()
        name.fill("After the cut")
        page.get_by_role("button", name="Adopt").click()
        expect_let_in(page, "After the cut")


def test_a_new_one_is_let_in_without_javascript(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/dispensers?search=new-plain", javascript=False) as page:
        page.get_by_role("link", name="Adopt").click()
        page.get_by_label("What people call it").fill("Plain")
        page.get_by_role("button", name="Adopt").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Plain")
        expect(page.locator("#dispenser-head")).to_contain_text("new-plain")
        page.get_by_text("Reboot, key, forget").click()
        reboot = page.locator("form", has_text="It is back in a few seconds")
        reboot.get_by_label("Type REBOOT to go on").fill("reboot")
        reboot.get_by_role("button").click()
        expect(page.locator("#dispenser-commands li").first).to_contain_text("Reboot")


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_a_search_is_kept_and_a_page_fits(browser: Browser, shop: Shop, size: tuple[int, int]) -> None:
    with visiting(browser, shop, "/dispensers", size) as page:
        page.get_by_role("searchbox").fill("chipotle hot-bar-1")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("article")).to_have_count(1)
        expect(page.get_by_role("searchbox")).to_have_value("chipotle hot-bar-1")
        page.get_by_role("link", name="hot-bar-1").click()
        expect(page.locator("#dispenser-bottles li")).to_have_count(6)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_held_button_pours_once_and_a_tapped_one_does_not(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/dispensers/hot-bar-1") as page:
        page.get_by_text("Pour, prime, rinse").click()
        button = page.get_by_role("button", name="Pour now")
        button.click()
        expect(page.locator("#dispenser-commands")).to_contain_text("Nothing yet")
        hold_for_less(page, button)
        expect(page.locator("#dispenser-commands")).to_contain_text("Nothing yet")
        page.clock.resume()
        hold(page, button)
        page.wait_for_url("**#dispenser-commands")
        pours = page.locator("#dispenser-commands li", has_text="Test pour")
        expect(pours).to_have_count(1)
        expect(pours).to_contain_text(re.compile(r"done.*ml", re.DOTALL | re.IGNORECASE), timeout=LET_IN_MS)


def hold_for_less(page: Page, button: Locator) -> None:
    """For a second, less one millisecond: nothing is sent, and the word is asked for."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    began = datetime.now(UTC)
    page.clock.install(time=began)
    page.clock.pause_at(began + timedelta(seconds=10))  # its stream is called lost after 12 s
    button.hover()
    page.mouse.down()
    page.clock.run_for(HOLD_MS - 1)
    expect(page.locator("hold-button.holding")).to_have_count(1)
    page.mouse.up()
    expect(page.locator("hold-button.holding")).to_have_count(0)
    page.clock.run_for(HOLD_MS)
    assert "POST" not in sent


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_a_chart_is_drawn_and_goes_on(browser: Browser, shop: Shop, size: tuple[int, int]) -> None:
    with visiting(browser, shop, "/dispensers/hot-bar-1/readings", size, scheme="dark") as page:
        chart = page.locator("sample-chart")
        expect(chart.locator("canvas")).to_have_count(3)
        expect(chart).to_have_attribute("data-at", re.compile(r"\d{13}"), timeout=LET_IN_MS)
        before = chart.get_attribute("data-at") or ""
        expect(chart).not_to_have_attribute("data-at", before)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        expect(page.locator("#readings-values tbody tr")).to_have_count(3)


def test_readings_and_what_passes_are_read_without_javascript(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/dispensers/hot-bar-1/readings", javascript=False) as page:
        expect(page.locator("figcaption")).to_contain_text("10 minutes")
        expect(page.locator("#readings-values")).to_contain_text("Chipotle Honey")
    with visiting(browser, shop, "/dispensers/hot-bar-1/trace", WIDE, javascript=False) as page:
        shop.visit(pour="table-red")
        page.get_by_role("link", name="Look again").click()
        expect(page.locator("#trace-frames")).to_contain_text("PICKS")


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_what_passes_is_shown_as_it_passes(browser: Browser, shop: Shop, size: tuple[int, int]) -> None:
    with visiting(browser, shop, "/dispensers/hot-bar-1/trace", size) as page:
        shop.visit(token="loyalty-4711-jane", pour="table-red")
        expect(page.locator("#trace-frames")).to_contain_text(re.compile(r"EVENT \d+.*table-red", re.DOTALL))
        expect(page.locator("#trace-frames")).not_to_contain_text("jane")
