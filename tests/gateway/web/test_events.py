"""Events by filters and pages, and as files: what is found, how far was looked, and what a spreadsheet must not run."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody, RatedBody, StatedBody
from gateway.web.records import events as records
from gateway.web.records import search
from gateway.web.web import Web
from tests.gateway.web.conftest import Inside

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
HOT = PouredBody(nozzle=1, sauce="reaper-raw", volume_ul=5000, duration_ms=900)
KETCHUP = PouredBody(nozzle=1, sauce="ketchup", volume_ul=5000, duration_ms=900)
MORE = RatedBody(sauce="table-red", verdict="more")


async def filled(inside: Inside) -> None:
    """Seven events: a refusal is the third."""
    hello = inside.hello()
    for body in (POUR, HOT, KETCHUP, MORE, POUR, StatedBody(word="mild"), HOT):
        await inside.deliver(hello, body)


async def found(inside: Inside, query: str) -> list[int]:
    return [event["position"] for event in (await inside.json(f"/api/v1/events?{query}"))["events"]]


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7]),
        ("type=picante.poured.v1", [1, 2, 5, 7]),
        ("sauce=reaper-raw", [2, 7]),
        ("sauce=table-red&type=picante.rated.v1", [4]),
        ("refused=true", [3]),
        ("text=KETCHUP", [3]),
        ("text=mild", [6]),
        ("source=hot-bar-1&after=5", [6, 7]),
        ("source=hot-bar-9", []),
        ("day=2001-01-01", []),
        ("subject=s-hot-bar-1-00000007-1&limit=2", [1, 2]),
        ("before=4", [3, 2, 1]),
        ("before=7&sauce=reaper-raw", [2]),
    ],
)
async def test_filters_find_what_fits(inside: Inside, query: str, positions: list[int]) -> None:
    await filled(inside)
    assert await found(inside, query) == positions


async def test_a_day_finds_its_own(inside: Inside) -> None:
    await filled(inside)
    today = (await inside.json("/api/v1/ledger"))["rows"][0]["date"]
    assert await found(inside, f"day={today}&refused=true") == [3]


async def test_pages_are_the_same_both_ways_while_events_come(inside: Inside) -> None:
    await filled(inside)
    page = await inside.json("/api/v1/events?before=8&limit=3")
    assert [event["position"] for event in page["events"]] == [7, 6, 5]
    await inside.deliver(inside.hello(), POUR)
    assert await found(inside, f"before={page['next']}&limit=3") == [4, 3, 2]
    assert await found(inside, "after=4&limit=3") == [5, 6, 7]


async def test_one_request_looks_at_so_many_rows_and_says_how_far(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOOKED_INTO", 3)
    await filled(inside)
    page = await inside.json("/api/v1/events?before=7&sauce=reaper-raw")
    assert (page["events"], page["next"], page["looked_to"]) == ([], 4, 4)
    page = await inside.json("/api/v1/events?before=4&sauce=reaper-raw")
    assert ([event["position"] for event in page["events"]], page["next"]) == ([2], None)
    assert "from number 5 on" in (await inside.client.get("/events?sauce=reaper-raw")).text


@pytest.mark.parametrize("query", ["day=soon", "sauce=A%20B", "type=poured", "text=", "before=0", "source=%00"])
async def test_what_can_t_be_meant_is_refused(inside: Inside, query: str) -> None:
    answer = await inside.client.get(f"/api/v1/events?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_one_event_is_told_in_full(inside: Inside) -> None:
    await filled(inside)
    assert (await inside.json("/api/v1/events/2"))["data"]["sauce"] == "reaper-raw"
    assert (await inside.json("/api/v1/events/3"))["refusal"]["reason"] == "unknown_sauce"
    assert (await inside.client.get("/api/v1/events/99")).status_code == 404
    page = (await inside.client.get("/events/2")).text
    assert "poured Reaper Raw" in page
    assert "volume_ul" in page
    assert "/sync/letters/3" in (await inside.client.get("/events/3")).text


# -- files ----------------------------------------------------------------------------------------------------------


async def test_json_lines_are_the_events_that_fit(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK", 2)
    await filled(inside)
    answer = await inside.client.get("/api/v1/events/export?sauce=table-red")
    assert answer.headers["content-disposition"] == 'attachment; filename="events-gw-1.jsonl"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["position"] for line in lines] == [1, 4, 5]
    assert lines[0] == (await inside.json("/api/v1/events/1"))


async def test_a_csv_has_no_formulas(inside: Inside) -> None:
    await filled(inside)
    await inside.deliver(inside.hello(), msgspec.structs.replace(POUR, pick_id="=cmd|' /C calc'!A0"))
    answer = await inside.client.get("/api/v1/events/export?format=csv")
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["position"] for row in rows] == [str(n) for n in range(1, 9)]
    assert (rows[1]["sauce"], rows[1]["volume_ml"], rows[1]["type"]) == ("reaper-raw", "5.0", "picante.poured.v1")
    assert rows[2]["reason"] == "unknown_sauce"
    assert rows[7]["pick_id"] == "'=cmd|' /C calc'!A0"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


async def test_a_stream_ends_when_the_gateway_does_and_says_so(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK", 3)
    await filled(inside)
    web = Web(inside.state)
    for write, last in ((records._json_lines, b'"after":3}\n'), (records._csv, b"after=3\r\n")):
        web.closing.clear()
        sent = []
        async for piece in records._stream(web, search.Filters(), 0, 7, write):
            sent.append(piece)
            web.closing.set()
        assert len(sent) == 2
        assert sent[-1].endswith(last)


async def test_what_comes_meanwhile_is_not_in_a_file(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK", 3)
    await filled(inside)
    web = Web(inside.state)
    lines = b""
    async for piece in records._stream(web, search.Filters(), 0, 7, records._json_lines):
        lines += piece
        await inside.deliver(inside.hello(), POUR)
    assert [json.loads(line)["position"] for line in lines.splitlines()] == [1, 2, 3, 4, 5, 6, 7]
