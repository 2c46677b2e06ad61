"""What keeps people out of a page, in each language, light and dark, on a phone and wide, at 100 and 200 %.

axe-core says what it finds (WCAG 2.2 A and AA, and its own best practices), and we what does not fit where it stands.

    assert looked_at(page) == {}
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from gateway.web import cookies
from tests.access import give_cookie
from tests.gateway.web.browser import PHONE, WIDE
from tests.web_tools import MODULES

SCRIPT = MODULES / "axe-core" / "axe.min.js"
ZOOM = 2
"""200 %: half as many px on the same screen."""


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody has a page before them."""

    language: str
    scheme: Literal["light", "dark"]
    size: tuple[int, int]
    zoom: int

    @property
    def viewport(self) -> ViewportSize:
        """What a page has left of the screen."""
        return {"width": self.size[0] // self.zoom, "height": self.size[1] // self.zoom}


LOOKS = (
    Look("en", "light", PHONE, 1),
    Look("en", "dark", WIDE, ZOOM),
    Look("es", "light", PHONE, ZOOM),
    Look("es", "dark", WIDE, 1),
    Look("de", "light", WIDE, 1),
    Look("de", "dark", PHONE, ZOOM),
)
"""All 24 would take axe four times as long. In these six is each pair: each language light and dark, at both sizes and
both zooms; each size light and dark, and zoomed light and dark. All rules are tried in each."""
_CUT = """() => {
  const found = [], width = document.documentElement.clientWidth, beside = document.documentElement.scrollWidth;
  if (beside > width) found.push(`the page is ${beside} px wide`);
  for (const each of document.querySelectorAll("body *")) {
    const text = [...each.childNodes].map((node) => node.nodeType === 3 ? node.data : "").join("").trim();
    if (!text || each.closest("svg, option, .unseen, caption, thead, .u-wrap") || !each.checkVisibility()) continue;
    const box = each.getBoundingClientRect(), style = getComputedStyle(each), place = `${each.outerHTML.slice(0, 160)}`;
    if (box.width <= 1) continue;
    const scrolls = each.closest("pre, textarea") || ["auto", "scroll"].includes(style.overflowX);
    if (!scrolls && (box.right > width + 1 || box.left < -1)) found.push(`beside the screen: ${place}`);
    if (!scrolls && style.display !== "inline" && each.scrollWidth > each.clientWidth + 1) found.push(`cut: ${place}`);
    if (text.length > 5 && box.width < 1.5 * parseFloat(style.fontSize)) found.push(`a letter a line: ${place}`);
  }
  return found;
}"""


def looked_at(page: Page, load: Callable[[str], object] | None = None) -> dict[str, dict[str, list[str]]]:
    """What is wrong with the page by language and by how it is looked at. In the end it is as a phone has it, light.

    `load` loads it in a language; if it is not given the page is reloaded with the cookie, which sends forms again.
    """
    found = {}
    for language, looks in groupby(LOOKS, lambda look: look.language):
        (load or functools.partial(_reload, page))(language)
        expect(page.locator("html")).to_have_attribute("lang", language)
        if wrong := looked_at_as_it_is(page, *looks):
            found[language] = wrong
    return found


def looked_at_as_it_is(page: Page, *looks: Look) -> dict[str, list[str]]:
    """What is wrong with a page that can't be loaded again, or is looked at in one language."""
    found = {}
    for look in looks or LOOKS[:2]:
        page.set_viewport_size(look.viewport)
        page.emulate_media(color_scheme=look.scheme)
        if wrong := violations(page) + cut(page):
            found[str(look)] = wrong
    page.emulate_media(color_scheme="light")
    with zoomed(page):  # words are longest where there is least room
        if wrong := cut(page):
            found["zoomed"] = wrong
    return found


def _reload(page: Page, language: str) -> None:
    speak(page, language)
    page.reload()


def speak(page: Page, language: str) -> None:
    """What is loaded from now on is in this language."""
    at = urlsplit(page.url)
    give_cookie(page.context, f"{at.scheme}://{at.netloc}/", cookies.LANGUAGE, language)


@contextmanager
def zoomed(page: Page) -> Iterator[None]:
    """A phone at 200 %; afterwards at 100 %."""
    page.set_viewport_size(Look("", "light", PHONE, ZOOM).viewport)
    yield
    page.set_viewport_size(Look("", "light", PHONE, 1).viewport)


def cut(page: Page) -> list[str]:
    """What lies beside the screen, or does not fit where it stands."""
    found: list[str] = page.evaluate(_CUT)
    return found


def violations(page: Page) -> list[str]:
    """Each violation of any of axe's rules, with the elements that have it.

    axe comes in by the debugger's door, which no CSP shuts.
    """
    if not SCRIPT.is_file():
        pytest.skip("no axe-core: run scripts/test-setup")
    session = page.context.new_cdp_session(page)
    there = session.send("Runtime.evaluate", {"expression": "typeof axe === 'object'", "returnByValue": True})
    if not there["result"]["value"]:
        session.send("Runtime.evaluate", {"expression": SCRIPT.read_text("utf-8")})
    options = json.dumps({"resultTypes": ["violations"]})
    ran = session.send(
        "Runtime.evaluate",
        {
            "expression": f"axe.run(document, {options}).then((found) => found.violations)",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    session.detach()
    assert "exceptionDetails" not in ran, ran["exceptionDetails"]
    return [_told(violation) for violation in ran["result"]["value"]]


def _told(violation: dict[str, Any]) -> str:
    places = "; ".join(node["html"][:160] for node in violation["nodes"][:4])
    return f"{violation['id']} ({violation['help']}): {places}"
