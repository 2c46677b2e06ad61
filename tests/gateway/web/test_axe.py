"""Every page as people with other eyes and hands meet it: in each language, light and dark, on a phone, wide, at 200 %.

Nothing that axe-core finds, nothing wider than its screen, nothing cut. `axe.LOOKS` says what is tried together. The
page in clear is looked at in test_reach, the kiosk with somebody before it in test_kiosk_page.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from itertools import combinations, product

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.access.lockout import FREE_TRIES
from gateway.web import application
from gateway.web.cookies import SESSION
from gateway.web.language import LANGUAGES
from gateway.web.who import Role
from tests.flow.world import Process, World
from tests.gateway.web import test_first_boot
from tests.gateway.web.axe import LOOKS, cut, looked_at, looked_at_as_it_is, speak, violations, zoomed
from tests.gateway.web.browser import context_of, hold
from tests.gateway.web.conftest import SCENARIO, Shop, open_shop
from tests.gateway.web.places import ELSEWHERE, SIGN_IN, places, visited
from tests.servers import free_port
from tests.waiting import wait_until

NEW = """
[[dispensers]]
id = "new-1"
factory_new = true
nozzles = ["table-red", "mango-fresno"]
"""
PARTS = 4
"""Of the pages, a test each."""
REFUSED = r"status of (400|401|403|404|422|429|503)"
bare = test_first_boot.bare


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop after a visit, with a dispenser that waits and a wish that was refused."""
    with open_shop(tmp_path_factory.mktemp("shop"), scenario=SCENARIO + NEW) as opened:
        visited(opened)
        opened.ask("visit", dispenser="hot-bar-1", word="lukewarm")
        wait_until(lambda: {"adopt", "letter"} <= set(places(opened)), 20, "somebody waits, and something was refused")
        yield opened


def test_each_language_scheme_size_and_zoom_meets_each_other() -> None:
    looks = [astuple(look) for look in LOOKS]
    values = [sorted({look[at] for look in looks}) for at in range(4)]
    assert [len(each) for each in values] == [len(LANGUAGES), 2, 2, 2]
    for one, other in combinations(range(4), 2):
        met = {(look[one], look[other]) for look in looks}
        assert met == set(product(values[one], values[other])), (one, other)


def test_every_page_is_looked_at(shop: Shop) -> None:
    assert set(places(shop)) - {"kiosk"} == set(application.pages()) - set(ELSEWHERE)


@pytest.mark.parametrize("part", range(PARTS))
def test_nobody_is_kept_out(browser: Browser, shop: Shop, part: int) -> None:
    found = {}
    with context_of(browser, shop) as context:
        for name, path in list(places(shop).items())[part::PARTS]:
            page = context.new_page()
            answer = page.goto(shop.url + path)
            assert answer is not None
            assert answer.status == 200, path
            found[name] = looked_at(page)
            page.close()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_nobody_is_kept_out_of_what_they_may_less(browser: Browser, shop: Shop) -> None:
    """The pages that a viewer and a technician are given otherwise than an owner, and the refusals."""
    found, seen = {}, set[tuple[str, ...]]()
    for role in (Role.VIEWER, Role.TECHNICIAN):
        with context_of(browser, shop, role=role, tolerate=REFUSED) as context:
            page = context.new_page()
            for name, path in places(shop).items():
                is_like = shape(shop, path, role)
                if is_like in {shape(shop, path, Role.OWNER)} | seen:
                    continue
                seen.add(is_like)
                page.goto(shop.url + path)
                found[f"{name} of a {role.name}"] = looked_at_as_it_is(page)
    assert len(found) > 5
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def shape(shop: Shop, path: str, role: Role) -> tuple[str, ...]:
    """Of which elements a page is made for somebody, each named once: how many rows there are is no difference."""
    cookies = {SESSION: shop.keys.cookies[role]}
    answer = httpx.get(shop.url + path, cookies=cookies)
    made = re.findall(r"""<([a-z-]+)(?:[^>]*? (action|class|name)="([^"?]*))?""", answer.text)
    return (str(answer.status_code), *sorted({"".join(each) for each in made}))


def test_nobody_is_kept_out_by_what_they_did_wrong(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop, tolerate=REFUSED) as context:
        page = context.new_page()
        page.goto(shop.url + places(shop)["letter"])
        page.get_by_label("Category").fill("tepid")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator(".wrong .error")).to_be_visible()
        found = {"letter": looked_at(page)}
        speak(page, "en")
        page.goto(shop.url + places(shop)["adopt"])
        page.get_by_label("What people call it").fill("x" * 200)
        page.get_by_role("button", name="Adopt").click()
        expect(page.locator(".wrong .error")).to_be_visible()
        found |= {"adopt": looked_at(page)}
        page.goto(shop.url + "/dispensers/nobody")
        found |= {"nothing there": looked_at(page)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_door_keeps_nobody_out(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop, role=None, tolerate=REFUSED) as context:
        page = context.new_page()
        page.goto(shop.url + SIGN_IN)
        page.get_by_label("Name").fill("Eve")
        page.get_by_label("Password").fill("mild and sweet")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".banner")).to_be_visible()
        assert looked_at(page) == {}
        for _ in range(FREE_TRIES):
            page.reload()
        expect(page.locator(".banner")).to_contain_text(re.compile(r"\d"))  # how long to wait
        assert looked_at(page) == {}


def test_setup_keeps_nobody_out(browser: Browser, bare: World) -> None:
    """Each step, with what is wrong with it."""
    test_first_boot.start(bare)
    code = test_first_boot.picante(bare, "gateway", "setup-code")
    context, overheard = test_first_boot.visitor(browser, bare, (390, 844), locale="en", reduced_motion="reduce")
    page = context.new_page()
    page.goto(bare.url)
    found: dict[str, object] = {}

    def step(name: str, wrong: dict[str, str], button: str, right: dict[str, str], after: str) -> None:
        filled(page, wrong, button)
        found[name] = looked_at(page)
        speak(page, "en")
        page.goto(page.url)
        filled(page, right, after)

    step("code", {"Setup code": "AAAA-AAAA"}, "Begin", {"Setup code": code}, "Begin")
    step(
        "store", {"Store": "mercado 12", "Region": "north"}, "Next", {"Store": "mercado-12", "Region": "north"}, "Next"
    )
    step("time", {}, "", {"Time zone": "Europe/Madrid"}, "Next")
    passwords = {"Name": "Olga", "Password": "smoke and honey", "Password again": "smoke and"}
    step("technician", passwords, "Next", passwords | {"Password again": "smoke and honey"}, "Next")
    step("kafka", {"Kafka servers": f"127.0.0.1:{free_port()}"}, "Test the connection", {}, "Skip: no Kafka yet")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    found["done"] = looked_at(page)
    page.route("**/readyz", lambda route: route.fulfill(status=204))  # it stands still
    page.locator("main form button").last.click()
    expect(page.locator("main [role=status]")).to_be_visible()
    found["starting"] = looked_at_as_it_is(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    overheard.judge()
    context.close()


def filled(page: Page, fields: dict[str, str], button: str) -> None:
    """What somebody types and presses; without a button nothing."""
    for label, value in fields.items():
        field = page.get_by_label(label, exact=True)
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    if button:
        page.get_by_role("button", name=button).click()


def test_what_is_wrong_is_found(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop) as context:
        page = context.new_page()
        page.goto(shop.url + "/sync")
        page.evaluate("document.querySelector('h1').append(document.createElement('button'))")
        assert any(line.startswith("button-name") for line in violations(page))
        assert cut(page) == []
        page.evaluate("""() => {
          const long = document.querySelector("main").appendChild(document.createElement("h2"));
          long.textContent = "Kafka".repeat(9);
          long.style.whiteSpace = "nowrap";
        }""")
        with zoomed(page):
            assert any("<h2" in line for line in cut(page))


def test_a_gateway_that_starts_anew_keeps_nobody_out(browser: Browser, shop: Shop) -> None:
    began = shop.json("/api/v1/status")["gateway"]["started"]
    with context_of(browser, shop, tolerate=f"{REFUSED}|net::ERR_|htmx:") as context:
        page = context.new_page()
        page.goto(f"{shop.url}/system")
        hold(page, page.get_by_role("button", name="Start anew"))
        expect(page.get_by_role("heading", level=1)).to_have_text("The gateway starts anew")
        page.route("**/readyz", lambda route: route.fulfill(status=204))  # it stands still
        assert looked_at_as_it_is(page) == {}
        expect(page.get_by_role("heading", level=1)).to_have_text("The gateway starts anew")
    wait_until(lambda: started(shop) not in {None, began}, 60, "it has started anew")


def started(shop: Shop) -> object:
    """Since when the gateway runs; None while it does not."""
    try:
        return shop.json("/api/v1/status")["gateway"]["started"]
    except httpx.HTTPError:
        return None


def test_safe_mode_keeps_nobody_out(browser: Browser, shop: Shop) -> None:
    """The last one: the gateway can't run any more."""
    assert shop.gateway.stop() == 0
    with closing(sqlite3.connect(shop.directory / "gateway/gateway.db")) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'from_the_future' WHERE rowid = 1")
    config = str(shop.directory / "gateway.toml")
    shop.gateway = Process(shop.directory, "gateway", "gateway", "run", "--config", config)
    wait_until(lambda: is_safe(shop), 60, "safe mode answers")
    with context_of(browser, shop, tolerate=REFUSED) as context:
        page = context.new_page()
        page.goto(shop.url)
        found = {"safe": looked_at(page)}
        page.goto(shop.url + "/system/backups")
        found |= {"restore": looked_at(page)}
        page.route("**/readyz", lambda route: route.fulfill(status=204))  # it stands still
        page.goto(shop.url + "/kiosk/hot-bar-1")
        assert looked_at_as_it_is(page) == {}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def is_safe(shop: Shop) -> bool:
    """Whether the gateway answers, and is not ready."""
    try:
        return shop.get("/readyz").status_code == 503
    except httpx.HTTPError:
        return False
