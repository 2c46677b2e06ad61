"""What keeps people out of a page, in each language, light and dark, and on a phone at 200 %.

axe-core says what it finds (WCAG 2.2 A and AA, and its own best practices), and we what does not fit where it stands.

    assert looked_at(page) == {}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from gateway.web import cookies
from gateway.web.language import LANGUAGES
from tests.access import give_cookie
from tests.gateway.web.browser import PHONE
from tests.web_tools import MODULES

SCRIPT = MODULES / "axe-core" / "axe.min.js"
ZOOMED = {"width": PHONE[0] // 2, "height": PHONE[1] // 2}
"""px; what 200 % leaves of a phone."""
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


def looked_at(page: Page) -> dict[str, list[str]]:
    """What is wrong with the page in each language, loaded anew; forms are sent again. In the end it is light."""
    found = {}
    for language in LANGUAGES:
        speak(page, language)
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", language)
        wrong = violations(page)
        with zoomed(page):
            wrong += cut(page)
            page.emulate_media(color_scheme="dark")
            wrong += violations(page, "color-contrast", "target-size")
            page.emulate_media(color_scheme="light")
        if wrong:
            found[language] = wrong
    return found


def speak(page: Page, language: str) -> None:
    """What is loaded from now on is in this language."""
    at = urlsplit(page.url)
    give_cookie(page.context, f"{at.scheme}://{at.netloc}/", cookies.LANGUAGE, language)


@contextmanager
def zoomed(page: Page) -> Iterator[None]:
    """A phone at 200 %."""
    page.set_viewport_size(ZOOMED)  # type: ignore[arg-type]
    yield
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})


def cut(page: Page) -> list[str]:
    """What lies beside the screen, or does not fit where it stands."""
    found: list[str] = page.evaluate(_CUT)
    return found


def violations(page: Page, *rules: str) -> list[str]:
    """Each violation (of these rules, if any are named) with the elements that have it.

    axe comes in by the debugger's door, which no CSP shuts.
    """
    if not SCRIPT.is_file():
        pytest.skip("no axe-core: run scripts/test-setup")
    session = page.context.new_cdp_session(page)
    there = session.send("Runtime.evaluate", {"expression": "typeof axe === 'object'", "returnByValue": True})
    if not there["result"]["value"]:
        session.send("Runtime.evaluate", {"expression": SCRIPT.read_text("utf-8")})
    options = json.dumps({"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {}))
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
