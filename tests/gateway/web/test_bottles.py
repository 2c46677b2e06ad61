"""Bottles, lots, voids and plans over HTTP: what is refused, with what, and who came first."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from firmware_bridge.bodies import PouredBody
from firmware_bridge.messages import Ask
from tests.gateway.web.conftest import Inside

BOTTLE = "/api/v1/dispensers/hot-bar-1/nozzles/1/bottle"
PLAN = "/api/v1/dispensers/hot-bar-1/planogram"
RED: dict[str, Any] = {"sauce": "table-red", "lot": "l-1", "best_before": "2099-12-31"}


def _code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def test_a_bottle_is_told_and_its_pours_are_found(inside: Inside) -> None:
    hello = inside.hello((1, "table-red", 500))
    assert (await inside.json(BOTTLE))["now"] is None
    first = await inside.client.put(BOTTLE, json=RED)
    assert first.raise_for_status().json()["now"]["lot"] == "L-1"
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="table-red", volume_ul=4_800, duration_ms=900))
    second = await inside.client.put(BOTTLE, json={**RED, "lot": "l-2", "sauce": "chipotle-honey"})
    assert [each["lot"] for each in second.json()["before"]] == ["L-1"]
    assert (await inside.json(PLAN))["planogram"] == {"1": "chipotle-honey"}, "another sauce is planned"
    lot = await inside.json("/api/v1/lots/l-1")
    assert [(pour["volume_ml"], pour["customer"]) for pour in lot["pours"]] == [(4.8, "s-hot-bar-1-00000007-1")]
    assert lot["bottles"][0]["until"] is not None
    csv = (await inside.client.get("/api/v1/lots/L-1/pours.csv")).text.splitlines()
    assert csv[1].split(",")[1:] == ["hot-bar-1", "1", "table-red", "s-hot-bar-1-00000007-1", "4.8", "0"]


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"sauce": "ketchup"}, (422, "bad-sauce")),
        ({"lot": "a;b"}, (422, "bad-lot")),
        ({"best_before": "2020-01-01"}, (409, "bottle-expired")),
        ({"best_before": "2999-01-01"}, (422, "bad-best-before")),
        ({"volume_ml": 0}, (422, "invalid-parameters")),
    ],
)
async def test_a_bottle_that_can_t_be_is_refused(
    inside: Inside, changed: dict[str, Any], refused: tuple[int, str]
) -> None:
    inside.hello((1, "table-red", 500))
    assert _code(await inside.client.put(BOTTLE, json=RED | changed)) == refused
    assert (await inside.json(BOTTLE))["now"] is None
    elsewhere = BOTTLE.replace("nozzles/1", "nozzles/9")
    assert _code(await inside.client.get(elsewhere)) == (404, "no-such-nozzle")


async def test_a_recalled_lot_is_never_picked_nor_hung(inside: Inside) -> None:
    inside.hello((1, "table-red", 500), (2, "garden-green", 500))
    await inside.client.put(BOTTLE, json=RED)
    recall = "/api/v1/lots/L-1/recall"
    assert _code(await inside.client.put(recall, json={"reason": "  "})) == (422, "bad-reason")
    assert (await inside.client.put(recall, json={"reason": "glass"})).json()["recall"]["reason"] == "glass"
    picks = (await inside.json("/api/v1/picks?dispenser=hot-bar-1"))["picks"]
    assert [pick["nozzle"] for pick in picks] == [2]
    assert _asked(inside) == [2]
    assert _code(await inside.client.put(BOTTLE.replace("1/b", "2/b"), json=RED)) == (409, "bottle-recalled")
    assert [each["lot"] for each in (await inside.json("/api/v1/lots"))["recalls"]] == ["L-1"]
    assert (await inside.client.delete(recall)).json()["recall"] is None
    assert _code(await inside.client.delete(recall)) == (404, "not-recalled")
    assert len((await inside.json("/api/v1/picks?dispenser=hot-bar-1"))["picks"]) == 2
    assert sorted(_asked(inside)) == [1, 2]


def _asked(inside: Inside) -> list[int]:
    """The nozzles that a customer is shown who asks at the dispenser."""
    link = inside.state.dispensers.known["hot-bar-1"].link
    assert link is not None
    inside.state.dispensers.ask(link, Ask(session=1, nonce=secrets.token_bytes(8)), 0)
    return [pick.nozzle for pick in inside.state.recommender._answers["hot-bar-1"].picks.picks]


@pytest.mark.parametrize("path", [BOTTLE, PLAN])
async def test_of_two_who_change_one_thing_the_later_is_told(inside: Inside, path: str) -> None:
    inside.hello((1, "table-red", 500))
    seen = {"if-match": (await inside.client.get(path)).headers["etag"]}
    bodies: list[dict[str, Any]] = [
        RED if path == BOTTLE else {"planogram": {"1": "reaper-raw"}},
        {**RED, "lot": "L-2"} if path == BOTTLE else {"planogram": {"1": "miso-piri"}},
    ]
    first = await inside.client.put(path, json=bodies[0], headers=seen)
    assert first.is_success
    assert _code(await inside.client.put(path, json=bodies[1], headers=seen)) == (412, "changed-meanwhile")
    again = await inside.client.put(path, json=bodies[1], headers={"if-match": f'"x", W/{first.headers["etag"]}'})
    assert again.is_success


@pytest.mark.parametrize("path", [BOTTLE, PLAN])
async def test_of_two_at_the_same_moment_one_is_told(inside: Inside, path: str) -> None:
    inside.hello((1, "table-red", 500))
    seen = {"if-match": (await inside.client.get(path)).headers["etag"]}
    sauces = ("reaper-raw", "miso-piri", "garden-green")
    bodies = [{**RED, "sauce": sauce} if path == BOTTLE else {"planogram": {"1": sauce}} for sauce in sauces]
    answers = await asyncio.gather(*(inside.client.put(path, json=body, headers=seen) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]


async def test_what_can_t_be_taken_back(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = inside.hello((1, "table-red", 500))
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="table-red", volume_ul=4_800, duration_ms=900))
    position = (await inside.json("/api/v1/events"))["events"][-1]["position"]
    path = f"/api/v1/events/{position}/void"
    assert (await inside.client.post(path, json={"reason": "boredom"})).status_code == 422
    told: list[int] = []
    monkeypatch.setattr(inside.web.state.kiosk.visits, "taken_back", told.append)
    done = await inside.client.post(path, json={"reason": "stuck"})
    assert told == [position], "a kiosk asks no more how hot it was"
    assert (done.status_code, done.json()["voided"]) == (201, "hot-bar-1:00000007:1")
    assert _code(await inside.client.post(path, json={"reason": "stuck"})) == (409, "already-voided")
    elsewhere = f"/api/v1/events/{position + 99}/void"
    assert _code(await inside.client.post(elsewhere, json={"reason": "stuck"})) == (404, "no-such-event")
    view = await inside.client.get("/api/v1/profiles/s-hot-bar-1-00000007-1")
    assert view.status_code == 404, "nothing is left of it"
