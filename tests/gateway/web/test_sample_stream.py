"""A chart's stream: what was, then each SAMPLE, ten values a second though nothing flows; nothing twice after a cut."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from firmware_bridge.messages import Channel, Hello, Series
from gateway.web.dispensers.sample_stream import RESUMED_S
from tests.gateway.web.conftest import Inside, Shop, open_shop
from tests.gateway.web.test_live import opened
from tests.gateway.web.test_sensors import sampled
from tests.gateway.web.test_stream import events_of, next_of

LIVE = "/api/v1/dispensers/hot-bar-1/samples/live"
READINGS = "/api/v1/dispensers/hot-bar-1/readings"


@pytest.fixture
async def hello(inside: Inside) -> Hello:
    """A dispenser that booted with this machine."""
    hello = inside.hello((1, "table-red", 500))
    inside.state.samples.readings[hello.dispenser].began_ms = 0
    return hello


def lasts(readings: dict[str, Any], channel: str) -> list[float]:
    """What a series says, where it says something."""
    [found] = [each for each in readings["series"] if each["channel"] == channel]
    return [value for value in found["most"] if value is not None]


async def test_history_is_what_is_on_disk_and_what_is_not_yet(inside: Inside, hello: Hello) -> None:
    sampled(inside, hello, Series(Channel.LEVEL, 1, (510,)), back_ms=60_000)
    await inside.state.samples.turn()
    sampled(inside, hello, Series(Channel.LEVEL, 1, (498,)), Series(Channel.TEMPERATURE, 0, (2_031,)))
    readings = await inside.json(READINGS)
    assert lasts(readings, "level") == [510, 498]
    assert lasts(readings, "temperature") == [20.31]
    assert readings["count"] * readings["step_ms"] == 600_000
    end_ms = readings["begin_ms"] + 600_000
    assert end_ms - readings["step_ms"] <= time.time() * 1000 + 1_000 <= end_ms + 2_000, "it ends now"


@pytest.mark.parametrize("seconds", [3600, 86400])
async def test_longer_spans_are_thinner(inside: Inside, hello: Hello, seconds: int) -> None:
    sampled(inside, hello, Series(Channel.LEVEL, 1, (510, 505)), back_ms=180_000)
    await inside.state.samples.turn()
    readings = await inside.json(f"{READINGS}?seconds={seconds}")
    assert readings["count"] * readings["step_ms"] == seconds * 1000
    assert max(lasts(readings, "level")) == 510


async def test_a_stream_begins_with_a_snapshot_and_goes_on_with_each_sample(inside: Inside, hello: Hello) -> None:
    sampled(inside, hello, Series(Channel.LEVEL, 1, (510,)), back_ms=5_000)
    async with events_of(inside, LIVE) as events:
        assert lasts(json.loads(await next_of(events, "snapshot")), "level") == [510]
        sampled(inside, hello, Series(Channel.LEVEL, 1, (509, 508)), Series(Channel.DOOR, 0, (1,)), period_ms=100)
        at_ms, period_ms, series = json.loads(await next_of(events, "samples"))
        sampled(inside, hello, Series(Channel.LEVEL, 1, (507,)), back_ms=60_000)  # as when a clock is set back
        assert 507 in lasts(json.loads(await next_of(events, "snapshot")), "level")
        sampled(inside, hello, Series(Channel.LEVEL, 1, (506,)), back_ms=50_000)
        assert json.loads(await next_of(events, "samples"))[2] == [[Channel.LEVEL, 1, [506]]], "it goes on from there"
    assert abs(at_ms - time.time() * 1000) < 5_000
    assert (period_ms, series) == (100, [[Channel.LEVEL, 1, [509, 508]]])


async def test_who_comes_back_gets_what_was_missed_and_nothing_twice(inside: Inside, hello: Hello) -> None:
    values = [Series(Channel.LEVEL, 1, (level,)) for level in (510, 509, 508)]
    sampled(inside, hello, values[0], back_ms=3_000)
    async with events_of(inside, LIVE) as events:
        await next_of(events, "snapshot")
        sampled(inside, hello, values[1], back_ms=2_000)
        last_ms, _, _ = json.loads(await next_of(events, "samples"))
    await inside.state.samples.turn()
    sampled(inside, hello, values[2], back_ms=1_000)
    async with events_of(inside, f"{LIVE}?since={last_ms}") as events:
        name, text = await anext(events)
        assert (name, json.loads(text)[2]) == ("samples", [[Channel.LEVEL, 1, [508]]])


async def test_a_page_hears_both_in_one_stream_and_goes_on_with_both(inside: Inside, hello: Hello) -> None:
    page = "/live/readings/doc?dispenser=hot-bar-1&seconds=600"
    sampled(inside, hello, Series(Channel.LEVEL, 1, (510,)), back_ms=5_000)
    async with opened(inside, page) as events:
        first = await anext(events)
        assert first.parts() == ["readings-values"]
        snapshot = await anext(events)
        assert lasts(json.loads(snapshot.data), "level") == [510]
        sampled(inside, hello, Series(Channel.LEVEL, 1, (509,)), back_ms=2_000)
        told = snapshot
        while told.fields.get("event") != "samples" or told.parts():
            told = await anext(events)
        at_ms = json.loads(told.data)[0]
        tag, _, at = told.fields["id"].partition("~")
        assert (int(at), len(tag)) == (at_ms, 8)
    sampled(inside, hello, Series(Channel.LEVEL, 1, (508,)), back_ms=1_000)
    async with opened(inside, page, seen=told.fields["id"]) as events:
        names = [(await anext(events)).fields.get("event") for _ in range(2)]
    assert names in ([None, "samples"], ["samples", "tick"]), "what changed, and what was missed: no snapshot"
    for ago_s in (RESUMED_S + 1, -60):  # too long ago; and a clock that was set back
        seen = f"{tag}~{int(time.time() * 1000) - ago_s * 1000}"
        async with opened(inside, page, seen=seen) as events:
            assert "snapshot" in [(await anext(events)).fields.get("event") for _ in range(2)]


async def test_one_that_never_came_has_no_chart(inside: Inside) -> None:
    assert (await inside.client.get(LIVE)).status_code == 404
    assert (await inside.client.get(f"{READINGS}?seconds=601")).status_code == 422


SAMPLING = """\
store = "mercado-12"

[[dispensers]]
id = "hot-bar-1"
nozzles = ["garden-green", "table-red", "chipotle-honey"]
sample_hz = 10

[[dispensers]]
id = "hot-bar-2"
nozzles = 12
sample_hz = 10
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One whose sensors are read."""
    with open_shop(tmp_path_factory.mktemp("shop"), scenario=SAMPLING) as opened:
        yield opened


def test_a_dispenser_at_which_nothing_flows_tells_ten_values_a_second_while_somebody_looks(shop: Shop) -> None:
    """From the page to the simulated firmware, and back."""
    times: list[int] = []
    with shop.stream(LIVE) as lines:
        for line in lines:
            if line.startswith("data: [") and (told := json.loads(line[6:]))[1] == 100:
                last_ms, period_ms, series = told
                count = len(series[0][2])
                times += [last_ms - period_ms * back for back in range(count - 1, -1, -1)]
                if len(times) >= 30:
                    break
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert sum(steps) / len(steps) == pytest.approx(100, abs=10)
