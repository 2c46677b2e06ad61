"""Sync and dead letters, by API and by form: what is told, what a technician mends, and what is said of mistakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, StatedBody
from gateway.transaction import Transaction
from heat.catalog import Catalog
from tests.gateway.web.conftest import Inside

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
KETCHUP = PouredBody(nozzle=1, sauce="ketchup", volume_ul=5000, duration_ms=900)
LUKEWARM = StatedBody(word="lukewarm")


async def refused(inside: Inside, *bodies: Any) -> list[dict[str, Any]]:
    """The open letters, once these have come."""
    hello = inside.hello()
    for body in bodies:
        await inside.deliver(hello, body)
    found: list[dict[str, Any]] = (await inside.json("/api/v1/dead-letters"))["letters"]
    return found


async def ledger_of(inside: Inside) -> dict[str, Any]:
    rows = (await inside.json("/api/v1/ledger"))["rows"]
    return next(row for row in rows if row["source"] == "hot-bar-1")


async def test_the_ledger_adds_up(inside: Inside) -> None:
    await refused(inside, POUR, KETCHUP, POUR)
    view = await inside.json("/api/v1/ledger")
    assert view["agrees"] is True
    assert view["counted"] is True
    row = await ledger_of(inside)
    assert {name: row[name] for name in ("generated", "stored", "pending", "in_kafka", "refused", "lost")} == {
        "generated": 3,
        "stored": 2,
        "pending": 2,
        "in_kafka": 0,
        "refused": 1,
        "lost": 0,
    }
    by_source = await inside.json("/api/v1/ledger?source=hot-bar-1")
    assert [each["day"] for each in by_source["rows"]] == [row["day"]]
    by_day = await inside.json(f"/api/v1/ledger?day={row['date']}")
    assert row in by_day["rows"]


async def test_a_row_says_what_does_not_add_up(inside: Inside) -> None:
    await refused(inside, POUR, POUR)

    def spoil(tx: Transaction) -> None:
        tx.connection.execute("UPDATE ledger SET last = last + 5, sent = sent + 1 WHERE source = 'hot-bar-1'")

    inside.state.store.write(spoil).result(20)
    assert set((await ledger_of(inside))["flaws"]) == {"dated_elsewhere", "pending_differs"}
    assert (await inside.json("/api/v1/ledger"))["agrees"] is False
    assert "the sums don&#39;t agree" in (await inside.client.get("/sync")).text


@pytest.mark.parametrize("query", ["day=yesterday", "source=%20", "day=2026-13-01"])
async def test_what_is_no_day_and_no_source_is_told(inside: Inside, query: str) -> None:
    answer = await inside.client.get(f"/api/v1/ledger?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_letter_is_told_with_its_content_and_replayed_once(inside: Inside) -> None:
    (letter,) = await refused(inside, KETCHUP)
    assert (letter["reason"], letter["type"], letter["body"]["sauce"]) == ("unknown_sauce", "poured", "ketchup")
    path = f"/api/v1/dead-letters/{letter['position']}"
    again = await inside.client.post(f"{path}/replay", json={})
    assert again.status_code == 422
    assert [fault["where"] for fault in again.json()["errors"]] == ["body.body.sauce"]
    mended = await inside.client.post(f"{path}/replay", json={"body": letter["body"] | {"sauce": "table-red"}})
    assert mended.json()["state"] == "replayed"
    twice = await inside.client.post(f"{path}/replay", json={"body": letter["body"] | {"sauce": "table-red"}})
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:picante:problem:already-replayed")
    events = (await inside.json("/api/v1/events?limit=1000"))["events"]
    assert [event["id"] for event in events if event.get("data")] == [letter["id"]]
    assert (await ledger_of(inside))["flaws"] == []
    assert (await inside.json("/api/v1/dead-letters"))["open"] == {}


async def test_letters_of_one_reason_are_replayed_together(inside: Inside) -> None:
    letters = await refused(inside, KETCHUP, LUKEWARM, KETCHUP)
    assert (await inside.json("/api/v1/dead-letters?reason=unknown_word"))["open"] == {
        "unknown_sauce": 2,
        "unknown_word": 1,
    }
    answer = await inside.client.post("/api/v1/dead-letters/replay", json={"reason": "unknown_sauce"})
    assert answer.json() == {"replayed": 0, "refused": 2, "left": 0}
    page = await inside.json("/api/v1/dead-letters?limit=2")
    assert [letter["position"] for letter in page["letters"]] == [letter["position"] for letter in letters[:2]]
    rest = await inside.json(f"/api/v1/dead-letters?before={page['next']}")
    assert [letter["position"] for letter in rest["letters"]] == [letters[2]["position"]]
    door = inside.state.ingest.door
    known = door.catalog
    ketchup = msgspec.structs.replace(known["table-red"], id="ketchup")
    sauces = Catalog(known.version, known.flavours, (*known.values(), ketchup), known.allergens)
    inside.state.ingest.door = replace(door, catalog=sauces)
    answer = await inside.client.post("/sync/letters/replay", data={"reason": "unknown_sauce"})
    assert answer.status_code == 303
    assert "2 letters were replayed" in (await inside.client.get(answer.headers["location"])).text
    assert (await inside.json("/api/v1/dead-letters"))["open"] == {"unknown_word": 1}


async def test_a_letter_is_dismissed_with_a_reason(inside: Inside) -> None:
    (letter,) = await refused(inside, KETCHUP)
    path = f"/api/v1/dead-letters/{letter['position']}/dismiss"
    assert (await inside.client.post(path, json={"why": ""})).status_code == 422
    dismissed = (await inside.client.post(path, json={"why": "a test"})).json()
    assert (dismissed["state"], dismissed["note"]) == ("dismissed", "a test")
    assert (await inside.client.post(path, json={"why": "a test"})).status_code == 409
    assert (await inside.client.post("/api/v1/dead-letters/999/dismiss", json={"why": "a"})).status_code == 404
    assert (await ledger_of(inside))["refused"] == 1


async def test_forms_mend_replay_and_dismiss(inside: Inside) -> None:
    first, second = await refused(inside, KETCHUP, LUKEWARM)
    listed = (await inside.client.get("/sync/letters")).text
    assert f'href="/sync/letters/{first["position"]}"' in listed
    path = f"/sync/letters/{second['position']}"
    form = {"type": "poured", "nozzle": "1", "sauce": "ketchup", "volume_ul": "lots", "duration_ms": "900"}
    wrong = await inside.client.post(f"{path}/replay", data=form)
    assert wrong.status_code == 422
    assert 'value="lots"' in wrong.text
    assert "Expected `int`" in wrong.text
    mended = await inside.client.post(f"{path}/replay", data=form | {"volume_ul": "5000", "sauce": "table-red"})
    assert (mended.status_code, mended.headers["location"]) == (303, path)
    assert "Replayed" in (await inside.client.get(path)).text
    other = f"/sync/letters/{first['position']}"
    unsaid = await inside.client.post(f"{other}/dismiss", data={"why": " "})
    assert unsaid.status_code == 422
    assert (await inside.client.post(f"{other}/dismiss", data={"why": "a test"})).status_code == 303
    assert "a test" in (await inside.client.get("/sync/letters?state=dismissed")).text


async def test_what_can_t_be_read_is_given_a_type(inside: Inside) -> None:
    hello = inside.hello()
    await inside.deliver(hello, POUR, kind=99)
    (letter,) = (await inside.json("/api/v1/dead-letters"))["letters"]
    assert (letter["type"], set(letter["body"].values())) == (None, {"…"})
    path = f"/sync/letters/{letter['position']}"
    assert 'name="volume_ul"' not in (await inside.client.get(path)).text
    assert 'name="volume_ul"' in (await inside.client.get(f"{path}?type=poured")).text
    answer = await inside.client.post(f"/api/v1/dead-letters/{letter['position']}/replay", json={"body": {"nozzle": 1}})
    assert answer.json()["errors"][0]["where"] == "body.type"


async def test_rates_are_of_what_was_seen(inside: Inside) -> None:
    found = await inside.json("/api/v1/sync/rates")
    assert found["caught_up_in_s"] is None
    assert found["stored_per_s"] >= 0
