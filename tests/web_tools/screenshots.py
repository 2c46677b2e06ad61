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
from tests.waiting import wait_until

IMAGES = Path(__file__).parents[2] / "docs" / "img"
DARK = ("repairs", "dispenser")
"""Drawn dark, too."""


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
        open_shop(Path(directory)) as shop,
        sync_playwright() as playwright,
    ):
        visited(shop)
        shop.ask("unplug", dispenser="hot-bar-2")
        wait_until(lambda: shop.json("/api/v1/repairs")["repairs"], 60, "there is something to repair")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        draw(browser, shop, IMAGES)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
