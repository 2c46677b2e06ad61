"""Pages that sleep for ten minutes, and more tabs than a session has streams: of a real daemon and live dispensers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from gateway.access.access import open_access
from gateway.web.seats import MAX_OF_SESSION
from tests.gateway.web.browser import context_of, put_away, take_up
from tests.gateway.web.conftest import Shop, open_shop
from tests.gateway.web.test_kiosk_page import arrive, is_live, kiosk_context, title
from tests.gateway.web.test_sample_stream import SAMPLING
from tests.waiting import wait_until

AWAKE_MS = 2_000
"""ms in which a page that is taken up again is fresh, as docs/web-ui.md has it."""
READ_MS = 20_000
"""ms in which a dispenser that is looked at tells its first SAMPLE."""
BAR = "/dispensers/hot-bar-1"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One whose sensors are read."""
    with open_shop(tmp_path_factory.mktemp("shop"), scenario=SAMPLING) as opened:
        yield opened


def opened(context: BrowserContext, shop: Shop, path: str, state: str = "live") -> Page:
    """A tab, and how its page comes to what is new."""
    page = context.new_page()
    page.goto(shop.url + path)
    expect(page.locator("#connection")).to_have_attribute("data-state", state)
    return page


def pours_today(page: Page) -> Locator:
    """The figure on a dispenser's page."""
    return page.locator("#dispenser-head .figures div", has_text="Pours today").locator("dd")


def pour(shop: Shop) -> str:
    """Somebody pours; how many did today."""
    bar = "/api/v1" + BAR
    before = shop.json(bar)["pours_today"]
    shop.visit(pour="table-red", volume_ul=40_000)
    wait_until(lambda: shop.json(bar)["pours_today"] > before, 10, "it is counted")
    return str(before + 1)


def drawn(chart: Page) -> int:
    """Up to which moment a chart is drawn, ms."""
    element = chart.locator("sample-chart")
    expect(element).to_have_attribute("data-at", re.compile(r"\d{13}"), timeout=READ_MS)
    return int(element.get_attribute("data-at") or 0)


def test_pages_that_slept_ten_minutes_are_fresh_within_two_seconds(browser: Browser, shop: Shop) -> None:
    with closing(open_access(shop.directory / "gateway")) as access:
        token = access.tokens.add_now("tablet", "kiosk:hot-bar-1", "a test", None)
    with context_of(browser, shop) as phone, kiosk_context(browser, shop, token) as tablet:
        for context in (phone, tablet):
            context.clock.install()
        chart = phone.new_page()
        streams: list[str] = []
        chart.on("request", lambda request: streams.append(request.url) if "live/" in request.url else None)
        chart.goto(f"{shop.url}{BAR}/readings")
        dispenser, meter = opened(phone, shop, BAR), opened(phone, shop, f"{BAR}/nozzles/1/calibrate")
        screen = tablet.new_page()
        screen.goto(shop.url + "/kiosk/hot-bar-1")
        is_live(screen)
        dispenser.get_by_text("Name", exact=True).click()
        name, dose = dispenser.get_by_label("What people call it"), meter.get_by_label("One dose")
        name.fill("half of a na")
        dose.fill("1")
        before_ms = drawn(chart)
        values = chart.locator("#readings-values tbody").inner_text()
        everyone = (chart, dispenser, meter, screen)
        for page in everyone:
            put_away(page)
        poured = pour(shop)
        arrive(shop)
        for context in (phone, tablet):
            context.clock.fast_forward("10:00")
        with chart.expect_request(re.compile("/live/readings/")) as asked:
            take_up(chart)
        last = asked.value.headers["last-event-id"]
        assert int(last.partition("~")[2]) >= before_ms, "it says what it has"
        expect(chart.locator("#readings-values tbody")).not_to_have_text(values, timeout=AWAKE_MS)
        expect(chart.locator("sample-chart")).not_to_have_attribute("data-at", last.partition("~")[2], timeout=AWAKE_MS)
        take_up(dispenser)
        expect(pours_today(dispenser)).to_have_text(poured, timeout=AWAKE_MS)
        take_up(screen)
        expect(title(screen)).to_have_text("Picked for you", timeout=AWAKE_MS)
        take_up(meter)
        for page in (chart, dispenser, meter):
            expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=AWAKE_MS)
        expect(name).to_have_value("half of a na")
        expect(dose).to_have_value("1")
        assert [url for url in streams if "/live/readings/" not in url] == [], "one stream a page"


def test_the_seventh_tab_loads_and_stays_fresh(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop) as context:
        live = [opened(context, shop, path) for path in ("/", "/dispensers", "/sync", f"{BAR}/readings")]
        assert len(live) == MAX_OF_SESSION
        dispenser = opened(context, shop, BAR, "polling")
        expect(dispenser.locator("#connection")).to_have_text("every 5 s")
        chart = opened(context, shop, "/dispensers/hot-bar-2/readings", "polling")
        screen = context.new_page()
        screen.goto(shop.url + "/kiosk/hot-bar-1")
        expect(screen.locator("picante-kiosk")).to_have_attribute("data-line", "polling")
        poured = pour(shop)
        arrive(shop)
        expect(title(screen)).to_have_text("Picked for you")
        expect(screen.locator("picante-kiosk")).to_have_attribute("data-line", "polling")
        expect(pours_today(dispenser)).to_have_text(poured)
        before_ms = drawn(chart)
        wait_until(lambda: drawn(chart) > before_ms, 15, "it goes on")
        live[0].close()
        alive = "#connection[data-state=live], picante-kiosk[data-line=open]"  # whoever asks next gets its stream
        polling = (dispenser, chart, screen)
        wait_until(lambda: any(page.locator(alive).count() for page in polling), 15, "one of them has it")
