"""Draw each page into docs/img/, on a phone and wide, light, and the first ones dark (`make screenshots`)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.chromium import FLAGS, chromium
from tests.gateway.web.browser import PHONE, WIDE, Look, visiting
from tests.gateway.web.conftest import Shop, open_shop
from tests.gateway.web.places import places, visited
from tests.servers import KafkaServer
from tests.waiting import wait_until

IMAGES = Path(__file__).parents[2] / "docs" / "img"
DARK = ("repairs", "dispenser")
"""Drawn dark, too."""
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


def draw(browser: Browser, shop: Shop, directory: Path) -> None:
    """Every page at both sizes."""
    for name, path in places(shop).items():
        for size, word in ((PHONE, "phone"), (WIDE, "wide")):
            _draw(browser, shop, path, size, {}, directory / f"{name}-{word}.png")
            if name in DARK:
                _draw(browser, shop, path, size, {"scheme": "dark"}, directory / f"{name}-{word}-dark.png")


def _draw(browser: Browser, shop: Shop, path: str, size: tuple[int, int], look: Look, file: Path) -> None:
    with visiting(browser, shop, path, size, **look) as page:
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready")
        page.screenshot(path=file, animations="disabled")


def main() -> int:
    """Open a shop, have customers come, and draw."""
    executable = chromium()
    if executable is None:
        sys.stderr.write("no chromium: run scripts/test-setup\n")
        return 1
    expect.set_options(timeout=20_000)
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        KafkaServer(Path(directory)) as kafka,
        open_shop(Path(directory), f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n', SCENARIO) as shop,
        sync_playwright() as playwright,
    ):
        visited(shop)
        shop.ask("visit", dispenser="hot-bar-1", word="lukewarm")
        wait_until(lambda: shop.json("/api/v1/sync")["stored"] > EVENTS, 300, "many have come")
        shop.ask("unplug", dispenser="hot-bar-2")
        wait_until(lambda: len(shop.json("/api/v1/repairs")["repairs"]) >= 3, 60, "there is something to repair")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        draw(browser, shop, IMAGES)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
