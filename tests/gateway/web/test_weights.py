"""What the first load of each page weighs on the wire, in a shop where there is much to show.

Everything that a browser with nothing in its cache is sent, packed as it travels, heads and all: the document, styles,
scripts and what they import, and of event streams what they begin with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from benchmarks.parts.shop import fill_shop
from firmware_bridge.messages import Channel
from gateway.clock import kernel_boot_id
from gateway.sample_file import FILE, RawRow, SampleFile
from gateway.sample_room import Moment
from gateway.web import application
from tests.flow.world import Process
from tests.gateway.web.browser import context_of
from tests.gateway.web.conftest import SCENARIO, Shop, open_shop
from tests.gateway.web.places import ELSEWHERE, SIGN_IN, places, visited
from tests.gateway.web.test_axe import NEW
from tests.waiting import wait_until

KB = 1_000
PAGE, CHART, KIOSK = 60 * KB, 90 * KB, 40 * KB
LIMITS = {"readings": CHART, "kiosk": KIOSK}
"""Bytes that a page may have; the others have `PAGE`."""
EVENTS = 3_000
CHARTED_S = 600
LEAST = 3 * KB
"""A page that weighs less was not weighed."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """200 dispensers, of which two are here, a month of pours, and a chart of ten minutes in which all flowed."""
    with open_shop(tmp_path_factory.mktemp("shop"), scenario=SCENARIO + NEW) as opened:
        opened.gateway.stop()
        fill_shop(opened.directory / "gateway", "gw-1", EVENTS)
        chart(opened, "hot-bar-1")
        config = str(opened.directory / "gateway.toml")
        opened.gateway = Process(opened.directory, "gateway", "gateway", "run", "--config", config)
        wait_until(lambda: online(opened, "hot-bar-1"), 60, "it is back")
        visited(opened)
        opened.ask("visit", dispenser="hot-bar-1", word="lukewarm")
        wait_until(lambda: {"adopt", "letter"} <= set(places(opened)), 20, "somebody waits, and something was refused")
        yield opened


def chart(shop: Shop, dispenser: str) -> None:
    """Ten minutes of SAMPLEs with ten values a second of each sensor."""
    boot_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    rows = []
    for second in range(CHARTED_S):
        values = [second * 7919 % 1_000 + each for each in range(10)]
        series = [(channel, nozzle, values) for channel in (Channel.FLOW, Channel.LEVEL) for nozzle in range(1, 7)]
        at_ms = boot_ms - (CHARTED_S - second) * 1_000
        rows.append(RawRow(dispenser, at_ms, 100, msgspec.msgpack.encode(series)))
    file = SampleFile(shop.directory / "gateway" / FILE, 2**24, kernel_boot_id())
    file.write(rows, [], Moment(boot_ms, int(time.time() * 1_000) - boot_ms))
    assert file.dropped == 0
    file.close()


def online(shop: Shop, dispenser: str) -> bool:
    """Whether it is connected."""
    try:
        found = shop.json("/api/v1/dispensers?limit=500")["dispensers"]
    except httpx.HTTPError:
        return False
    return any(one["online"] for one in found if one["name"] == dispenser)


def weight(context: BrowserContext, shop: Shop, path: str) -> int:
    """Bytes of a first load."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    sizes: dict[str, int] = {}
    streams: list[str] = []

    def answered(event: dict[str, Any]) -> None:
        if event["response"]["mimeType"] == "text/event-stream":
            streams.append(event["response"]["url"])

    session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    session.on("Network.responseReceived", answered)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto(shop.url + path)
    page.wait_for_load_state("load")
    if page.locator("#live").count():
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    elif page.locator("picante-kiosk").count():
        expect(page.locator("picante-kiosk")).to_have_attribute("data-line", "open")
    page.wait_for_timeout(300)  # what scripts ask for
    page.close()
    return int(sum(sizes.values())) + sum(beginning(shop, stream) for stream in streams)


def beginning(shop: Shop, address: str) -> int:
    """Bytes of a stream as a browser is sent them until the first tick: by then it has told all."""
    with shop.client.stream("GET", address, headers={"accept-encoding": "gzip"}) as answer:
        heads = sum(len(name) + len(value) + 4 for name, value in answer.raise_for_status().headers.raw)
        for line in answer.iter_lines():
            if line.startswith("event: tick"):
                break
        return heads + answer.num_bytes_downloaded


def test_each_page_is_light(browser: Browser, shop: Shop) -> None:
    found = {}
    with context_of(browser, shop) as context:
        for name, path in places(shop).items():
            found[name] = weight(context, shop, path)
    with context_of(browser, shop, role=None) as context:
        found["sign-in"] = weight(context, shop, SIGN_IN)
    assert set(found) - {"kiosk", "sign-in"} == set(application.pages()) - set(ELSEWHERE)
    limits = {name: LIMITS.get(name, PAGE) for name in found}
    assert {name: size for name, size in found.items() if not LEAST < size < limits[name]} == {}


def test_what_is_weighed_is_much(shop: Shop) -> None:
    history = shop.json("/api/v1/dispensers/hot-bar-1/readings")["series"]
    assert sum(value is not None for each in history for value in each["least"]) > 12 * CHARTED_S / 2
    assert len(json.dumps(history)) > CHART, "unpacked it would be too much"
    assert shop.get("/events").text.count('href="/events/') >= 100
    assert shop.get("/dispensers").text.count("<article") == 24
