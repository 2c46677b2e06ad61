"""A person at a page: a real browser, signed in, that must say nothing on its console and ask nobody but the gateway.

    with visiting(browser, shop, "/sync", PHONE, scheme="dark", language="de") as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Abgleich")

Locators and `expect` only: our CSP forbids what `wait_for_function` evaluates. A file of browser tests holds no `async`
test that needs the same shop at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol, TypedDict, Unpack
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from gateway.web.who import Role
from tests import access

PHONE, WIDE = (390, 844), (1280, 800)
"""What a page is looked at with."""


class Addressed(Protocol):
    """A gateway that a browser can go to."""

    @property
    def url(self) -> str: ...
    @property
    def keys(self) -> access.Keys: ...


class Overheard:
    """What pages of a context say and ask, to be judged when the visit ends."""

    def __init__(self, tolerated: str | None, *hosts: str) -> None:
        self._hosts = hosts
        self._tolerated = re.compile(tolerated) if tolerated else None
        self._said: list[str] = []
        self._left: list[str] = []

    def listen(self, page: Page) -> None:
        """Take down what this page says from now on."""
        page.on("console", lambda message: self._spoke(message.type, message.text))
        page.on("pageerror", lambda error: self._said.append(f"error: {error}"))
        page.on("request", lambda request: self._asked(request.url))

    def _spoke(self, kind: str, text: str) -> None:
        if kind != "verbose":  # a browser's advice
            self._said.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc not in self._hosts and parts.scheme not in {"data", "blob", "about"}:
            self._left.append(url)

    def judge(self) -> None:
        """Nothing may have been said (a report of the CSP is said, too), and nobody else asked."""
        said = [text for text in self._said if not (self._tolerated and self._tolerated.search(text))]
        assert said == [], f"the page's console: {said}"
        assert self._left == [], "requests that left the gateway"


def failed_to_load(*whys: str) -> str:
    """A pattern of nothing but requests that failed for exactly these reasons."""
    return rf"\Aerror: Failed to load resource: (?:{'|'.join(map(re.escape, whys))})\Z"


class Look(TypedDict, total=False):
    """How somebody looks at a page; what is left out is as a technician has it."""

    scheme: Literal["light", "dark"]
    language: str
    role: Role | None
    """None: nobody is signed in."""
    javascript: bool
    motion: bool
    """Whether things may move: left out, they don't."""
    touch: bool
    """Whether fingers may tap it."""
    tolerate: str
    """A pattern of what the console may say, where a test has the gateway die."""


@contextmanager
def context_of(
    browser: Browser, shop: Addressed, size: tuple[int, int] = PHONE, **look: Unpack[Look]
) -> Iterator[BrowserContext]:
    """A browser of its own, for several pages."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=look.get("scheme", "light"),
        locale=look.get("language", "en"),
        has_touch=look.get("touch", False),
        java_script_enabled=look.get("javascript", True),
        reduced_motion="no-preference" if look.get("motion") else "reduce",
    )
    overheard = Overheard(look.get("tolerate"), urlsplit(shop.url).netloc)
    context.on("page", overheard.listen)
    sign_in(context, shop, look.get("role", Role.OWNER))
    try:
        yield context
        overheard.judge()
    finally:
        context.close()


def sign_in(context: BrowserContext, shop: Addressed, role: Role | None) -> None:
    """Give the browser a session of somebody who is this."""
    if role is not None:
        access.sign_in(context, shop.url, shop.keys, role)


@contextmanager
def visiting(
    browser: Browser, shop: Addressed, path: str = "/", size: tuple[int, int] = PHONE, **look: Unpack[Look]
) -> Iterator[Page]:
    """One page, opened; with JavaScript it is live before the test looks at it."""
    with context_of(browser, shop, size, **look) as context:
        page = context.new_page()
        page.goto(shop.url + path)
        if look.get("javascript", True) and page.locator("#live").count():
            expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        yield page


# -- a button that is held --------------------------------------------------------------------------------------------


_BESIDE = """(apart) => {
  const found = [], seen = (each) => each.checkVisibility() && each.getBoundingClientRect().width > 1;
  const others = [...document.querySelectorAll("main :is(button:not(.danger), a.button, summary)")].filter(seen);
  for (const held of [...document.querySelectorAll("hold-button button")].filter(seen)) {
    const one = held.getBoundingClientRect();
    for (const each of others) {
      const two = each.getBoundingClientRect();
      const beside = Math.max(one.left - two.right, two.left - one.right);
      const above = Math.max(one.top - two.bottom, two.top - one.bottom);
      if (Math.max(beside, above) < apart) found.push(`${held.innerText}: ${each.innerText}, ${beside}, ${above} px`);
    }
  }
  return found;
}"""
APART_PX = 16
"""px between a button that is held and whatever else can be pressed: a thumb that slips does not do the other thing."""


def beside(page: Page) -> list[str]:
    """What stands too near to buttons that are held."""
    found: list[str] = page.evaluate(_BESIDE, APART_PX)
    return found


def hold(page: Page, button: Locator) -> None:
    """Hold it until what it does is sent: a busy browser begins to count its second late."""
    assert beside(page) == []
    button.hover()
    with is_sent(page):
        page.mouse.down()
    page.mouse.up()


def is_sent(page: Page) -> AbstractContextManager[Any]:
    """What begins inside is kept up until a form was sent."""
    return page.expect_request(lambda request: request.method == "POST")


# -- a page that nobody sees ------------------------------------------------------------------------------------------


def set_visibility(page: Page, state: Literal["visible", "hidden"]) -> None:
    """What a browser tells its page when another tab comes in front."""
    page.evaluate(
        """(state) => {
          Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
          Object.defineProperty(document, "hidden", {value: state === "hidden", configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


def put_away(page: Page) -> None:
    """The phone is put away: the page is hidden, it closes its stream, and its scripts are stopped."""
    with page.expect_event("requestfailed", lambda request: "/live" in request.url):
        set_visibility(page, "hidden")
    page.context.new_cdp_session(page).send("Page.setWebLifecycleState", {"state": "frozen"})


def take_up(page: Page) -> None:
    """The phone is taken up again."""
    page.context.new_cdp_session(page).send("Page.setWebLifecycleState", {"state": "active"})
    set_visibility(page, "visible")
