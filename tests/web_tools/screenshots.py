"""Draw each page into docs/img/, on a phone and wide, light, and the first ones dark (`make screenshots`).

    python -m tests.web_tools.screenshots                     docs/img/
    python -m tests.web_tools.screenshots --dark DIRECTORY    all of them dark, to be looked at

First the setup, step by step, and the page in clear of a shop with HTTPS; then the pages of a shop after a lunch hour,
the kiosk with a customer before it; at last safe mode.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

from playwright.sync_api import Browser, Page, expect, sync_playwright

from gateway.web.reach import Card
from picante import label
from picante.web_pki import make_issuer, make_root
from tests.chromium import FLAGS, chromium
from tests.flow.world import Process, World
from tests.gateway.web import test_first_boot
from tests.gateway.web.browser import PHONE, WIDE, Addressed, Look, context_of
from tests.gateway.web.conftest import Shop, open_shop
from tests.gateway.web.places import SIGN_IN, places, visited
from tests.gateway.web.test_axe import is_safe
from tests.servers import KafkaServer, free_port
from tests.waiting import wait_until

IMAGES = Path(__file__).parents[2] / "docs" / "img"
DARK = ("repairs", "dispenser")
"""Drawn dark, too."""
ANSWERS = {
    "store": {"Store": "mercado-12", "Region": "south"},
    "time": {"Time zone": "Europe/Madrid"},
    "technician": {"Name": "Olga", "Password": "smoke and honey", "Password again": "smoke and honey"},
    "kafka": {},
}
"""Of the first boot."""
EVENTS = 60
"""Of a lunch hour; until then customers come."""
SCENARIO = """
seed = 7
store = "mercado-12"

[crowd]
size = 60
visit_every_s = 12.0
pace = 0.25

[[dispensers]]
id = "hot-bar-1"
sample_hz = 10
nozzles = ["garden-green", "table-red", "chipotle-honey", "serrano-verde", "miso-piri", "reaper-raw"]

[[dispensers]]
id = "hot-bar-2"
nozzles = 12

[[dispensers]]
id = "taco-counter"
nozzles = 8

[[dispensers]]
id = "patio-1"
factory_new = true
nozzles = ["table-red", "mango-fresno"]
"""


@dataclass(frozen=True, slots=True)
class Studio:
    """Who draws, where to, and how."""

    browser: Browser
    directory: Path
    scheme: Literal["light", "dark"]

    def draw(self, shop: Addressed, name: str, path: str, **look: Unpack[Look]) -> None:
        """A page at both sizes."""
        schemes: set[Literal["light", "dark"]] = {self.scheme} | ({"dark"} if name in DARK else set())
        for scheme in schemes:
            with context_of(self.browser, shop, PHONE, **({"scheme": scheme} | look)) as context:
                page = context.new_page()
                page.goto(shop.url + path)
                self.take(page, name, scheme)

    def take(self, page: Page, name: str, scheme: str = "") -> None:
        """What a page shows, at both sizes."""
        suffix = "-dark" if (scheme or self.scheme) == "dark" else ""
        for size, word in ((PHONE, "phone"), (WIDE, "wide")):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.wait_for_load_state("load")
            if page.locator("#live").count():
                expect(page.locator("#connection")).to_have_attribute("data-state", "live")
            page.evaluate("document.fonts.ready")
            page.screenshot(path=self.directory / f"{name}-{word}{suffix}.png", animations="disabled")


def draw_setup(studio: Studio, directory: Path) -> None:
    """The first boot, step by step."""
    port = free_port()
    (directory / "gateway.toml").write_text(test_first_boot.CONFIG.format(directory=directory, port=port))
    bare = World(directory, "gw-1", "", port)
    test_first_boot.start(bare)
    try:
        code = test_first_boot.picante(bare, "gateway", "setup-code")
        context = studio.browser.new_context(color_scheme=studio.scheme)
        page = context.new_page()
        card = Card("gw-1", "mercado-12", [f"{bare.url}/"], [], ":".join(["4F", "0A"] * 16))
        page.goto(label.said(card, code))
        studio.take(page, "setup-code")
        for step, answers in ANSWERS.items():
            page.locator("main form button").first.click()
            expect(page).to_have_url(f"{bare.url}/setup/{step}")
            for name, text in answers.items():
                field = page.get_by_label(name, exact=True)
                if name == "Time zone":
                    field.select_option(text)
                else:
                    field.fill(text)
            studio.take(page, f"setup-{step}")
        page.get_by_role("button", name="Skip: no Kafka yet").click()
        expect(page).to_have_url(f"{bare.url}/setup/done")
        studio.take(page, "setup-done")
        context.close()
    finally:
        assert bare.gateway is not None
        bare.gateway.stop()


def draw_in_clear(studio: Studio, directory: Path) -> None:
    """The one page without HTTPS."""
    make_root(directory / "pki", "Salsa Brava", 30)
    make_issuer(directory / "pki", "gw-1", 30)
    plain = free_port()
    issuer = 'issuer = "pki/gateways/gw-1.pem"\nissuer_key = "pki/gateways/gw-1.key"\n'
    with open_shop(directory, http=f'{issuer}names = ["gw-1.local"]\nplain_port = {plain}\n'):
        context = studio.browser.new_context(color_scheme=studio.scheme)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{plain}/")
        studio.take(page, "reach")
        context.close()


def draw_safe_mode(studio: Studio, shop: Shop) -> None:
    """The gateway can't run any more: the last pictures."""
    shop.gateway.stop()
    config = shop.directory / "gateway.toml"
    config.write_text(config.read_text().replace("ballast_mb", "balast_mb"))
    shop.gateway = Process(shop.directory, "gateway", "gateway", "run", "--config", str(config))
    wait_until(lambda: is_safe(shop), 60, "safe mode answers")
    studio.draw(shop, "safe", "/", tolerate=".")
    studio.draw(shop, "safe-restore", "/system/backups", tolerate=".")


def main() -> int:
    """Open shops, have customers come, and draw."""
    executable = chromium()
    if executable is None:
        sys.stderr.write("no chromium: run scripts/test-setup\n")
        return 1
    expect.set_options(timeout=20_000)
    is_dark = sys.argv[1:2] == ["--dark"]
    images = Path(sys.argv[2]) if is_dark else IMAGES
    images.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        tempfile.TemporaryDirectory() as new,
        tempfile.TemporaryDirectory() as secure,
        KafkaServer(Path(directory)) as kafka,
        open_shop(Path(directory), f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n', SCENARIO) as shop,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        studio = Studio(browser, images, "dark" if is_dark else "light")
        draw_setup(studio, Path(new))
        draw_in_clear(studio, Path(secure))
        visited(shop)
        shop.ask("visit", dispenser="hot-bar-1", word="lukewarm")
        wait_until(lambda: shop.json("/api/v1/sync")["stored"] > EVENTS, 300, "many have come")
        shop.ask("unplug", dispenser="hot-bar-2")
        wait_until(lambda: len(shop.json("/api/v1/repairs")["repairs"]) >= 3, 60, "there is something to repair")
        studio.draw(shop, "sign-in", SIGN_IN, role=None)
        for name, path in places(shop).items():
            if name == "kiosk":
                shop.ask("visit", dispenser="hot-bar-1", token="loyalty-4711-jane", dial=40, pour="")
            studio.draw(shop, name, path)
        with context_of(browser, shop, scheme=studio.scheme) as context:
            page = context.new_page()
            page.goto(f"{shop.url}/system/backups#wipe")
            for summary in page.locator("#wipe summary").all():
                summary.click()
            studio.take(page, "wipe")
        draw_safe_mode(studio, shop)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
