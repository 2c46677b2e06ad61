"""The first page in a browser, on a phone and on a tablet at once, in a shop of real parts where much goes wrong.

Each thing is seen within 10 s without a reload, told with what mends it, mended by its button or by hand, and gone
within 10 s. The tests come one after another: at the end all is mended, and nothing comes back.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Locator, Page, expect

from gateway.web.repairs.kinds import KINDS
from gateway.web.who import Role
from models.bundle import pretrained
from picante.cli_doctor import doctor
from tests.gateway.web.browser import PHONE, WIDE, hold, is_sent, visiting
from tests.gateway.web.conftest import Shop
from tests.gateway.web.provoked.of_machine import certified
from tests.gateway.web.troubled import Troubled, open_troubled, opened
from tests.secure_kafka import SecureKafka
from tests.waiting import wait_until

OFFLINE = "[data-code=dispenser_offline]"
WITHIN_MS = 10_000
DUMB_MS = 20_000
"""A port is silent once nothing came for 10 s."""


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, secure_kafka: SecureKafka) -> Iterator[Troubled]:
    with open_troubled(tmp_path_factory.mktemp("troubled"), secure_kafka) as shop:
        yield shop


@pytest.fixture(scope="module")
def shop(troubled: Troubled) -> Shop:
    """The same, for those who ask no more of it."""
    return troubled.shop


@contextmanager
def both(browser: Browser, shop: Shop) -> Iterator[tuple[Page, Page]]:
    """The page on a phone and on a tablet."""
    with visiting(browser, shop, "/", PHONE) as phone, visiting(browser, shop, "/", WIDE) as wide:
        yield phone, wide


def card(page: Page, code: str) -> Locator:
    return page.locator(f"[data-code={code}]")


def seen(pages: tuple[Page, ...], code: str, what: str, within_ms: int = WITHIN_MS) -> None:
    """It is there, with since when it is, what it costs, and what to do."""
    for page in pages:
        expect(card(page, code).locator("h2")).to_contain_text(what, timeout=within_ms)
        expect(card(page, code).locator("p.row small")).to_have_count(1)
        expect(card(page, code).locator(".cost")).to_have_text(f"{KINDS[code].cost}.")
        expect(card(page, code).locator(".steps li").first).to_be_visible()


def gone(pages: tuple[Page, ...], *codes: str) -> None:
    for page in pages:
        for code in codes:
            expect(card(page, code)).to_have_count(0, timeout=WITHIN_MS)


def button(page: Page, code: str, name: str) -> Locator:
    """The button of this name in `FIXES`."""
    return card(page, code).locator(f"form[action*='/fix/{name}?']").get_by_role("button")


def check_again(page: Page, code: str) -> None:
    card(page, code).get_by_role("button", name="Check again").click()


def test_what_is_wrong_from_the_start_is_seen_and_mended(browser: Browser, troubled: Troubled) -> None:
    shop = troubled.shop
    with both(browser, shop) as pages:
        phone, wide = pages
        seen(pages, "clock_unknown", "does not know what time it is")
        seen(pages, "under_voltage", "gets too little power")
        seen(pages, "model_fallback", "Picks are made by rule")
        seen(pages, "dispenser_unadopted", "bar-new on")
        seen(pages, "sync_unreachable", "Kafka can't be reached")
        seen(pages, "bottle_leaks", "leaks at nozzle 1 of hot-bar-1")
        seen(pages, "meter_drifts", "nozzle 1 of hot-bar-2 counts too little")
        seen(pages, "port_silent", "usb-picante-silent", DUMB_MS)
        assert_reachable(phone)
        assert_reachable(wide)
        (troubled.directory / "synchronized").touch()
        troubled.power("50000")
        troubled.silent.unlink()
        shutil.copytree(pretrained(), troubled.directory / "bundle", dirs_exist_ok=True)
        check_again(wide, "model_fallback")
        button(phone, "dispenser_unadopted", "adopt").click()
        button(phone, "bottle_leaks", "mended").click()
        gone(pages, "model_fallback", "dispenser_unadopted", "bottle_leaks")
        gone(pages, "clock_unknown", "under_voltage", "port_silent")
        card(wide, "meter_drifts").get_by_role("link", name="Calibrate").click()
        expect(wide.get_by_role("heading", level=1)).to_contain_text("hot-bar-2")
        factor = {"verb": "calibrate", "arguments": {"nozzle": 1, "pulses_per_ml": 80}}
        shop.post("/api/v1/dispensers/hot-bar-2/commands", factor).raise_for_status()
        gone((phone,), "meter_drifts")


def test_what_comes_while_somebody_looks_is_seen_and_mended(browser: Browser, troubled: Troubled) -> None:
    shop = troubled.shop
    with both(browser, shop) as pages:
        phone, wide = pages
        troubled.authority(certified(datetime.now(UTC) + timedelta(days=20)))
        shop.ask("visit", dispenser="hot-bar-1", word="lukewarm")
        shop.ask("pour", dispenser="hot-bar-1", nozzle=2, ml=700, quick=True)
        seen(pages, "certificate_expires", "expires on")
        seen(pages, "dead_letters", "1 event was refused")
        seen(pages, "bottle_low", "Table Red is down to")
        troubled.authority()
        card(phone, "dead_letters").get_by_role("link", name="Look at them").click()
        phone.get_by_role("link", name="a wish").first.click()
        phone.get_by_label("Category").fill("mild")
        phone.get_by_role("button", name="Replay").click()
        gone((wide,), "certificate_expires", "dead_letters")
        phone.goto(shop.url)
        card(wide, "bottle_low").get_by_role("link", name="Change the bottle").click()
        wide.get_by_label("Lot").fill("L-7")
        wide.get_by_label("Volume").fill("750")
        wide.get_by_role("button", name="This bottle hangs there").click()
        expect(wide.get_by_role("main")).to_contain_text("L-7")
        shop.ask("refill", dispenser="hot-bar-1", nozzle=2)  # it says itself that one was put on
        gone((phone,), "bottle_low", "dead_letters", "certificate_expires")


def test_the_way_to_kafka_is_shut_three_times_over(browser: Browser, troubled: Troubled) -> None:
    """Away, then with a password that it refuses, then with events of another gateway of this name."""
    with both(browser, troubled.shop) as pages, opened(troubled):
        phone, wide = pages
        seen(pages, "sync_refused", "wrong name or password")
        gone(pages, "sync_unreachable")
        troubled.let_in()
        check_again(wide, "sync_refused")
        seen(pages, "sync_foreign", "Nothing goes to Kafka")
        gone(pages, "sync_refused")
        held = button(phone, "sync_foreign", "go-on")
        held.click()
        expect(card(phone, "sync_foreign").get_by_label(re.compile("Type"))).to_be_focused()
        assert troubled.shop.json("/api/v1/sync")["state"] == "foreign", "a tap does nothing"
        hold(phone, held)
        gone(pages, "sync_foreign")
        troubled.shop.visit()
        wait_until(lambda: troubled.shop.json("/api/v1/sync")["pending"] == 0, 20, "all went to Kafka")


def test_kafka_takes_events_and_no_heartbeat(browser: Browser, troubled: Troubled) -> None:
    with visiting(browser, troubled.shop, "/", PHONE) as page, opened(troubled):
        wait_until(lambda: troubled.shop.json("/api/v1/sync")["state"] == "idle", 20, "events go to Kafka")
        with troubled.kafka.mute(troubled.gateway):
            troubled.power("50005")  # which is told at once
            seen((page,), "heartbeat_failing", "not told how this gateway is", 2 * WITHIN_MS)
        check_again(page, "heartbeat_failing")
        gone((page,), "heartbeat_failing")
        troubled.power("50000")
        gone((page,), "under_voltage")


def test_what_is_held_is_held_by_keyboard_too(browser: Browser, troubled: Troubled) -> None:
    with both(browser, troubled.shop) as pages:
        troubled.restored()
        seen(pages, "restored", "was restored from a backup")
        held = button(pages[1], "restored", "seen")
        held.press("Enter")
        assert any(one["code"] == "restored" for one in troubled.shop.json("/api/v1/repairs")["repairs"])
        held.focus()
        with is_sent(pages[1]):
            pages[1].keyboard.down("Enter")
        pages[1].keyboard.up("Enter")
        gone(pages, "restored")


def test_nothing_of_all_that_comes_back(shop: Shop) -> None:
    wait_until(lambda: shop.json("/api/v1/sync")["pending"] == 0, 20, "nothing is on its way")
    assert shop.json("/api/v1/repairs")["repairs"] == []


# -- a cable ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def unplugged(shop: Shop) -> Iterator[Shop]:
    """A shop whose first dispenser has no cable."""
    wait_until(lambda: shop.json("/api/v1/repairs")["urgent"] == 0, 20, "all is well")
    shop.ask("unplug", dispenser="hot-bar-1")
    wait_until(lambda: shop.json("/api/v1/repairs")["urgent"] == 1, 30, "it is told of")
    yield shop
    shop.ask("plug", dispenser="hot-bar-1")
    wait_until(lambda: shop.json("/api/v1/repairs")["urgent"] == 0, 30, "all is well again")


def test_a_pulled_cable_comes_and_goes_by_itself(unplugged: Shop, browser: Browser) -> None:
    with both(browser, unplugged) as pages:
        for page in pages:
            expect(page.get_by_role("heading", level=1)).to_have_text("1 thing to fix")
            assert_reachable(page)
        seen(pages, "dispenser_offline", "hot-bar-1 is offline")
        unplugged.ask("plug", dispenser="hot-bar-1")
        gone(pages, "dispenser_offline")
        for page in pages:
            expect(page.get_by_role("heading", level=1)).to_contain_text("All good")


def assert_reachable(page: Page) -> None:
    """Each button is as large as a thumb, and inside the screen."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    for button in page.locator("main button:visible, main a.button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["x"] + box["width"] <= width


def test_somebody_lets_it_be_without_javascript(unplugged: Shop, browser: Browser) -> None:
    with visiting(browser, unplugged, "/", PHONE, javascript=False) as page:
        page.locator(OFFLINE).get_by_text("Let it be").click()
        expect(page.get_by_role("button", name="1 week")).to_have_count(0)  # it can't wait so long
        page.get_by_role("button", name="1 hour").click()
        expect(page.get_by_role("heading", level=1)).not_to_contain_text("to fix")
        page.locator("summary").get_by_text("1 that somebody lets be").click()
        expect(page.locator(OFFLINE)).to_contain_text("Olga lets it be until")
        by_console = CliRunner().invoke(doctor, ["--config", str(unplugged.directory / "gateway.toml")])
        assert "lets it be until" in by_console.output
        page.locator(OFFLINE).get_by_role("button", name="Show it again").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 thing to fix")
        page.locator(OFFLINE).get_by_role("button", name="Check again").click()
        expect(page.locator(OFFLINE)).to_be_visible()


def test_what_comes_and_goes_is_one_entry_with_its_count_and_gone_once_it_is_mended(
    unplugged: Shop, browser: Browser
) -> None:
    """The cable is pulled for the third time."""
    with visiting(browser, unplugged, "/", PHONE) as page:
        expect(page.locator(OFFLINE)).to_have_count(1)
        expect(page.locator(OFFLINE)).to_contain_text("comes and goes")
        expect(page.locator(OFFLINE)).to_contain_text("3 times within an hour")
        unplugged.ask("plug", dispenser="hot-bar-1")
        gone((page,), "dispenser_offline")
        expect(page.get_by_role("heading", level=1)).to_contain_text("All good")


def test_a_viewer_reads_and_has_no_buttons(unplugged: Shop, browser: Browser) -> None:
    with visiting(browser, unplugged, "/", PHONE, role=Role.VIEWER) as page:
        expect(page.locator(OFFLINE)).to_be_visible()
        expect(page.locator("main button")).to_have_count(0)
