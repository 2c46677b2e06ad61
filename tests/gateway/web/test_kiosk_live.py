"""A kiosk's API and its stream: what changed is told at once, what did not is not told again."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody
from gateway import kiosk
from gateway.web.kiosk import live
from tests.gateway.conftest import Screen, ask
from tests.gateway.web.conftest import Inside
from tests.gateway.web.test_stream import events_of, next_of

PATH = "/api/v1/kiosk/hot-bar-1"
NOZZLES = ((1, "table-red", 500), (2, "chipotle-honey", 500), (3, "reaper-raw", 500), (4, "smoked-thai", 0))
POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=3_000, duration_ms=900)


def asks(inside: Inside, nonce: int = 1, **more: Any) -> None:
    """A customer asks at the dispenser."""
    hello = inside.state.dispensers.known["hot-bar-1"].hello
    inside.state.recommender.answer(Screen(), hello, ask(nonce, **more), 0)  # type: ignore[arg-type]


async def test_what_it_has_is_shown_to_nobody(inside: Inside) -> None:
    inside.hello(*NOZZLES)
    shown = await inside.json(PATH)
    assert (shown["state"], shown["visit"], shown["picks"]) == ("start", None, [])
    assert [sauce["nozzle"] for sauce in shown["menu"]] == [1, 2, 3], "an empty bottle is not offered"
    assert shown["menu"][1]["like"] == "as hot as a jalapeño"


async def test_nobody_knows_this_dispenser(inside: Inside) -> None:
    elsewhere = PATH.replace("bar-1", "bar-9")
    for path in (elsewhere, f"{elsewhere}/live", "/kiosk/hot-bar-9", "/kiosk/hot-bar-9/live"):
        assert (await inside.client.get(path)).status_code == 404, path
    key = "0" * 16
    assert (await inside.client.post(f"{elsewhere}/visits/{key}/leave")).status_code == 404


@pytest.mark.parametrize("path", [f"{PATH}/live", "/kiosk/hot-bar-1/live"])
async def test_a_snapshot_first_then_at_once_what_changes(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(live, "TICK_S", 60.0)
    inside.hello(*NOZZLES)
    async with events_of(inside, path) as events:
        assert [(await anext(events))[0] for _ in range(2)] == ["page", "start"]
        asks(inside)
        assert "Table Red" in await next_of(events, "visit")  # long before anybody would look
        inside.state.kiosk.visits.leave("hot-bar-1")
        await next_of(events, "start")


async def test_picks_are_told_before_anything_is_stored(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one writer is busy, and no time goes by for the stream: a pick comes all the same."""
    monkeypatch.setattr(live, "TICK_S", 60.0)
    inside.hello(*NOZZLES)
    go_on = threading.Event()
    async with events_of(inside, "/kiosk/hot-bar-1/live") as events:
        assert [(await anext(events))[0] for _ in range(2)] == ["page", "start"]
        busy = inside.state.store.write(lambda tx: go_on.wait(60), upkeep=True)
        try:
            asks(inside)
            assert "Table Red" in await next_of(events, "visit")
            assert not busy.done()
        finally:
            go_on.set()


async def test_whoever_comes_back_is_not_told_again_what_it_shows(inside: Inside) -> None:
    inside.hello(*NOZZLES)
    asks(inside)
    async with inside.client.stream("GET", f"{PATH}/live") as answer:
        last = ""
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                last = line.removeprefix("id: ")
                break
    async with inside.client.stream("GET", f"{PATH}/live", headers={"last-event-id": last}) as answer:
        async for line in answer.aiter_lines():
            assert not line.startswith("event: visit")
            if line == "event: tick":
                break
    async with inside.client.stream("GET", f"{PATH}/live", headers={"last-event-id": "0" * 16}) as answer:
        async for line in answer.aiter_lines():
            assert line != "event: tick"
            if line == "event: visit":
                break


async def test_a_quiet_stream_ticks(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.05)
    inside.hello(*NOZZLES)
    async with events_of(inside, "/kiosk/hot-bar-1/live") as events:
        names = [(await anext(events))[0] for _ in range(4)]
    assert names == ["page", "start", "tick", "tick"]


async def test_streams_end_with_the_daemon(inside: Inside) -> None:
    inside.hello(*NOZZLES)
    async with events_of(inside, f"{PATH}/live") as events:
        await anext(events)
        inside.state.stopping.set()
        async with asyncio.timeout(20):
            async for _ in events:
                pass


async def test_rate_forget_and_leave_by_the_api(inside: Inside) -> None:
    hello = inside.hello(*NOZZLES)
    asks(inside, token="loyalty-4711-jane")
    await inside.deliver(hello, POUR)
    shown = await inside.json(PATH)
    assert (shown["standing"], shown["question"]["verdict"], shown["question"]["name"]) == ("known", None, "Table Red")
    assert [pick["poured"] for pick in shown["picks"] if pick["sauce"] == "table-red"] == [True]
    presses = f"{PATH}/visits/{shown['visit']}"
    pour = shown["question"]["pour"]
    other = await inside.client.post(f"{presses}/rating", json={"verdict": "more", "pour": pour + 1})
    assert (other.status_code, other.json()["detail"]) == (409, "something else was poured since")
    page = (await inside.client.get("/kiosk/hot-bar-1")).text
    assert f"&amp;pour={pour}" in page
    other = await inside.client.post(
        f"/kiosk/hot-bar-1/visits/{shown['visit']}/rating?pour={pour + 1}", data={"verdict": "more"}
    )
    assert other.status_code == 409
    rated = await inside.client.post(f"{presses}/rating", json={"verdict": "more", "pour": pour})
    assert rated.json()["question"]["verdict"] == "more"
    other = await inside.client.post(f"{presses}/rating", json={"verdict": "too_hot"})
    assert (other.status_code, other.json()["title"]) == (409, "Not now")
    assert (await inside.client.post(f"{presses}/rating", json={"verdict": "so-so"})).status_code == 422
    assert (await inside.client.post(f"{presses}/forget")).json()["standing"] == "forgotten"
    assert (await inside.client.post(f"{presses}/remember")).json()["standing"] == "known"
    assert (await inside.client.post(f"{presses}/stay")).json()["state"] == "visit"
    assert (await inside.client.post(f"{presses}/leave")).json()["state"] == "start"
    late = await inside.client.post(f"{presses}/rating", json={"verdict": "more"})
    assert (late.status_code, late.json()["detail"]) == (409, "this visit is over")


async def test_whoever_is_gone_has_stayed_and_left(inside: Inside) -> None:
    """A finger on "I am done" says both, on two connections; and who was idle leaves at both ends."""
    inside.hello(*NOZZLES)
    asks(inside)
    old = (await inside.json(PATH))["visit"]
    await inside.client.post(f"{PATH}/visits/{old}/leave")
    asks(inside, 2, session=8)
    next_one = (await inside.json(PATH))["visit"]
    for wish in ("stay", "leave"):
        late = await inside.client.post(f"{PATH}/visits/{old}/{wish}")
        assert (late.status_code, late.json()["visit"]) == (200, next_one), wish
    assert (await inside.client.post(f"{PATH}/visits/{old}/forget")).status_code == 409


async def test_too_many_presses(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kiosk, "PRESSES_A_MINUTE", 0)
    inside.hello(*NOZZLES)
    asks(inside)
    answer = await inside.client.post(f"{PATH}/visits/{(await inside.json(PATH))['visit']}/stay")
    assert (answer.status_code, answer.json()["title"]) == (429, "Too often")


async def test_nothing_tells_who_it_is(inside: Inside) -> None:
    inside.hello(*NOZZLES)
    asks(inside, token="loyalty-4711-jane")
    told = json.dumps(await inside.json(PATH)) + (await inside.client.get("/kiosk/hot-bar-1")).text
    assert "Picked for you" in told
    assert [secret for secret in ("p1-", "s-hot-bar", "loyalty") if secret in told] == []
