"""The first boot in a browser: from an empty directory to a pick, through a kill, by keyboard, without Kafka."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.access.access import open_access
from gateway.app import run
from gateway.config import load_config, load_draft, load_pseudonym_key, pseudonym_path
from gateway.first_boot import run_first_boot
from gateway.web.entry.setup import Setup
from gateway.web.reach import Card
from hw_sim.control import call
from picante import label
from picante.cli import main
from tests.flow.world import World
from tests.gateway.web.browser import PHONE, WIDE, Overheard, failed_to_load
from tests.gateway.web.keyboard import press, write
from tests.loaded import ALONE
from tests.servers import free_port
from tests.waiting import wait_until

PASSWORD = "smoke and honey"
MOST_S = 600.0
"""s from the first start to the first pick."""
CONFIG = """\
[gateway]
data_dir = "gateway"
ballast_mb = 0
[serial]
ports = ["{directory}/sim/ports/usb-picante-*"]
[http]
port = {port}
"""
SCENARIO = """\
store = "mercado-12"
[[dispensers]]
id = "bar-7"
factory_new = true
nozzles = ["table-red", "mango-fresno", "chipotle-honey"]
"""

TOLERATED = {
    "the server responded with a status of 401 (Unauthorized)": "a code that is wrong",
    "the server responded with a status of 422 (Unprocessable Entity)": "a store with a space in it, two passwords",
    "the server responded with a status of 503 (Service Unavailable)": "/readyz, while the daemon ends or starts",
    "net::ERR_CONNECTION_REFUSED": "/readyz, once it has ended",
    "net::ERR_CONNECTION_RESET": "/readyz, just when it ends",
    "net::ERR_EMPTY_RESPONSE": "/readyz, just when it ends",
}
"""What a browser says on its console of a setup in which something goes wrong, and of what."""
ANSWERS = {
    "store": {"store": "mercado-12", "region": "south", "id": "gw-north-3"},
    "time": {"timezone": "Europe/Madrid"},
    "technician": {"name": "Olga", "password": PASSWORD},
    "kafka": {},
}


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[World]:
    """A gateway that nobody set up."""
    port = free_port()
    (tmp_path / "gateway.toml").write_text(CONFIG.format(directory=tmp_path, port=port))
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    made = World(tmp_path, "gw-1", "", port)
    try:
        yield made
    finally:
        for process in (made.sim, made.gateway):
            if process is not None:
                process.stop()


def start(bare: World) -> None:
    bare.spawn_gateway()
    wait_until(lambda: answers(bare), 60, "the setup is served")


def answers(bare: World, path: str = "/healthz") -> bool:
    assert bare.gateway is not None
    assert bare.gateway.process.poll() is None, bare.gateway.said()
    try:
        return httpx.get(bare.url + path, timeout=2).is_success
    except httpx.HTTPError:
        return False


def picante(bare: World, *words: str) -> str:
    """What a command on the gateway says."""
    result = CliRunner().invoke(main, [*words, "--config", str(bare.directory / "gateway.toml")])
    assert result.exit_code == 0, result.output
    return result.output.strip()


def visitor(browser: Browser, bare: World, size: tuple[int, int], **more: object) -> tuple[BrowserContext, Overheard]:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **more)  # type: ignore[arg-type]
    overheard = Overheard(failed_to_load(*TOLERATED), urlsplit(bare.url).netloc)
    context.on("page", overheard.listen)
    return context, overheard


def asked(page: Page, question: str) -> None:
    """Wait for a step of the setup."""
    expect(page.get_by_role("heading", level=1)).to_have_text(question)


def test_from_an_empty_directory_to_the_first_pick(browser: Browser, bare: World) -> None:  # noqa: PLR0915 -- a visit
    """By keyboard alone, from the address bar's first Tab on."""
    before = time.monotonic()
    bare.environment = {ALONE: "1"}  # there is no Internet
    start(bare)
    code = picante(bare, "gateway", "setup-code")
    context, overheard = visitor(browser, bare, PHONE)
    page = context.new_page()
    page.goto(bare.url)
    asked(page, "Set up this gateway")
    write(page, page.get_by_label("Setup code"), "AAAA-AAAA")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is not the code")).to_be_visible()
    write(page, page.get_by_label("Setup code"), code.lower().replace("-", " "))
    press(page, page.get_by_role("button", name="Begin"))

    asked(page, "Which store is this?")
    write(page, page.get_by_label("Store"), "mercado 12")
    write(page, page.get_by_label("Region"), "south")
    press(page, page.get_by_role("button", name="Next"))
    expect(page.locator(".error")).to_have_count(1)
    expect(page.get_by_label("Store")).to_have_value("mercado 12")
    write(page, page.get_by_label("Store"), "mercado-12")
    write(page, page.get_by_label("Gateway"), "gw-north-3")
    page.keyboard.press("Enter")
    asked(page, "Where is it?")

    # the power goes: what was answered is kept, and the browser goes on where it was
    assert bare.gateway is not None
    bare.gateway.kill()
    start(bare)
    page.goto(bare.url)
    asked(page, "Where is it?")
    press(page, page.get_by_role("link", name="Store"))
    expect(page.get_by_label("Region")).to_have_value("south")
    press(page, page.get_by_role("link", name="Time zone"))
    asked(page, "Where is it?")
    write(page, page.get_by_label("Time zone"), "Europe/Madrid")
    context.set_offline(True)  # the LAN is cut, and comes back
    press(page, page.get_by_role("button", name="Next"))
    expect(page).to_have_url(re.compile("^chrome-error:"))
    context.set_offline(False)
    page.goto(bare.url)
    asked(page, "Where is it?")
    write(page, page.get_by_label("Time zone"), "Europe/Madrid")
    press(page, page.get_by_role("button", name="Next"))

    asked(page, "Who are you?")
    write(page, page.get_by_label("Name"), "Olga")
    write(page, page.get_by_label("Password", exact=True), PASSWORD)
    write(page, page.get_by_label("Password again"), "something else")
    page.keyboard.press("Enter")
    expect(page.locator(".error")).to_have_text("This is not the same")
    write(page, page.get_by_label("Password", exact=True), PASSWORD)
    write(page, page.get_by_label("Password again"), PASSWORD)
    page.keyboard.press("Enter")
    asked(page, "Where do events go?")
    write(page, page.get_by_label("Kafka servers"), f"127.0.0.1:{free_port()}")
    press(page, page.get_by_role("button", name="Test the connection"))
    expect(page.get_by_text("Nobody answers there")).to_be_visible()
    press(page, page.get_by_role("button", name="Skip: no Kafka yet"))
    expect(page.get_by_text("gw-north-3")).to_be_visible()
    press(page, page.get_by_role("button", name="Start"))
    expect(page).to_have_url(f"{bare.url}/", timeout=60_000)
    expect(page.get_by_text("a key of this gateway's own").first).to_be_visible()  # signed in already
    assert httpx.get(f"{bare.url}/setup").headers["location"] == "/"
    said = (bare.directory / "gateway" / "setup.toml").read_text()
    assert 'store = "mercado-12"' in said
    assert "kafka" not in said

    bare.start_sim()
    press(page, page.get_by_role("navigation").get_by_role("link", name="Dispensers"))
    expect(page.get_by_role("link", name="Adopt")).to_be_visible(timeout=20_000)
    press(page, page.get_by_role("link", name="Adopt"))
    write(page, page.get_by_label("What people call it"), "Bar, left")
    press(page, page.get_by_role("button", name="Adopt"))
    asked(page, "Bar, left")
    expect(page.locator("#dispenser-head")).to_contain_text("Well", timeout=20_000)  # it is let in
    call(bare.socket, {"do": "visit", "dispenser": "bar-7", "pour": "table-red", "token": "loyalty-1"})
    left_s = MOST_S - (time.monotonic() - before)
    picks = wait_until(lambda: bare.get("/api/v1/status")["picks"], left_s, "a pick is shown", promised=True)
    assert picks[0]["picks"]
    assert PASSWORD not in (bare.directory / "gateway.log").read_text()
    assert code not in (bare.directory / "gateway.log").read_text()
    overheard.judge()
    context.close()


def test_the_labels_code_opens_the_form_filled_in_and_says_what_the_certificate_must_say(
    browser: Browser, bare: World
) -> None:
    start(bare)
    code, root = picante(bare, "gateway", "setup-code"), "4F0A" * 16
    card = Card("gw-north-3", "mercado-12", [f"{bare.url}/"], [], ":".join(re.findall("..", root)))
    context, overheard = visitor(browser, bare, PHONE)
    asked_for = list[str]()
    context.on("request", lambda request: asked_for.append(request.url))
    page = context.new_page()
    page.goto(label.said(card, code))
    expect(page.get_by_label("Setup code")).to_have_value(code)
    shown = page.get_by_role("region", name="The label")
    expect(shown.get_by_text(card.fingerprint)).to_be_visible()
    expect(shown.get_by_text("gw-north-3")).to_be_visible()
    assert page.url == f"{bare.url}/setup"
    assert not [url for url in asked_for if root in url.partition("#")[0] or code in url.partition("#")[0]]
    page.goto(f"{bare.url}/setup#name=gw-1&root=nothing")
    page.reload()
    expect(page.get_by_label("Setup code")).to_have_value("")
    expect(shown).to_be_hidden()
    overheard.judge()
    context.close()


def test_without_javascript_on_a_wide_screen(browser: Browser, bare: World) -> None:
    start(bare)
    code = picante(bare, "gateway", "setup-code")
    context, overheard = visitor(browser, bare, WIDE, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{bare.url}/system")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_role("button", name="English").click()
    page.get_by_label("Setup code").fill(code)
    page.get_by_role("button", name="Begin").click()
    for fields in ({"Store": "mercado-12", "Region": "south"}, {}, {"Name": "Olga", "Password again": PASSWORD}):
        if not fields:
            page.get_by_label("Time zone").select_option("Europe/Madrid")
        for name, value in fields.items():
            page.get_by_label(name).fill(value)
        if "Name" in fields:
            page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Skip: no Kafka yet").click()
    page.get_by_role("button", name="Start").click()
    wait_until(lambda: answers(bare, "/readyz"), 60, "it works")
    page.goto(bare.url)  # as its link does, and it by itself after a while
    expect(page.get_by_text("a key of this gateway's own").first).to_be_visible()
    overheard.judge()
    context.close()


def test_before_it_is_set_up_a_code_is_not_guessed(bare: World) -> None:
    start(bare)
    assert httpx.get(f"{bare.url}/system").headers["location"] == "/setup"
    assert httpx.get(f"{bare.url}/setup/technician").headers["location"] == "/setup"
    from_here = {"origin": bare.url}
    form = {"name": "Eve", "password": PASSWORD, "again": PASSWORD}
    answer = httpx.post(f"{bare.url}/setup/technician", data=form, headers=from_here)
    assert answer.headers["location"] == "/setup"
    assert httpx.post(f"{bare.url}/setup", data={"code": "BBBB-BBBB"}, headers=from_here).status_code == 401


async def test_power_that_fails_at_any_step_of_the_end_leaves_no_code_that_opens(bare: World) -> None:
    data_dir, cuts = bare.directory / "gateway", list[Path]()

    def cut(do: Callable[..., Any], *arguments: Any) -> Any:
        """Keep what a kill just here would leave."""
        cuts.append(Path(shutil.copytree(data_dir, bare.directory / f"cut-{len(cuts)}")))
        return do(*arguments)

    draft, _ = load_draft(bare.directory / "gateway.toml")
    with closing(open_access(data_dir)) as access:
        access.begin()
        setup = Setup(access, draft, lambda: None)
        for step, said in ANSWERS.items():
            assert await setup.answer(step, said) == {}
        with pytest.MonkeyPatch.context() as patch:
            for step in ("open", "rename", "unlink", "fsync"):
                patch.setattr(os, step, functools.partial(cut, getattr(os, step)))
            await setup.finish()
    assert len({tuple(sorted(path.name for path in left.iterdir())) for left in cuts}) > 5, "no step was left out"
    for left in cuts:
        shutil.rmtree(data_dir)
        left.rename(data_dir)
        draft, unnamed = load_draft(bare.directory / "gateway.toml")
        begun = run_first_boot(draft, unnamed) if unnamed else run(draft)
        assert await asyncio.wait_for(begun, 10), "a start ends it, asks nothing, and starts anew with it"
        config = load_config(bare.directory / "gateway.toml")
        assert config.gateway.id == "gw-north-3"
        assert load_pseudonym_key(pseudonym_path(config))
        with closing(open_access(data_dir)) as access:
            assert (access.begin(), access.stage) == (None, "ready")
            assert not await Setup(access, config, lambda: None).go_on(), "it is over"


def test_a_loss_of_access_does_not_bring_the_setup_back(bare: World) -> None:
    (bare.directory / "gateway").mkdir()
    (bare.directory / "gateway" / "setup.toml").write_text(
        '[gateway]\nid = "gw-1"\nstore = "mercado-12"\nregion = "south"\n'
    )
    runner = ["people", "add", "Olga", "--role", "owner", "--password", PASSWORD]
    picante(bare, *runner)
    (bare.directory / "gateway" / "access.db").write_bytes(b"damaged" * 1000)
    (bare.directory / "pseudonym.toml").touch(0o600)
    (bare.directory / "pseudonym.toml").write_text(f'version = 1\nkey = "{"ab" * 32}"\n')
    start(bare)
    assert httpx.get(f"{bare.url}/").headers["location"] == "/sign-in"
    page = httpx.get(f"{bare.url}/sign-in")
    assert (page.status_code, "picante people add NAME --role owner" in page.text) == (503, True)
    assert httpx.get(f"{bare.url}/setup").headers["location"] == "/"
    assert httpx.get(f"{bare.url}/api/v1/status").json()["type"] == "urn:picante:problem:access-lost"
    picante(bare, *runner)
    signed_in = httpx.post(
        f"{bare.url}/sign-in", data={"name": "olga", "password": PASSWORD}, headers={"origin": bare.url}
    )
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")
