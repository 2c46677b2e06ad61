"""The page System in a browser, and what hangs on it: a restore from the phone, cut and killed in the middle."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.gateway.backup_shop import PASSPHRASE
from tests.gateway.machine import THROTTLED, compute_module, write_files
from tests.gateway.web.browser import PHONE, WIDE, hold, visiting
from tests.gateway.web.conftest import Shop, open_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop on a Compute Module that has too little voltage."""
    directory = tmp_path_factory.mktemp("machine")
    write_files(compute_module(directory / "root"), {THROTTLED: "50005"})
    with open_shop(directory, f'[system]\nroot = "{directory}/root"\n') as opened:
        yield opened


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_what_is_wrong_with_the_machine_is_seen_and_goes_by_itself(
    browser: Browser, shop: Shop, size: tuple[int, int]
) -> None:
    write_files(shop.directory / "root", {THROTTLED: "50005"})
    with visiting(browser, shop, "/system", size) as page:
        machine = page.locator("#system-machine")
        expect(machine.locator(".badge")).to_have_text("too little voltage")
        expect(page.locator("#system-disk")).to_contain_text("30% of its life is used")
        write_files(shop.directory / "root", {THROTTLED: "50000"})
        expect(machine.locator(".badge")).to_have_count(0, timeout=15_000)
        expect(machine).to_contain_text("it had too little voltage since it started")


@pytest.mark.parametrize(("size", "javascript"), [(PHONE, True), (WIDE, True), (PHONE, False)])
def test_the_log_is_asked_by_level_and_text(
    browser: Browser,
    shop: Shop,
    size: tuple[int, int],
    javascript: bool,
) -> None:
    with visiting(browser, shop, "/system", size, javascript=javascript) as page:
        page.get_by_role("link", name="Log").click()
        expect(page.locator("#log-lines")).to_contain_text("hot-bar-1 is online")
        page.get_by_role("searchbox").fill("hot-bar-2")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#log-lines")).to_contain_text("hot-bar-2 is online")
        expect(page.locator("#log-lines")).not_to_contain_text("hot-bar-1")
        page.get_by_role("combobox").select_option("error")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#log-lines")).to_contain_text("No such line.")


def test_a_bundle_is_looked_at_and_taken(browser: Browser, shop: Shop, tmp_path: Path) -> None:
    with visiting(browser, shop, "/system/bundle") as page:
        page.get_by_label("What is installed").uncheck()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / "bundle.zip")
        content = (tmp_path / "bundle.zip").read_bytes()
        assert b"machine.json" in content
        assert b"versions.json" not in content


def test_a_restore_from_the_phone_cut_and_killed_in_the_middle(browser: Browser, shop: Shop, tmp_path: Path) -> None:
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    gone = r"Failed to load resource|net::ERR|ERR_"
    with visiting(browser, shop, "/system/backups", tolerate=gone) as page:
        take_backup(page, tmp_path / "b.picante")
        stored = shop.json("/api/v1/sync")["stored"]
        shop.visit(dial=40, pour="table-red", volume_ul=3_000)
        send_and_check(page, f"{shop.url}/system/backups", tmp_path / "b.picante")
        hold(page, page.get_by_role("button", name=re.compile("Put it back")))
        page.wait_for_url("**/order**")
        expect(page.get_by_role("heading", level=1)).to_have_text("The gateway starts anew")
        shop.gateway.process.send_signal(signal.SIGKILL)
        shop.gateway.process.wait()
        shop.start_gateway()
        told = shop.json("/api/v1/system/restore")
        assert (told["restored"]["why"], told["restored"]["stored"], told["ordered"]) == ("backup", stored, False)
        assert (shop.directory / "gateway/restore/before/gateway.db").exists(), "what was there is kept"
        audit = shop.json("/api/v1/audit")["changes"]
        assert f"the backup of {shop.json('/api/v1/system')['gateway']}, made on" in str(audit)
        page.wait_for_url(f"{shop.url}/system")  # it goes on by itself
        expect(page.locator("#system-restored")).to_contain_text("A backup was put back")
    with visiting(browser, shop, "/system/backups", WIDE, javascript=False, tolerate="status of 422") as page:
        restored = page.locator("#restored")
        settle = restored.locator("form", has=page.get_by_role("button", name="All is well"))
        settle.get_by_role("button").click()
        expect(restored.locator(".banner")).to_contain_text("this was not confirmed")
        settle.get_by_role("textbox").fill("Yes")
        settle.get_by_role("button").click()
        expect(restored).to_have_count(0)
    assert shop.json("/api/v1/system/restore")["restored"] is None


def take_backup(page: Page, to: Path) -> None:
    """Onto the phone; a passphrase that differs is told, and a good one is taken."""
    page.get_by_label("Passphrase", exact=True).fill(PASSPHRASE)
    page.get_by_label("Passphrase again").fill("something else")
    page.get_by_role("button", name="Download a backup").click()
    expect(page.locator("#backup .banner")).to_contain_text("the two passphrases differ")
    page.get_by_label("Passphrase", exact=True).fill(PASSPHRASE)
    page.get_by_label("Passphrase again").fill(PASSPHRASE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download a backup").click()
    download.value.save_as(to)


def send_and_check(page: Page, backups: str, file: Path) -> None:
    """The file goes up, once the LAN is back, and is checked with its passphrase."""
    page.context.set_offline(True)
    for online in (False, True):
        page.get_by_label("Backup file").set_input_files(file)
        page.get_by_role("button", name="Send it here").click()
        if not online:
            page.wait_for_url("chrome-error://**")
            page.context.set_offline(False)
            page.goto(backups)
    page.get_by_label("Its passphrase").fill("another passphrase")
    page.get_by_role("button", name="Check it").click()
    expect(page.locator("#restore .banner")).to_contain_text("the passphrase is not the backup's")
    page.get_by_label("Its passphrase").fill(PASSPHRASE)
    page.get_by_role("button", name="Check it").click()
    expect(page.locator("#restore .banner")).to_contain_text("It is whole, and fits this gateway.")
