"""One dispenser's pages: what they show, what their forms do, and what they say of what can't be taken."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, get_args

import httpx
import pytest

from firmware_bridge.messages import Hello
from firmware_bridge.verbs import ARGUMENTS_BY_VERB
from gateway.orders import State
from gateway.web.pages.commands_said import STATES, VERBS
from tests.gateway.web.conftest import Inside

PAGE = "/dispensers/hot-bar-1"


@pytest.fixture
async def hello(inside: Inside) -> Hello:
    """A dispenser with two nozzles."""
    return inside.hello((1, "table-red", 500), (2, "reaper-raw", 30))


async def sent(inside: Inside, form: str, once: str = "one", **fields: str) -> httpx.Response:
    """The answer to a form of the page."""
    return await inside.client.post(f"{PAGE}/{form}?once={once}", data=fields)


async def commands(inside: Inside) -> list[dict[str, Any]]:
    """What it was told, newest first."""
    found: list[dict[str, Any]] = (await inside.json("/api/v1/dispensers/hot-bar-1/commands"))["commands"]
    return found


def test_every_verb_and_every_end_has_words() -> None:
    assert VERBS.keys() == ARGUMENTS_BY_VERB.keys()
    assert STATES.keys() == {state for group in get_args(State) for state in (get_args(group) or (group,))}


async def test_a_page_shows_what_there_is(inside: Inside, hello: Hello) -> None:
    text = (await inside.client.get(PAGE)).raise_for_status().text
    for part in ("dispenser-head", "dispenser-bottles", "dispenser-screen", "dispenser-commands"):
        assert text.count(f'id="{part}"') == 1
    assert "Reaper Raw" in text
    assert "Needs care" in text, "30 ml are left of it"
    assert (await inside.client.get("/dispensers/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("form", "fields", "verb", "arguments"),
    [
        ("tell/identify", {}, "identify", {"seconds": 10}),
        ("tell/lock", {"locked": "no"}, "lock", {"locked": False}),
        ("tell/reboot", {"confirm": "reboot"}, "reboot", {}),
        (
            "tell/flow",
            {"verb": "test_pour", "nozzle": "2", "volume_ml": "7,5", "seconds": "5", "confirm": "POUR"},
            "test_pour",
            {"nozzle": 2, "volume_ul": 7_500},
        ),
        (
            "tell/flow",
            {"verb": "prime", "nozzle": "1", "volume_ml": "", "seconds": "2.5", "confirm": "POUR"},
            "prime",
            {"nozzle": 1, "duration_ms": 2_500},
        ),
    ],
)
async def test_a_form_tells_it_what_the_api_would(
    inside: Inside,
    hello: Hello,
    form: str,
    fields: dict[str, str],
    verb: str,
    arguments: dict[str, Any],
) -> None:
    answer = await sent(inside, form, **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}#dispenser-commands"), answer.text
    await sent(inside, form, **fields)
    [told] = await commands(inside)
    assert (told["verb"], told["arguments"]) == (verb, arguments), "and a second tap tells it nothing"
    await sent(inside, form, once="another", **fields)
    assert len(await commands(inside)) == 2


async def test_an_order_whose_answer_is_kept_nowhere_is_given_once(
    inside: Inside, hello: Hello, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise sqlite3.OperationalError("killed between the deed and its answer")

    monkeypatch.setattr(type(inside.web.access.answers), "keep", killed)
    path, body = "/api/v1/dispensers/hot-bar-1/commands", {"verb": "reboot"}
    answers = [await inside.client.post(path, json=body, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json()["id"] for answer in answers}) == len(await commands(inside)) == 1


async def test_what_is_not_held_is_not_done(inside: Inside, hello: Hello) -> None:
    for form, fields in (
        ("tell/reboot", {}),
        ("tell/flow", {"verb": "clean", "nozzle": "1", "seconds": "3", "confirm": "no"}),
        ("forget", {"typed": "hot-bar-2"}),
        ("rotate-key", {}),
    ):
        answer = await sent(inside, form, once=form, **fields)
        assert answer.status_code == 422
        assert 'class="banner bad"' in answer.text
    assert await commands(inside) == []
    assert (await inside.client.get(PAGE)).is_success, "it is not forgotten"


async def test_what_can_t_be_taken_is_said_beside_it_and_stays_typed(inside: Inside, hello: Hello) -> None:
    fields = {"verb": "test_pour", "nozzle": "1", "volume_ml": "half a cup", "confirm": "POUR"}
    answer = await sent(inside, "tell/flow", **fields)
    assert answer.status_code == 422
    assert 'value="half a cup"' in answer.text
    assert re.search(r'id="field-volume_ml-error">[^<]*at most 100', answer.text)
    assert await commands(inside) == []


async def test_two_who_name_it_the_later_sees_the_other_s(inside: Inside, hello: Hello) -> None:
    shown = (await inside.client.get(PAGE)).text
    found = re.search(
        r'action="/dispensers/hot-bar-1/label[^>]*>\s*<input type="hidden" name="etag" value="([^"]+)"', shown
    )
    assert found is not None
    etag = found[1].replace("&#34;", '"')
    assert (await sent(inside, "label", once="a", name="Bar, left", etag=etag)).status_code == 303
    later = await sent(inside, "label", once="b", name="Bar, right", etag=etag)
    assert later.status_code == 412
    assert "<h1>Bar, left</h1>" in later.text
    assert 'value="Bar, right"' in later.text
    now = re.findall(r'name="etag" value="([^"]+)"', later.text)[0].replace("&#34;", '"')
    assert (await sent(inside, "label", once="c", name="Bar, right", etag=now)).status_code == 303
    assert (await inside.json("/api/v1/dispensers/hot-bar-1"))["label"] == "Bar, right"


async def test_a_command_to_one_that_is_away_says_so(inside: Inside, hello: Hello) -> None:
    inside.state.dispensers.known[hello.dispenser].link = None
    await sent(inside, "tell/identify")
    assert "The dispenser is away: sent once it is back" in (await inside.client.get(PAGE)).text


async def test_readings_and_trace_are_whole_without_javascript(inside: Inside, hello: Hello) -> None:
    readings = (await inside.client.get(f"{PAGE}/readings?seconds=3600")).raise_for_status().text
    assert 'aria-current="true">1 hour' in readings
    assert "It has sent no readings" in readings
    trace = (await inside.client.get(f"{PAGE}/trace")).raise_for_status().text
    assert "Nothing has passed yet" in trace


async def test_a_trace_of_one_line_is_a_file(inside: Inside, hello: Hello) -> None:
    answer = await inside.client.get("/api/v1/dispensers/hot-bar-1/trace?seconds=0.1")
    assert answer.headers["content-disposition"] == 'attachment; filename="hot-bar-1.jsonl"'
    assert answer.text.splitlines()[0].startswith('{"capture":1')
    assert (await inside.client.get("/api/v1/dispensers/nobody/trace")).status_code == 404
