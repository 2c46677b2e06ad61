"""The first boot in a browser: from an empty directory to a pick, through a kill, by keyboard, without Kafka."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shutil
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
from hw_sim.control import call
from picante.cli import main
from tests.flow.world import World
from tests.gateway.web.browser import PHONE, WIDE, Overheard
from tests.servers import free_port
from tests.waiting import wait_until

PASSWORD = "smoke and honey"
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
    overheard = Overheard(urlsplit(bare.url).netloc, "ERR_CONNECTION|ERR_INTERNET|503|401|422|429")
    context.on("page", overheard.listen)
    return context, overheard


def typed(page: Page, *words: str) -> None:
    """Go from field to field with the Tab key, type, and send with Enter."""
    for word in words:
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type(word)
        page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")


def test_from_an_empty_directory_to_the_first_pick(browser: Browser, bare: World) -> None:  # noqa: PLR0915 -- a visit
    start(bare)
    code = picante(bare, "gateway", "setup-code")
    context, overheard = visitor(browser, bare, PHONE)
    page = context.new_page()
    page.goto(bare.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up this gateway")
    page.get_by_label("Setup code").fill("AAAA-AAAA")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is not the code")).to_be_visible()
    scanned = context.new_page()  # what the label's QR code opens
    scanned.goto(f"{bare.url}/setup#{code}")
    expect(scanned.get_by_label("Setup code")).to_have_value(code)
    assert code not in scanned.url
    scanned.close()

    # by keyboard alone from here on
    page.get_by_label("Setup code").focus()
    typed(page, code.lower().replace("-", " "))
    expect(page.get_by_role("heading", level=1)).to_have_text("Which store is this?")
    page.get_by_label("Store").focus()
    typed(page, "mercado 12", "south")
    expect(page.locator(".error")).to_have_count(1)
    expect(page.get_by_label("Store")).to_have_value("mercado 12")
    page.get_by_label("Store").focus()
    typed(page, "mercado-12", "south", "gw-north-3")
    expect(page.get_by_role("heading", level=1)).to_have_text("Where is it?")

    # the power goes: what was answered is kept, and the browser goes on where it was
    assert bare.gateway is not None
    bare.gateway.kill()
    start(bare)
    page.goto(bare.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Where is it?")
    page.get_by_role("link", name="Store").click()
    expect(page.get_by_label("Region")).to_have_value("south")
    page.get_by_role("link", name="Time zone").click()
    page.get_by_label("Time zone").focus()
    page.keyboard.type("Europe/Madrid")
    page.keyboard.press("Tab")
    context.set_offline(True)  # the LAN is cut, and comes back
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("^chrome-error:"))
    context.set_offline(False)
    page.goto(bare.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Where is it?")
    page.get_by_label("Time zone").focus()
    page.keyboard.type("Europe/Madrid")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Who are you?")
    page.get_by_label("Name").focus()
    typed(page, "Olga", PASSWORD, "something else")
    expect(page.locator(".error")).to_have_text("This is not the same")
    page.get_by_label("Password", exact=True).focus()
    typed(page, PASSWORD, PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_have_text("Where do events go?")
    page.get_by_label("Kafka servers").fill(f"127.0.0.1:{free_port()}")
    page.get_by_role("button", name="Test the connection").press("Enter")
    expect(page.get_by_text("Nobody answers there")).to_be_visible()
    page.get_by_role("button", name="Skip: no Kafka yet").press("Enter")
    expect(page.get_by_text("gw-north-3")).to_be_visible()
    page.get_by_role("button", name="Start").press("Enter")
    expect(page).to_have_url(f"{bare.url}/", timeout=60_000)
    expect(page.get_by_text("a key of this gateway's own").first).to_be_visible()  # signed in already
    assert httpx.get(f"{bare.url}/setup").headers["location"] == "/"
    said = (bare.directory / "gateway" / "setup.toml").read_text()
    assert 'store = "mercado-12"' in said
    assert "kafka" not in said

    bare.start_sim()
    wait_until(lambda: waits(bare), 20, "the dispenser waits to be adopted")
    picante(bare, "dispensers", "adopt", "bar-7")
    wait_until(lambda: bare.get("/api/v1/dispensers")["dispensers"][0]["online"], 20, "it is online")
    call(bare.socket, {"do": "visit", "dispenser": "bar-7", "pour": "table-red", "token": "loyalty-1"})
    picks = wait_until(lambda: bare.get("/api/v1/status")["picks"], 10, "a pick is shown")
    assert picks[0]["picks"]
    assert PASSWORD not in (bare.directory / "gateway.log").read_text()
    assert code not in (bare.directory / "gateway.log").read_text()
    overheard.judge()
    context.close()


def waits(bare: World) -> bool:
    found = bare.get("/api/v1/dispensers")["dispensers"]
    return bool(found) and found[0]["name"] == "bar-7"


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
        for label, value in fields.items():
            page.get_by_label(label).fill(value)
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


def test_before_it_is_set_up_nothing_is_told(bare: World) -> None:
    start(bare)
    for path in ("/", "/people", "/system", "/sign-in", "/dispensers/bar-7"):
        answer = httpx.get(bare.url + path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/setup"), path
    for path in ("/api/v1/status", "/metrics", "/openapi.json", "/api/v1/people"):
        answer = httpx.get(bare.url + path)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:picante:problem:not-set-up"), path
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
