"""Nozzles, bottles, recalls and voids on a phone and on a wide screen: by touch, by keyboard, without JavaScript."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.gateway.web.browser import PHONE, WIDE, context_of, visiting
from tests.gateway.web.browser import hold as hold_button
from tests.gateway.web.conftest import Shop

BAR = "/dispensers/hot-bar-1"


def planned(shop: Shop, dispenser: str = "hot-bar-1") -> dict[str, str]:
    found: dict[str, str] = shop.json(f"/api/v1/dispensers/{dispenser}/planogram")["planogram"]
    return found


def hold(page: Page, text: str) -> None:
    """Hold the button of this name."""
    hold_button(page, page.get_by_role("button", name=re.compile(text)))


def typed(page: Page, word: str, text: str) -> None:
    """Type the word, and press."""
    form = page.locator("form", has=page.get_by_role("button", name=text))
    form.get_by_label(re.compile("Type")).fill(word)
    form.get_by_role("button", name=text).click()


def test_without_javascript_selects_are_saved(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, f"{BAR}/nozzles", PHONE, javascript=False) as page:
        page.get_by_label("Sauce on nozzle 1").select_option("sweet-pimento")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_label("Sauce on nozzle 1")).to_have_value("sweet-pimento")
        expect(page.locator(".grip:visible")).to_have_count(0)
    assert planned(shop)["1"] == "sweet-pimento"


def test_a_finger_exchanges_two_sauces(browser: Browser, shop: Shop) -> None:
    before = planned(shop, "hot-bar-2")
    with visiting(browser, shop, "/dispensers/hot-bar-2/nozzles", WIDE) as page:
        places = page.locator("li[data-nozzle]")
        first, second = places.nth(0), places.nth(1)
        a, b = first.get_attribute("data-nozzle"), second.get_attribute("data-nozzle")
        assert a is not None
        assert b is not None
        first.locator(".grip").hover()
        page.mouse.down()
        second.hover()
        expect(second).to_have_class(re.compile("over"))
        page.mouse.up()
        expect(first).to_have_class(re.compile("changed"))
        page.get_by_role("button", name="Save").click()
        expect(first).not_to_have_class(re.compile("changed"))
    after = planned(shop, "hot-bar-2")
    assert (after[a], after[b]) == (before[b], before[a])


def test_keys_exchange_two_sauces_and_say_so(browser: Browser, shop: Shop) -> None:
    before = planned(shop)
    with visiting(browser, shop, f"{BAR}/nozzles", PHONE) as page:
        said = page.locator("nozzle-map [aria-live]")
        page.get_by_role("button", name="Move the sauce of nozzle 2").focus()
        page.keyboard.press("Enter")
        expect(said).to_contain_text("picked up from nozzle 2")
        page.keyboard.press("Escape")
        expect(said).to_have_text("Nothing was changed.")
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        expect(said).to_contain_text("Nozzle 3, now")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(said).to_contain_text("is on nozzle 3. Not saved yet.")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".changed")).to_have_count(0)
    after = planned(shop)
    assert (after["2"], after["3"]) == (before["3"], before["2"])


def test_of_two_technicians_the_later_sees_both(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop, PHONE, tolerate="412") as context:
        ada, bob = context.new_page(), context.new_page()
        for page in (ada, bob):
            page.goto(shop.url + f"{BAR}/nozzles")
        ada.get_by_label("Sauce on nozzle 5").select_option("mango-fresno")
        bob.get_by_label("Sauce on nozzle 5").select_option("pineapple-bird")
        ada.get_by_role("button", name="Save").click()
        expect(ada.locator(".changed")).to_have_count(0)
        bob.get_by_role("button", name="Save").click()
        expect(bob.get_by_role("status").filter(has_text="Somebody planned otherwise")).to_be_visible()
        expect(bob.locator("li[data-nozzle='5'] .both")).to_contain_text("Mango Fresno")
        assert planned(shop)["5"] == "mango-fresno", "nothing was saved"
        bob.get_by_role("button", name="Save").click()
        expect(bob.locator(".both")).to_have_count(0)
    assert planned(shop)["5"] == "pineapple-bird"


@pytest.mark.parametrize("javascript", [True, False], ids=["live", "still"])
def test_a_bottle_is_changed_recalled_and_changed_again(browser: Browser, shop: Shop, javascript: bool) -> None:
    nozzle, lot = ("4", "L-4711") if javascript else ("6", "L-4712")
    with visiting(
        browser, shop, f"{BAR}/nozzles/{nozzle}/bottle", PHONE, javascript=javascript, tolerate="422|409"
    ) as page:
        page.get_by_label("Lot").fill("l 4711;")
        page.get_by_label("Best before").fill("2020-01-01")
        page.get_by_role("button", name="This bottle hangs there").click()
        expect(page.get_by_text("letters and digits, 32 at most")).to_be_visible()
        expect(page.get_by_label("Best before")).to_have_value("2020-01-01")
        page.get_by_label("Lot").fill(lot.lower())
        page.get_by_role("button", name="This bottle hangs there").click()
        expect(page.get_by_text("This date has passed: take another bottle")).to_be_visible()
        page.get_by_label("Best before").fill("2090-01-01")
        page.get_by_role("button", name="This bottle hangs there").click()
        expect(page.locator(f"li[data-nozzle='{nozzle}']")).to_contain_text(lot)
        sauce = planned(shop)[nozzle]
        shop.visit(pour=sauce, leave=True)
        page.goto(shop.url + f"/recall?lot={lot.lower()}")
        expect(page.get_by_role("table", name="Pours").locator("tbody tr")).to_have_count(1)
        page.get_by_label("What is wrong with it").fill("glass in a bottle")
        if javascript:
            hold(page, "Recall this lot")
        else:
            typed(page, "recall", "Recall this lot")
        expect(page.get_by_text("recalled", exact=True)).to_be_visible()
        picks = shop.json("/api/v1/picks?dispenser=hot-bar-1")
        assert nozzle not in {str(pick["nozzle"]) for pick in picks["picks"]}
        page.get_by_role("link", name="Change it").click()
        expect(page.get_by_text("This lot was recalled. Nobody is offered it; change the bottle.")).to_be_visible()
        page.get_by_label("Lot").fill(f"{lot}-NEW")
        page.get_by_role("button", name="This bottle hangs there").click()
        expect(page.locator(f"li[data-nozzle='{nozzle}']")).to_contain_text(f"{lot}-NEW")
    view = shop.json(f"/api/v1/lots/{lot}")
    assert [bottle["until"] is None for bottle in view["bottles"]] == [False]
    csv = shop.get(f"/api/v1/lots/{lot}/pours.csv").text.splitlines()
    assert (len(csv), csv[0].split(",")[:3]) == (2, ["time", "dispenser", "nozzle"])


@pytest.mark.parametrize("javascript", [True, False], ids=["live", "still"])
def test_a_pour_is_taken_back_once(browser: Browser, shop: Shop, javascript: bool) -> None:
    shop.visit(leave=True)
    pour = _pours(shop)[-1]
    size = PHONE if javascript else WIDE
    with visiting(
        browser, shop, f"/events/{pour['position']}/void", size, javascript=javascript, tolerate="422"
    ) as page:
        page.get_by_label("Why").select_option("leak")
        if javascript:
            hold(page, "Take this pour back")
        else:
            typed(page, "void", "Take this pour back")
        expect(page.get_by_text("This pour was taken back: it counts for nobody.")).to_be_visible()
        expect(page.get_by_role("button", name="Take this pour back")).to_have_count(0)
    last = shop.json("/api/v1/events?limit=1000")["events"][-1]
    assert (last["type"], last["data"]["voided"]) == ("picante.pour-voided.v1", pour["id"])
    again = shop.post(f"/api/v1/events/{pour['position']}/void", {"reason": "leak"})
    assert (again.status_code, again.json()["type"]) == (409, "urn:picante:problem:already-voided")


def _pours(shop: Shop) -> list[dict[str, Any]]:
    events = shop.json("/api/v1/events?limit=1000")["events"]
    return [event for event in events if event["type"] == "picante.poured.v1"]
