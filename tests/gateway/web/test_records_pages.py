"""Sync, dead letters, events and picks in a browser: what was refused is mended, whatever is killed meanwhile."""

from __future__ import annotations

import re
import threading
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.gateway.web.browser import PHONE, WIDE, context_of, visiting
from tests.gateway.web.conftest import Shop
from tests.waiting import wait_until

WIDTH = "element => element.ownerDocument.documentElement.scrollWidth"


@pytest.fixture(scope="module", autouse=True)
def visits(shop: Shop) -> None:
    """A customer who finds it too hot, and one whose words nobody understands."""
    shop.visit(token="loyalty-4711-jane", word="medium", pour="serrano-verde", volume_ul=5_200, rate="too_hot")


def refused(shop: Shop) -> dict[str, Any]:
    """A wish that was refused just now, as a letter."""
    before = {letter["position"] for letter in letters(shop)}
    shop.ask("visit", dispenser="hot-bar-1", word="lukewarm")
    found = wait_until(lambda: [one for one in letters(shop) if one["position"] not in before], 10, "a letter")
    letter: dict[str, Any] = found[0]
    return letter


def letters(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.json("/api/v1/dead-letters")["letters"]
    return found


def stored(shop: Shop, letter: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a letter's identity."""
    found = shop.json(f"/api/v1/events?text={letter['id']}")["events"]
    return [event for event in found if event["id"] == letter["id"] and event.get("data")]


def test_a_letter_is_mended_by_thumb_though_the_gateway_is_killed_in_between(browser: Browser, shop: Shop) -> None:
    letter = refused(shop)
    with context_of(browser, shop, PHONE, tolerate="ERR_|Failed|htmx:") as context:
        page, other = context.new_page(), context.new_page()
        page.goto(shop.url + "/sync")
        page.get_by_role("link", name="words that say nothing of heat").click()
        page.get_by_role("link", name="a wish").first.click()
        other.goto(page.url)
        field = page.get_by_label("Category")
        expect(field).to_have_value("lukewarm")
        field.fill("tepid")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator(".wrong .error")).to_contain_text("tepid")
        expect(field).to_have_value("tepid")
        shop.gateway.kill()
        shop.start_gateway()
        field.fill("mild")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator("#letters-said .badge").first).to_have_text("Replayed")
        other.get_by_label("Category").fill("hot")
        other.get_by_role("button", name="Replay").click()
        expect(other.locator("#letters-said .badge").first).to_have_text("Replayed")
        page.get_by_role("link", name="the event").click()
        expect(page.get_by_role("heading", level=2)).to_contain_text("likes it “mild”")
    assert [event["data"]["said"] for event in stored(shop, letter)] == ["mild"]
    assert shop.json("/api/v1/ledger")["agrees"] is True


def test_a_letter_is_dismissed_without_javascript(browser: Browser, shop: Shop) -> None:
    letter = refused(shop)
    with visiting(browser, shop, f"/sync/letters/{letter['position']}", WIDE, javascript=False, tolerate="422") as page:
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".wrong .error")).to_contain_text("Say why")
        page.get_by_label("Why").fill("the dispenser was being tried out")
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator("#letters-said")).to_contain_text("the dispenser was being tried out")
    assert stored(shop, letter) == []


@pytest.mark.parametrize("after_s", [0.0, 0.02])
def test_a_replay_that_is_killed_is_done_once_or_not_at_all(shop: Shop, after_s: float) -> None:
    letter = refused(shop)
    path, mended = f"/api/v1/dead-letters/{letter['position']}/replay", {"body": {"word": "mild"}}

    def press() -> None:
        try:
            shop.post(path, mended)
        except httpx.HTTPError:
            return

    pressing = threading.Thread(target=press)
    pressing.start()
    pressing.join(after_s)
    shop.gateway.kill()
    pressing.join()
    shop.start_gateway()
    assert shop.post(path, mended).status_code in {200, 409}
    assert len(stored(shop, letter)) == 1
    assert shop.json("/api/v1/ledger")["agrees"] is True


@pytest.mark.parametrize("size", [PHONE, WIDE])
@pytest.mark.parametrize(
    "path", ["/sync", "/sync/letters", "/events", "/picks?dispenser=hot-bar-1", "/picks/customers"]
)
def test_each_page_fits(browser: Browser, shop: Shop, path: str, size: tuple[int, int]) -> None:
    if path == "/picks/customers":
        (shown,) = shop.json("/api/v1/events?type=picante.session-claimed.v1")["events"]
        path = f"/picks/customers/{shown['subject']}"
    with visiting(browser, shop, path, size, scheme="dark") as page:
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.locator("main").evaluate(WIDTH) <= size[0]


def test_new_events_come_by_themselves(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, "/events") as page:
        shop.visit(pour="reaper-raw", volume_ul=1_700)
        expect(page.locator("#events-list li").first).to_contain_text(re.compile(r"poured Reaper Raw, 1\.7"))
