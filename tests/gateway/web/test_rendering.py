"""What the page makes of odd things: names that would be markup, rows that it does not know, clocks that nobody set."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, RatedBody, StatedBody
from gateway.plausibility import Finding
from gateway.web.reads import Row, moment
from gateway.web.rendering import age, ago, milliseconds, spark, who
from gateway.web.sentences import tell
from heat.catalog import default_catalog
from heat.events import AnyData, Impression, Refilled, SequenceGap, SessionClaimed
from tests.gateway.web.conftest import Inside
from tests.waiting import wait_until_async

MARKUP = "<script>alert(1)</script>"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def test_a_name_is_never_markup(inside: Inside) -> None:
    inside.hello((1, MARKUP, 500))

    async def drawn() -> str:
        page = (await inside.client.get("/")).text
        return page if "alert(1)" in page else ""

    page = await wait_until_async(drawn, 5, "the nozzle is on the page")
    assert MARKUP not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


FULL_TRAY = Finding("tray_full", 0, 0)
TOO_WARM = Finding("too_warm", 0, 0, 3140)


HEADLINES: list[tuple[list[Finding], str]] = [
    ([], "All good"),
    ([FULL_TRAY], "1 to look at"),
    ([FULL_TRAY, Finding("door_open", 0, 0)], "2 to look at"),
    ([TOO_WARM], "1 thing to fix"),
    ([TOO_WARM, FULL_TRAY], "1 thing to fix 1 to look at"),
]


async def test_the_headline_counts_all_that_stands_below_it(inside: Inside) -> None:
    hello = inside.hello()

    async def headline() -> str:
        page = (await inside.client.get("/")).text
        h1 = page[page.index("<h1>") : page.index("</h1>")]
        return " ".join(re.sub(r"<[^>]*>", " ", h1).split())

    for findings, words in HEADLINES:
        inside.state.samples.findings = {hello.dispenser: findings}

        async def told(words: str = words) -> bool:
            return await headline() == words

        await wait_until_async(told, 5, f"the headline is {words}")


async def test_a_refused_event_is_told_on_the_page_and_by_the_api(inside: Inside) -> None:
    hello = inside.hello()
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="ketchup", volume_ul=1_000, duration_ms=300))
    (event,) = (await inside.json("/api/v1/events"))["events"]
    assert event["refusal"] == {"reason": "unknown_sauce", "detail": "'ketchup' is not in the catalogue"}
    assert event["type"] is None
    assert "data" not in event
    assert "hot-bar-1 sent something that was refused: unknown sauce" in (await inside.client.get("/")).text


@pytest.mark.parametrize(
    ("body", "text", "shu"),
    [
        (
            PouredBody(nozzle=1, sauce="table-red", volume_ul=70_000, duration_ms=20),
            "hot-bar-1 poured Table Red, 70.0 ml (large pour, short pour)",
            2_200,
        ),
        (RatedBody(sauce="table-red", verdict="more"), "Table Red could have been hotter, at hot-bar-1", 2_200),
        (StatedBody(dial=0), "Somebody at hot-bar-1 set the dial to 0", 100),
        (StatedBody(shu=5_000), "Somebody at hot-bar-1 asked for 5,000 SHU", 5_000),
        (StatedBody(word="Extreme"), "Somebody at hot-bar-1 likes it “Extreme”", None),
    ],
)
async def test_an_event_is_a_sentence(inside: Inside, body: PouredBody, text: str, shu: int | None) -> None:
    await inside.deliver(inside.hello(), body)
    (told,) = (await inside.json("/api/v1/status"))["events"]
    assert told["text"] == text
    assert shu is None or abs(told["heat"]["shu"] - shu) <= 1


SITE: Any = {"store": "s", "region": "r", "channel": "gateway", "consent": "none"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (Refilled(nozzle=2, sauce="gone", volume_ul=750_000, **SITE), "hot-bar-1 got gone on nozzle 2, 750 ml"),
        (
            SequenceGap(dispenser="bar", generation=1, first=3, last=1_302, **SITE),
            "bar lacks 1,300 events: neither in its memory nor here",
        ),
        (
            SessionClaimed(session="s-hot-bar-1-5e3a09c1-42", buckets=(), flavours=(), **SITE),
            "A loyalty card was shown at hot-bar-1",
        ),
        (
            Impression(pick_id="p", dispenser="bar", picks=(), candidates=(), ranker="rule", latency_us=1, **SITE),
            "bar showed nothing",
        ),
    ],
)
def test_so_is_what_the_gateway_itself_records(data: AnyData, text: str) -> None:
    assert tell(row(data.type, msgspec.json.encode(data)), default_catalog()).text == text


def test_an_event_of_a_later_version_is_told_by_its_type() -> None:
    assert tell(row("picante.juggled.v1", b"{}"), default_catalog()).text == "hot-bar-1: picante.juggled.v1"


def row(type_: str | None, data: bytes) -> Row:
    return Row(1, "hot-bar-1", 1, 1, type_, None, 0, 0, "known", data, None, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (0, "now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3_600, "1 h ago"),
        (2e5, "2 d ago"),
    ],
)
def test_ages_are_told_in_their_largest_unit(seconds: float, text: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_what_lasts_begins_at_zero() -> None:
    assert age(NOW, NOW) == "0 s"


def test_a_customer_is_told_by_no_more_than_needed() -> None:
    assert who("p1-3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d") == "Card p1-3f2a…"
    assert who("s-hot-bar-1-5e3a09c1-42") == "Visit 42"
    assert who(None) == "Somebody new"


def test_latencies_are_told_in_milliseconds() -> None:
    assert [milliseconds(us) for us in (0, 1_240, 99_999, 1_234_567)] == ["0.0 ms", "1.2 ms", "100.0 ms", "1,234 ms"]


@pytest.mark.parametrize("values", [[], [0], [0, 0], [5] * 120, list(range(120)), [0, 10**9]])
def test_a_sparkline_stays_in_its_frame(values: list[int]) -> None:
    path = spark(values)
    numbers = [float(number) for number in path.replace("M", " ").replace("L", " ").replace("H", " ").split()]
    assert min(numbers) >= 0
    assert max(numbers) <= 240
    assert all(y <= 48 for y in numbers[1::2] if len(values) > 1)


@pytest.mark.parametrize("time_ms", [-1, 0, 10**15, 2**63 - 1])
def test_a_time_that_no_calendar_has_is_its_end(time_ms: int) -> None:
    assert 1970 <= moment(time_ms).year <= 9999
