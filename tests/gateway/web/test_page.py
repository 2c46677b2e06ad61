"""The page in a real browser: live, whole without JavaScript, fit for a phone, and honest when the line is dead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from heat.scale import MAX_MO, milli_octaves
from tests.gateway.web.conftest import Shop, open_shop

PHONE, WIDE = (390, 844), (1280, 800)
PART_IDS = ["status", "dispensers", "picks", "events", "outbox"]
MAX_WEIGHT_BYTES = 60_000
"""HTML, CSS, JavaScript and icon together: a second on the worst of lines."""


@contextmanager
def opened(browser: Browser, shop: Shop, size: tuple[int, int] = PHONE, **more: object) -> Iterator[Page]:
    """The page, live; it must say nothing on the console, and ask nobody else."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **more)  # type: ignore[arg-type]
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shop.url)
    if more.get("java_script_enabled", True):
        expect(page.locator("#connection")).to_have_text("live")
    yield page
    assert said == []
    assert all(url.startswith(shop.url) for url in asked)
    context.close()


@pytest.fixture(scope="module", autouse=True)
def a_visit(shop: Shop) -> None:
    """One customer has been here."""
    shop.visit(token="loyalty-4711-jane", word="mild", pour="chipotle-honey", volume_ul=5_200)


def test_what_happens_appears_at_once(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop) as page:
        first = page.locator("#events li").first
        shop.visit(pour="reaper-raw", volume_ul=1_700)
        expect(first).to_contain_text("hot-bar-1 poured Reaper Raw, 1.7 mL")
        expect(first).to_contain_text("1,600,000 SHU")
        expect(first).to_have_class(re.compile("new"))
        expect(page.locator("#dispensers .screen").first.locator("li")).to_have_count(3)


def test_ages_grow_without_news(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop) as page:
        age = page.locator("#events time").first
        before = age.text_content()
        expect(age).not_to_have_text(before or "", timeout=5_000)  # later there would be news


def test_an_opened_list_of_bottles_stays_open(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop) as page:
        details = page.locator("#dispensers details").first
        details.locator("summary").click()
        level = details.locator("li", has_text="Table Red").locator("span").last
        before = level.text_content()
        shop.visit(pour="table-red", volume_ul=20_000)
        expect(level).not_to_have_text(before or "")
        expect(level).to_be_visible()


def test_it_is_whole_without_javascript(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop, java_script_enabled=False) as page:
        expect(page.locator("h1")).to_contain_text("All good")
        expect(page.locator("#dispensers")).to_contain_text("hot-bar-1 online for")
        expect(page.locator("#events")).to_contain_text("poured Chipotle Honey, 5.2 mL")
        expect(page.locator("#events time").first).to_have_text(re.compile(r"now|ago"))
        expect(page.locator("#picks")).to_contain_text(re.compile(r"Card p1-[0-9a-f]{4}… at hot-bar-1"))
        expect(page.locator("#picks")).to_contain_text(re.compile(r"[\d.]+ ms"))
        expect(page.locator("#outbox")).to_contain_text("No Kafka is set up")
        expect(page.locator("#connection")).to_have_text(re.compile(r"as of \d\d:\d\d:\d\d UTC"))
        assert 'http-equiv="refresh"' in shop.get("/").text


# Parts are replaced as news comes: what is measured is measured in one go.

BARS = """() => Array.from(document.querySelectorAll("#picks > .cards .slots li"), (li) => {
  const [whole, filled] = Array.from(li.querySelectorAll("rect"), (rect) => rect.getBoundingClientRect().width);
  return [li.innerText, filled / whole];
})"""
LAYOUT = """(selectors) => {
  const luminance = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (element) => {
    let behind = element;
    while (/rgba\\(.*, 0\\)/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    const [a, b] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  return {
    width: document.documentElement.scrollWidth,
    headline: document.querySelector("h1").getBoundingClientRect().bottom,
    parts: Array.from(document.querySelectorAll("section"), (section) => section.id),
    contrasts: selectors.map((selector) => [selector, contrast(document.querySelector(selector))]),
  };
}"""
"""Contrasts are WCAG's, of a text with the background that it stands on."""
TEXTS = ["h1", "dt", "#events li > span:nth-child(2)", "#events small", ".screen small", ".shown small", ".note"]


def test_heat_is_a_bar_and_plain_text(browser: Browser, shop: Shop) -> None:
    with opened(browser, shop, WIDE) as page:
        bars = page.evaluate(BARS)
    assert len(bars) >= 3
    for text, share in bars:
        shu = int(re.search(r"([\d,]+) SHU", text)[1].replace(",", ""))  # type: ignore[index]
        assert share == pytest.approx(milli_octaves(shu) / MAX_MO, abs=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE, (320, 640)])
def test_it_fits_and_can_be_read(browser: Browser, shop: Shop, size: tuple[int, int], scheme: str) -> None:
    with opened(browser, shop, size, color_scheme=scheme, reduced_motion="reduce") as page:
        layout = page.evaluate(LAYOUT, TEXTS)
    assert layout["width"] <= size[0]
    assert layout["parts"] == PART_IDS
    assert layout["headline"] < 200
    for selector, contrast in layout["contrasts"]:
        assert contrast >= 4.5, selector


def test_what_is_older_is_folded_and_stays_open_once_opened(browser: Browser, shop: Shop) -> None:
    for _ in range(3):
        shop.visit(pour="table-red", volume_ul=1_000)
    with opened(browser, shop) as page:
        for part in ("#events", "#picks"):
            older = page.locator(f"{part} details li").last
            expect(older).to_be_hidden()
            page.locator(f"{part} summary").click()
            expect(older).to_be_visible()
        first = page.locator("#events li").first.get_attribute("data-key")
        shop.visit(pour="table-red", volume_ul=1_000)
        expect(page.locator("#events li").first).not_to_have_attribute("data-key", first or "")
        expect(page.locator("#events details li").last).to_be_visible()


def test_it_is_light(shop: Shop) -> None:
    paths = ("/", "/static/old.css", "/static/app.js", "/static/icon.svg")
    assert sum(len(shop.get(path).content) for path in paths) < MAX_WEIGHT_BYTES


def test_a_dead_line_is_told_and_mended(browser: Browser, tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        context = browser.new_context()
        page = context.new_page()
        page.goto(shop.url)
        expect(page.locator("#connection")).to_have_text("live")
        shop.gateway.kill()
        expect(page.locator("#connection")).to_contain_text("not connected since")
        expect(page.locator("#dispensers")).to_contain_text("hot-bar-1")  # what was known stays
        shop.start_gateway()
        expect(page.locator("#connection")).to_have_text("live")
        shop.visit(pour="table-red")
        expect(page.locator("#events li").first).to_contain_text("poured Table Red")
        shop.ask("unplug", dispenser="hot-bar-2")
        expect(page.locator("h1")).to_contain_text("1 thing to fix")
        expect(page.locator(".troubles")).to_contain_text("hot-bar-2 is offline")
        context.close()
