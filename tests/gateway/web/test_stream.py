"""The stream for programs: everything once, then what changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody
from tests.gateway.web.conftest import Inside

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=3_000, duration_ms=900)


@asynccontextmanager
async def events_of(inside: Inside, path: str) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
    """The events of a stream: name and data."""
    async with inside.client.stream("GET", path, timeout=10) as answer:
        yield _parse(answer.aiter_lines())


async def _parse(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    name, data = "", []
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and name:
            yield name, "\n".join(data)
            name, data = "", []


async def next_of(events: AsyncIterator[tuple[str, str]], name: str) -> str:
    """The data of the next event of this name."""
    async with asyncio.timeout(10):
        async for found, text in events:
            if found == name:
                return text
    raise AssertionError(f"the stream ended without {name}")


async def test_a_snapshot_comes_first_then_what_changes(inside: Inside) -> None:
    hello = inside.hello()
    async with events_of(inside, "/api/v1/stream") as events:
        name, text = await anext(events)
        assert name == "snapshot"
        snapshot: dict[str, Any] = json.loads(text)
        assert snapshot.keys() == (await inside.json("/api/v1/status")).keys()
        await inside.deliver(hello, POUR)
        seen, change = snapshot, snapshot
        async with asyncio.timeout(10):
            while not seen["events"]:
                change = json.loads(await next_of(events, "change"))
                assert change.keys() <= snapshot.keys()
                seen = seen | change
        assert seen["events"][0]["text"] == "hot-bar-1 poured Table Red, 3.0 mL"
        assert seen["counts"]["stored"] == 1
        # what did not change is not said again
        assert "gateway" not in change or change["gateway"] != snapshot["gateway"]


async def test_a_quiet_stream_ticks(inside: Inside) -> None:
    async with events_of(inside, "/api/v1/stream") as events:
        assert "now" in json.loads(await next_of(events, "tick"))


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_each_event_is_sent_at_once_packed_or_not(inside: Inside, coding: str) -> None:
    headers = {"accept-encoding": coding}
    async with inside.client.stream("GET", "/api/v1/stream", headers=headers) as answer:
        assert answer.headers.get("content-encoding", "identity") == coding
        assert answer.headers["vary"] == "Accept-Encoding"
        events = _parse(answer.aiter_lines())
        snapshot = await next_of(events, "snapshot")
        assert (answer.num_bytes_downloaded < len(snapshot)) == (coding == "gzip")
        await next_of(events, "tick")  # and not once a buffer is full


async def test_changes_come_at_most_twice_a_second(inside: Inside) -> None:
    hello = inside.hello()
    loop = asyncio.get_running_loop()
    async with events_of(inside, "/api/v1/stream") as events:
        await next_of(events, "snapshot")
        began = loop.time()

        async def pour_on() -> None:
            while True:
                await inside.deliver(hello, POUR)

        pouring = asyncio.create_task(pour_on())
        for _ in range(4):
            await next_of(events, "change")
        pouring.cancel()
        assert loop.time() - began > 1.4


async def test_a_browser_that_leaves_is_no_news(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    hello = inside.hello()
    for _ in range(10):
        async with events_of(inside, "/api/v1/stream") as events:
            await anext(events)  # leave while more is being sent
            await inside.deliver(hello, POUR)
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []
