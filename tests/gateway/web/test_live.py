"""A page's stream: all parts once, then what changed, drawn once for all who look, and four for a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest

from gateway.web.feeds import MAX_FEEDS, Feed, Feeds
from gateway.web.kiosk import live
from gateway.web.language import language
from gateway.web.stream import may_look_on
from gateway.web.web import Web
from gateway.web.who import CONSOLE, Role, Who
from tests.gateway.web.conftest import Inside
from tests.gateway.web.sample import Sample
from tests.gateway.web.sample import sample as sample  # noqa: PLC0414  a fixture
from tests.waiting import wait_until_async

CLOCK = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIVE = "/live/sample/doc-1"


@dataclass
class Event:
    """One event of a stream."""

    fields: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> str:
        return self.fields.get("data", "")

    def parts(self) -> list[str]:
        """The ids of the parts in it."""
        return [piece.split('"')[0] for piece in self.data.split('hx-target="#')[1:]]


@asynccontextmanager
async def opened(inside: Inside, path: str = LIVE, seen: str = "") -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a page's stream."""
    headers = {"last-event-id": seen} if seen else {}
    async with inside.client.stream("GET", path, timeout=10, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    event = Event()
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            event.fields[name] = f"{event.fields[name]}\n{value}" if name in event.fields else value
        else:
            yield event
            event = Event()


async def next_parts(events: AsyncIterator[Event]) -> Event:
    """The next event with parts."""
    async with asyncio.timeout(10):
        async for event in events:
            if event.parts():
                return event
    raise AssertionError("the stream ended")


async def test_all_parts_come_first_then_those_that_changed(sample: Sample, inside: Inside) -> None:
    async with opened(inside) as events:
        assert (await next_parts(events)).parts() == ["sample-left", "sample-right"]
        sample.values["right"] = "2 &lt;b&gt;"
        changed = await next_parts(events)
        assert changed.parts() == ["sample-right"]
        assert "2 &amp;lt;b&amp;gt;" in changed.data


async def test_who_comes_back_gets_what_changed_since(sample: Sample, inside: Inside) -> None:
    async with opened(inside) as events:
        seen = (await next_parts(events)).fields["id"]
    sample.values["left"] = "2"
    async with opened(inside, seen=seen) as events:
        event = await next_parts(events)
        assert event.parts() == ["sample-left"]
    async with opened(inside, seen=event.fields["id"]) as events:
        tick = await anext(events)
        assert tick.fields["event"] == "tick"


async def test_a_page_that_is_what_it_was_is_not_sent_again_as_time_goes_by(sample: Sample, inside: Inside) -> None:
    sample.values["since"] = CLOCK
    async with opened(inside) as events:
        await next_parts(events)
        looked = sample.looked
        await wait_until_async(lambda: sample.looked > looked + 3, 5, "the page is looked at again")
        sample.values["left"] = "2"
        event = await next_parts(events)
        assert event.parts() == ["sample-left"]


async def test_keys_of_forms_are_of_the_document(sample: Sample, inside: Inside) -> None:
    async with opened(inside, "/live/sample/mine") as mine, opened(inside, "/live/sample/yours") as yours:
        assert "once=mine-" in (await next_parts(mine)).data
        assert "once=yours-" in (await next_parts(yours)).data


async def test_the_query_is_the_pages(sample: Sample, inside: Inside) -> None:
    async with opened(inside, f"{LIVE}?page=2&search=bar") as events:
        event = await next_parts(events)
        assert "{&#39;page&#39;: &#39;2&#39;, &#39;search&#39;: &#39;bar&#39;}" in event.data


async def test_twenty_who_look_cost_as_much_as_one(sample: Sample, inside: Inside) -> None:
    feeds, web = Feeds({"sample": sample.page}), Web(inside.state)
    anna, ben = (Who(name, Role.VIEWER, "session", name) for name in ("anna", "ben"))
    lang = language("en")
    looking = [feeds.of(sample.page, who, lang, {}) for who in (anna, ben) for _ in range(10)]
    found = await asyncio.gather(*(feed.look(web) for feed in looking))
    assert sample.looked == 1
    assert all(parts is found[0] for parts in found)


async def test_others_see_something_else(sample: Sample) -> None:
    feeds, lang = Feeds({}), language("en")
    mine = feeds.of(sample.page, CONSOLE, lang, {})
    assert feeds.of(sample.page, CONSOLE, lang, {}) is mine
    assert feeds.of(sample.page, CONSOLE, language("de"), {}) is not mine
    assert feeds.of(sample.page, CONSOLE, lang, {"page": "2"}) is not mine
    assert feeds.of(sample.page, Who("", Role.VIEWER, "console"), lang, {}) is not mine


async def test_feeds_are_bounded(sample: Sample) -> None:
    feeds, lang = Feeds({}), language("en")
    first: Feed = feeds.of(sample.page, CONSOLE, lang, {})
    for page in range(MAX_FEEDS - 1):
        feeds.of(sample.page, CONSOLE, lang, {"page": str(page)})
    assert feeds.of(sample.page, CONSOLE, lang, {}) is first
    for page in range(MAX_FEEDS):
        feeds.of(sample.page, CONSOLE, lang, {"page": f"b{page}"})
    assert feeds.of(sample.page, CONSOLE, lang, {}) is not first


async def test_a_page_that_is_not_there_has_no_stream(sample: Sample, inside: Inside) -> None:
    inside.hello((1, "table-red", 500))
    paths = ["nothing/doc", f"sample/doc?search={'x' * 2001}", "sample/d%20c", "nozzles/doc?dispenser=hot-bar-1"]
    about = [
        "",
        "?nozzle=1",
        "?dispenser=hot-bar-1",
        "?dispenser=hot-bar-1&nozzle=one",
        "?dispenser=hot-bar-1&nozzle=9",
    ]
    for path in [*paths, *(f"calibrate/doc{query}" for query in about)]:
        assert (await inside.client.get(f"/live/{path}")).status_code in {404, 422}, path
    async with opened(inside, "/live/calibrate/doc?dispenser=hot-bar-1&nozzle=1") as events:
        assert (await next_parts(events)).parts() == ["calibrate-step"]


async def test_what_a_page_was_about_is_gone(
    inside: Inside, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.1)
    inside.hello((1, "table-red", 500))
    kiosk, page = "/api/v1/kiosk/hot-bar-1/live", "/live/dispenser/doc?dispenser=hot-bar-1"
    async with opened(inside, kiosk) as screen, opened(inside, page) as events:
        await next_parts(events)
        assert (await inside.client.delete("/api/v1/dispensers/hot-bar-1")).is_success
        async with asyncio.timeout(10):
            assert [event.fields["event"] async for event in events][-1] == "gone"
            assert [event.fields["event"] async for event in screen][:2] == ["page", "start"], "it ends, too"
    assert (await inside.client.get(page)).status_code == 404, "whoever comes back is told why"
    assert [line for line in caplog.messages if "Exception" in line] == []


async def test_who_may_no_more_is_told_no_more(sample: Sample, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.1)
    inside.hello((1, "table-red", 500))
    tokens = inside.state.access.tokens
    headers = {"authorization": f"Bearer {await tokens.add('screen', 'read', 'a test', None)}"}
    trace = await inside.client.get("/live/trace/doc?dispenser=hot-bar-1", headers=headers)
    assert trace.status_code == 403, "the page is for technicians"
    async with AsyncExitStack() as stack:
        streams = []
        for path in (
            LIVE,
            "/api/v1/stream",
            "/api/v1/dispensers/hot-bar-1/samples/live",
            "/api/v1/kiosk/hot-bar-1/live",
        ):
            answer = await stack.enter_async_context(inside.client.stream("GET", path, headers=headers))
            assert answer.status_code == 200, path
            streams.append(_events(answer))
            await anext(streams[-1])
        [token] = [each for each in tokens.all() if each.name == "screen"]
        await tokens.revoke(token.id)
        async with asyncio.timeout(10):
            for events in streams:
                while await anext(events, None) is not None:
                    pass  # until it ends


async def test_who_may_less_looks_on_no_more(inside: Inside) -> None:
    access = inside.state.access
    session = access.sessions.find(inside.keys.cookies[Role.TECHNICIAN])
    assert session is not None
    who = Who(session.person, session.role, "session", session.id)
    assert may_look_on(inside.web, who)
    await access.people.set_role(session.person, Role.VIEWER)
    assert not may_look_on(inside.web, who)
    await access.people.set_role(session.person, Role.TECHNICIAN)
    await access.sessions.end(session.id)
    assert not may_look_on(inside.web, who)
    assert may_look_on(inside.web, CONSOLE)


async def test_it_ends_with_the_web(sample: Sample, inside: Inside) -> None:
    async with opened(inside) as events:
        await next_parts(events)
        inside.state.stopping.set()
        async with asyncio.timeout(20):
            assert [event async for event in events if event.parts()] == []
