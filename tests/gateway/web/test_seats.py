"""How many streams there are for whom: a session, a program, a kiosk, and all of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from firmware_bridge.messages import Channel, Series
from gateway.web.cookies import KIOSK, SESSION
from gateway.web.live import BACK_MS, POLL_MS
from gateway.web.seats import MAX_OF_KIOSK, MAX_OF_PROGRAM, MAX_OF_SESSION, MAX_STREAMS
from gateway.web.who import Role
from tests.gateway.web.conftest import Inside
from tests.gateway.web.test_kiosk_live import NOZZLES
from tests.gateway.web.test_sensors import sampled
from tests.waiting import wait_until_async

STATUS = "/api/v1/stream"
CHART = "/live/readings/doc?dispenser=hot-bar-1&seconds=600"
SAMPLES = "/api/v1/dispensers/hot-bar-1/samples/live"
PREVIEW, KIOSK_API = "/kiosk/hot-bar-1/live", "/api/v1/kiosk/hot-bar-1/live"
OF_ALL_KINDS = ("/live/repairs/doc", CHART, PREVIEW, STATUS)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Streams that stay open until the test ends."""
    async with AsyncExitStack() as opened:
        yield opened


async def someone(stack: AsyncExitStack, inside: Inside, **headers: str) -> httpx.AsyncClient:
    """Somebody who has nothing but these headers."""
    return await stack.enter_async_context(
        httpx.AsyncClient(base_url=inside.client.base_url, headers=headers, timeout=10)
    )


async def person(stack: AsyncExitStack, inside: Inside, role: Role = Role.OWNER) -> httpx.AsyncClient:
    """A browser in which somebody is signed in."""
    return await someone(stack, inside, cookie=f"{SESSION}={inside.keys.cookies[role]}")


async def program(stack: AsyncExitStack, inside: Inside, name: str) -> httpx.AsyncClient:
    """A program with a token of its own."""
    secret = await inside.state.access.tokens.add(name, "read", "a test", None)
    return await someone(stack, inside, authorization=f"Bearer {secret}")


async def keep_open(stack: AsyncExitStack, client: httpx.AsyncClient, path: str) -> None:
    """Open a stream, and let it be."""
    answer = await stack.enter_async_context(client.stream("GET", path))
    assert answer.status_code == 200, path
    texts = answer.aiter_text()
    assert "event: full" not in await anext(texts), path
    stack.callback(lambda: texts)  # whoever lets go of it closes the stream


async def whole(client: httpx.AsyncClient, path: str, last: str = "") -> list[str]:
    """The lines of a stream that ends by itself: the word that it does comes first."""
    async with client.stream("GET", path, headers={"last-event-id": last}) as answer:
        lines = answer.raise_for_status().aiter_lines()
        assert [await anext(lines), await anext(lines)] == ["event: full", "data: "], path
        return [line async for line in lines]


def id_of(lines: list[str]) -> str:
    """What a browser says that has seen these lines."""
    return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")][-1]


async def is_refused(client: httpx.AsyncClient, path: str) -> bool:
    """Whether there is no stream, and the answer says what to do."""
    async with client.stream("GET", path) as answer:
        if answer.status_code != 503:
            return False
        problem = json.loads(await answer.aread())
    assert (problem["type"], bool(problem["hint"])) == ("urn:picante:problem:too-many-streams", True)
    return True


async def test_a_session_has_four_whatever_they_tell(inside: Inside, stack: AsyncExitStack) -> None:
    hello = inside.hello(*NOZZLES)
    inside.state.samples.readings[hello.dispenser].began_ms = 0  # it booted with this machine
    sampled(inside, hello, Series(Channel.LEVEL, 1, (510,)), back_ms=5_000)
    assert len(OF_ALL_KINDS) == MAX_OF_SESSION
    browser = await person(stack, inside)
    others = AsyncExitStack()
    for path in OF_ALL_KINDS:
        await keep_open(others, browser, path)
    lines = await whole(browser, CHART)
    assert f"retry: {POLL_MS}" in lines
    assert any("readings-values" in line for line in lines), "all parts"
    assert "event: snapshot" in lines, "and its chart"
    sampled(inside, hello, Series(Channel.LEVEL, 1, (509,)), back_ms=4_000)
    again = await whole(browser, CHART, id_of(lines))
    assert [line for line in again if line.startswith("event: ")] == ["event: samples", "event: tick"], "what is new"
    assert "event: start" in await whole(browser, PREVIEW)
    for path in (STATUS, SAMPLES, KIOSK_API):
        assert await is_refused(browser, path), path
    await keep_open(stack, await person(stack, inside, Role.VIEWER), STATUS)
    await others.aclose()

    async def seated() -> bool:
        async with browser.stream("GET", "/live/repairs/doc") as answer:
            return f"retry: {BACK_MS}" in await anext(answer.aiter_text())

    await wait_until_async(seated, 5, "a stream is free once the others are left")


async def test_no_program_takes_all_that_there_are(inside: Inside, stack: AsyncExitStack) -> None:
    inside.hello(*NOZZLES)
    programs = [await program(stack, inside, f"reader {number}") for number in range(MAX_STREAMS // MAX_OF_PROGRAM)]
    kiosk = await inside.state.access.tokens.add("tablet", "kiosk:hot-bar-1", "a test", None)
    screen = await someone(stack, inside, cookie=f"{KIOSK}={kiosk}")
    for each in programs:
        for _ in range(MAX_OF_PROGRAM):
            await keep_open(stack, each, STATUS)
        assert await is_refused(each, STATUS), "it has all that it may"
    assert await is_refused(await person(stack, inside), STATUS), "the room is full"
    assert await is_refused(await person(stack, inside), PREVIEW)
    for _ in range(MAX_OF_KIOSK):
        await keep_open(stack, screen, PREVIEW)  # a kiosk's room is its own
    await whole(screen, PREVIEW)
    assert await is_refused(screen, KIOSK_API)


async def test_streams_that_were_left_are_forgotten(inside: Inside, stack: AsyncExitStack) -> None:
    async with AsyncExitStack() as others:
        await keep_open(others, inside.client, STATUS)
        assert sum(inside.web.streams.values()) == 2, "of the room, and of the token"
    await wait_until_async(lambda: not inside.web.streams, 5, "the stream is given back")
