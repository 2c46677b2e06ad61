"""A dead letter on its whole road: refused, read on a phone, mended, replayed, and once in Kafka and in the ledger.

Kafka is a real one. That the daemon is killed while the letter is replayed is in test_records_pages, too.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cloud_sync.topics import DEAD_LETTERS, EVENT_ID
from hw_sim.control import call
from tests.access import Keys, set_up
from tests.cloud_sync.kafka_reading import read, read_events
from tests.flow.world import World, world
from tests.gateway.web.browser import PHONE, WIDE, visiting
from tests.servers import KafkaServer, MosquittoServer
from tests.waiting import wait_until

SCENARIO = """\
[[dispensers]]
id = "hot-bar-1"
nozzles = ["garden-green", "table-red"]
"""


pytestmark = pytest.mark.timeout(300)  # the first has Kafka's start in it


@dataclass(frozen=True, slots=True)
class Bar:
    """A shop, and who comes in."""

    world: World
    keys: Keys

    @property
    def url(self) -> str:
        return self.world.url

    def refused(self) -> dict[str, Any]:
        """A wish whose words nobody understands, once it is among Kafka's dead letters."""
        before = len(self.letters())
        call(self.world.socket, {"do": "visit", "dispenser": "hot-bar-1", "word": "lukewarm", "pour": "table-red"})
        wait_until(lambda: len(self.letters()) > before, 20, "a dead letter")
        wait_until(self.world.everything_confirmed, 60, "Kafka has it")
        return self.letters()[0]

    def letters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.get("/api/v1/dead-letters")["letters"]
        return found

    def row(self) -> dict[str, Any]:
        """The dispenser's in the ledger."""
        (found,) = [row for row in self.world.ledger() if row["source"] == "hot-bar-1"]
        assert found["flaws"] == []
        return found


@pytest.fixture(scope="module")
def bar(tmp_path_factory: pytest.TempPathFactory, kafka: KafkaServer, mqtt: MosquittoServer) -> Iterator[Bar]:
    directory = tmp_path_factory.mktemp("letters")
    with world(directory, kafka, mqtt, SCENARIO, f"gw-letters-{secrets.token_hex(4)}") as made:
        keys = set_up(directory / "gateway")
        made.start_sim()
        made.start_gateway()
        yield Bar(made, keys)


def opened(page: Page) -> None:
    """From the page Sync to the letter, which says why it was refused."""
    page.get_by_role("link", name="words that say nothing of heat").click()
    page.get_by_role("link", name="a wish").first.click()
    said = page.locator("#letters-said")
    expect(said).to_contain_text("words that say nothing of heat")
    expect(said).to_contain_text("lukewarm")
    expect(said).to_contain_text("it is there, too")
    expect(page.get_by_label("Category")).to_have_value("lukewarm")


def replayed(page: Page) -> None:
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#letters-said .badge").first).to_have_text("Replayed")


def found_in_kafka(bar: Bar, letter: dict[str, Any]) -> tuple[list[str], int]:
    """What events of the letter's identity say, and how often it is among the dead letters."""
    wait_until(bar.world.everything_confirmed, 60, "Kafka has everything")
    with ThreadPoolExecutor(1) as reading:  # Playwright has a loop in this thread
        parts = reading.submit(asyncio.run, read_events(bar.world.bootstrap, bar.world.gateway_id)).result()
        dead = reading.submit(asyncio.run, read(bar.world.bootstrap, DEAD_LETTERS.name)).result()
    events = [event for part in parts.values() for event in part if str(event.id) == letter["id"]]
    said = [msgspec.to_builtins(event.data).get("said") for event in events]
    return said, sum((EVENT_ID, letter["id"].encode()) in record.headers for record in dead)


@pytest.mark.parametrize(("size", "javascript"), [(PHONE, True), (WIDE, False)])
def test_what_was_refused_is_mended_and_once_in_the_topic(
    browser: Browser, bar: Bar, size: tuple[int, int], javascript: bool
) -> None:
    letter, before = bar.refused(), bar.row()
    with visiting(browser, bar, "/sync", size, javascript=javascript) as page:
        opened(page)
        page.get_by_label("Category").fill("mild")
        replayed(page)
    assert found_in_kafka(bar, letter) == (["mild"], 1)
    after = bar.row()
    assert {
        name: after[name] - before[name] for name in ("generated", "stored", "in_kafka", "refused", "replayed")
    } == {
        "generated": 0,
        "stored": 1,
        "in_kafka": 1,
        "refused": 0,
        "replayed": 1,
    }
    assert (after["pending"], after["refused_in_kafka"]) == (0, after["refused"])


@contextmanager
def lan_is_cut(*servers: KafkaServer | MosquittoServer) -> Iterator[None]:
    """Nobody beyond the gateway answers."""
    with ExitStack() as healed:
        for server in servers:
            os.kill(server.pid, signal.SIGSTOP)
            healed.callback(os.kill, server.pid, signal.SIGCONT)
        yield


def test_through_a_cut_and_a_kill_it_is_replayed_once(
    browser: Browser, bar: Bar, killable_kafka: KafkaServer, mqtt: MosquittoServer
) -> None:
    letter, before, letters = bar.refused(), bar.row(), len(bar.letters())

    def lost(route: Route) -> None:
        """The gateway gets the form, and its answer gets nowhere."""
        route.fetch(max_redirects=0)
        route.abort("internetdisconnected")

    with visiting(browser, bar, "/sync", tolerate="ERR_|Failed|htmx:") as page, lan_is_cut(killable_kafka, mqtt):
        opened(page)
        letter_page = page.url
        other = page.context.new_page()
        other.goto(letter_page)
        for online in (False, True):
            page.goto(letter_page)
            page.get_by_label("Category").fill("mild")
            if online:
                page.route("**/replay**", lost, times=1)
            else:
                page.context.set_offline(True)
            page.get_by_role("button", name="Replay").click()
            page.wait_for_url("chrome-error://**")
            page.context.set_offline(False)
            assert len(bar.letters()) == letters - online, "the gateway got what was sent, and nothing else"
        assert bar.row()["pending"] == 1, "it waits for Kafka"
        assert bar.world.gateway is not None
        bar.world.gateway.kill()
        bar.world.start_gateway()
        page.goto(letter_page)
        expect(page.locator("#letters-said .badge").first).to_have_text("Replayed")
        other.get_by_label("Category").fill("hot")
        replayed(other)
        assert bar.row()["pending"] == 1
    assert found_in_kafka(bar, letter) == (["mild"], 1)
    after = bar.row()
    assert (after["stored"] - before["stored"], after["replayed"] - before["replayed"], after["pending"]) == (1, 1, 0)
