"""A meter is calibrated on a phone, whatever is killed or cut in the middle: each dose is poured once."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from firmware_bridge.verbs import Calibrate
from gateway import orders
from gateway.calibration_run import mark, undo_id
from gateway.web.dispensers.calibrating import Bench
from gateway.web.dispensers.commands import give
from tests.gateway.web.browser import PHONE, WIDE, context_of, visiting
from tests.gateway.web.conftest import Inside, Shop
from tests.gateway.web.test_nozzles import hold, typed

AT = "/dispensers/hot-bar-1/nozzles/{}/calibrate"


def commands(shop: Shop, nozzle: int) -> list[dict[str, Any]]:
    """What the dispenser was told about a nozzle, the first first."""
    told = shop.json("/api/v1/dispensers/hot-bar-1/commands?limit=100")["commands"]
    return [each for each in reversed(told) if each["arguments"].get("nozzle") == nozzle]


def meter(shop: Shop, nozzle: int) -> list[float]:
    """The factors that were set, in pulses a litre."""
    return [
        each["measured"]["now"] for each in commands(shop, nozzle) if each["verb"] == "calibrate" and each["measured"]
    ]


def begin(page: Page, unit: str = "Millilitres") -> None:
    option = page.locator("option", has_text=unit).get_attribute("value")
    page.get_by_label("You read off").select_option(option)
    page.get_by_label("One dose").fill("5")  # less than anybody would: it is poured the sooner
    page.get_by_role("button", name="Begin", exact=True).click()
    expect(page.get_by_role("heading", name="Tare the level sensor")).to_be_visible()
    page.get_by_role("button", name="Leave it out").click()


def read(page: Page, amount: str) -> None:
    page.get_by_label("What you read off").fill(amount)
    page.get_by_role("button", name="That is it").click()


def shows(page: Page, heading: str) -> None:
    """The step is there; without JavaScript somebody looks again."""
    expect(page.get_by_role("heading", name=heading)).to_be_visible()


def test_a_kill_and_a_cut_in_the_middle_pour_nothing_twice(browser: Browser, shop: Shop) -> None:
    with context_of(browser, shop, PHONE, tolerate="Failed to|ERR_|net::|htmx:|fetch") as context:
        page = context.new_page()
        page.goto(shop.url + AT.format(1))
        begin(page)
        shows(page, "Dose 1 of 3")
        hold(page, "Pour 5")
        shop.gateway.process.kill()
        shop.gateway.process.wait()
        shop.start_gateway()
        page.reload()
        _poured(page)
        read(page, "5.1")
        shows(page, "Dose 2 of 3")
        _order_twice(shop, context, page)
        _poured(page)
        context.set_offline(True)
        page.get_by_label("What you read off").fill("5.15")
        page.get_by_role("button", name="That is it").click()
        context.set_offline(False)
        page.goto(shop.url + AT.format(1))  # wherever the browser got to: the run is where it was
        read(page, "5.15")
        shows(page, "Dose 3 of 3")
        hold(page, "Pour 5")
        _poured(page)
        read(page, "5,1")
        shows(page, "Set the meter")
        hold(page, "Set the meter")
        shows(page, "Verify it")
        hold(page, "Pour 5")
        _poured(page)
        read(page, "5.05")
        shows(page, "Done")
        expect(page.get_by_text("The meter is right")).to_be_visible()
        assert Counter((each["verb"], each["state"]) for each in commands(shop, 1)) == {
            ("test_pour", "done"): 4,
            ("calibrate", "done"): 1,
        }
        before = commands(shop, 1)[3]["measured"]["before"]
        hold(page, "Undo this calibration")
        shows(page, "Before you begin")
    assert commands(shop, 1)[-1]["asked_by"] == "undo"
    assert commands(shop, 1)[-1]["arguments"]["pulses_per_litre"] == before


def _poured(page: Page) -> None:
    """The dose is in the cylinder."""
    expect(page.get_by_label("What you read off")).to_be_visible(timeout=30_000)


def _order_twice(shop: Shop, context: BrowserContext, page: Page) -> None:
    """Two phones order one dose, each from a document that shows it as not ordered yet."""
    other = context.new_page()
    other.goto(page.url)
    shows(other, "Dose 2 of 3")
    step = other.locator("input[name=step]").first.input_value()
    hold(page, "Pour 5")
    again = context.request.post(
        page.url, form={"do": "order", "step": step, "confirm": "pour"}, headers={"sec-fetch-site": "same-origin"}
    )
    assert again.ok
    other.close()


async def test_a_refused_pour_says_why_and_is_ordered_anew(inside: Inside) -> None:
    inside.hello((1, "table-red", 500))
    path, store = AT.format(1), inside.state.store
    begin = {"do": "begin"}
    assert (await inside.client.post(path, data=begin)).status_code == 303
    shown = await step_of(inside, path)
    pour = {"do": "order", "step": shown.replace("tare-0", "pour-1"), "confirm": "pour"}
    for form in ({"do": "skip", "step": shown}, pour, {**begin, "unit": "g"}):
        assert (await inside.client.post(path, data=form)).status_code == 303
    # and who begins on a page that is old does not throw away what another technician has done
    assert "Pouring" in (await inside.client.get(path)).text
    with store.reader() as reader:
        (order,) = orders.newest(reader, "hot-bar-1", 10)
    now = inside.state.clock.now()
    ended = replace(order, state="refused", detail="a customer stands there", ended_ms=now.wall_ms)
    store.write(lambda tx: orders.update(tx, ended, now)).result(20)
    text = (await inside.client.get(path)).text
    assert "It was not carried out: a customer stands there." in text
    for _ in range(2):  # the second tap is of a step that has gone on
        assert (await inside.client.post(path, data=pour)).status_code == 303
    with store.reader() as reader:
        assert len(orders.newest(reader, "hot-bar-1", 10)) == 2


async def step_of(inside: Inside, path: str) -> str:
    """What the page's forms say of the step that they are about."""
    found = re.search(r'name="step" value="([^"]+)"', (await inside.client.get(path)).text)
    assert found is not None
    return found[1]


async def test_the_page_of_a_run_before_does_nothing_to_this_one(inside: Inside) -> None:
    inside.hello((1, "table-red", 500))
    path, bench = AT.format(1), Bench(inside.web, "hot-bar-1", 1)
    await inside.client.post(path, data={"do": "begin"})
    old = await step_of(inside, path)
    await inside.client.post(path, data={"do": "stop", "step": old})
    await inside.client.post(path, data={"do": "begin", "unit": "g"})
    run = bench.run()
    assert run is not None
    pour = old.replace("tare-0", "pour-1")
    forms = [("order", old, "tare"), ("order", pour, "pour"), ("read", pour, ""), ("undo", old, "undo")]
    for do, step, confirm in (*forms, ("skip", old, ""), ("again", old, ""), ("stop", old, "")):
        form = {"do": do, "step": step, "confirm": confirm, "amount": "20"}
        assert (await inside.client.post(path, data=form)).status_code == 303, form
    assert bench.run() == run
    with inside.state.store.reader() as reader:
        assert orders.newest(reader, "hot-bar-1", 10) == []


async def test_of_two_undos_of_one_run_one_is_done(inside: Inside) -> None:
    """Two phones, or one that was cut off between the command and the end of the run."""
    inside.hello((1, "table-red", 500))
    state, bench = inside.state, Bench(inside.web, "hot-bar-1", 1)
    for number, (before, factor) in enumerate([(100_000, 97_000), (97_000, 95_000)]):
        command = bytes([number]) * 16
        await give(
            state, "hot-bar-1", Calibrate(nozzle=1, pulses_per_litre=factor), command_id=command, asked_by="calibration"
        )
        await done(inside, command, {"before": before, "now": factor})
    run = bench.new_run("Ada")
    for _ in range(2):
        await bench.begin(run)
        form = {"do": "undo", "step": f"verify-0-1-{mark(run)}", "confirm": "undo"}
        assert (await inside.client.post(AT.format(1), data=form)).status_code == 303
        assert bench.run() is None
        await done(inside, undo_id(run), {"before": 95_000, "now": 97_000})
    with state.store.reader() as reader:
        told = [each.read_arguments() for each in orders.calibrations(reader, "hot-bar-1")]
    assert [each.pulses_per_litre for each in told if isinstance(each, Calibrate)] == [97_000, 95_000, 97_000]


async def test_a_program_calibrates_step_by_step_as_the_page_does(inside: Inside) -> None:  # noqa: PLR0915 -- a whole run
    inside.hello((1, "table-red", 500))
    at, client = "/api/v1/dispensers/hot-bar-1/nozzles/1/calibration", inside.client

    async def ask(what: str, status: int = 200, **more: object) -> dict[str, Any]:
        answer = await client.post(f"{at}/{what}", json={"step": run["step"]["name"]} | more)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def carried_out(measured: dict[str, int]) -> dict[str, Any]:
        await done(inside, bytes.fromhex(run["step"]["command"]["id"]), measured)
        told: dict[str, Any] = await inside.json(at)
        return told

    assert (await client.get(at)).status_code == 404
    run = (await client.post(at, json={"unit": "g", "dose_ml": 5, "density": 1.25})).json()
    assert (run["step"]["action"], run["step"]["phase"], run["by"]) == ("tare", "todo", "tests")
    again = (await client.post(at, json={})).json()
    assert again == run, "theirs goes on"
    run = await ask("skip")
    assert run["tared"] is False
    page = (await client.get(AT.format(1))).text
    assert run["step"]["name"] in page, "a page shows the same run"
    for number, grams in enumerate((12.5, 15.0, 12.5), start=1):
        assert (run["step"]["action"], run["step"]["number"]) == ("pour", number)
        run = await ask("order", 202)
        assert run["step"]["phase"] == "under_way"
        assert run["step"]["command"]["arguments"] == {"nozzle": 1, "volume_ul": 5_000}
        assert await ask("order", 202) == run, "the second tap pours nothing"
        run = await carried_out({"pulses": 1_000, "volume_ul": 10_000, "duration_ms": 900})
        told = {"step": run["step"]["name"], "amount": 90}
        run = await ask("read", amount=grams)
        assert (await client.post(f"{at}/read", json=told)).json() == run, "a dose is read off once"
    assert [dose["volume_ml"] for dose in run["doses"]] == pytest.approx([10, 12, 10])
    assert (run["step"]["phase"], run["spread"] > 0.05) == ("uneven", True)
    run = await ask("again")
    assert [dose["number"] for dose in run["doses"]] == [1, 3]
    run = await ask("order", 202)
    run = await carried_out({"pulses": 1_000, "volume_ul": 10_000, "duration_ms": 900})
    run = await ask("read", amount=12.5)
    assert run["step"]["action"] == "set"
    run = await ask("order", 202)
    run = await carried_out({"before": 97_000, "now": 100_000})
    assert run["pulses_per_ml"] == {"before": 97.0, "now": 100.0}
    run = await ask("order", 202)
    run = await carried_out({"pulses": 1_000, "volume_ul": 10_000, "duration_ms": 900})
    run = await ask("read", amount=12.6)
    assert (run["step"]["phase"], run["good"], round(run["deviation"], 3)) == ("over", True, 0.008)
    undone = await ask("undo", 202)
    assert (undone["command"]["verb"], undone["command"]["arguments"]["pulses_per_litre"]) == ("calibrate", 97_000)
    await ask("undo", 404)
    run, before = (await client.post(at, json={})).json(), run
    assert (await client.post(f"{at}/skip", json={"step": before["step"]["name"]})).status_code == 409
    assert [(await client.delete(at)).status_code for _ in range(2)] == [204, 204]
    assert (await client.get(at)).status_code == 404


async def done(inside: Inside, command: bytes, measured: dict[str, int]) -> None:
    """A command is carried out."""
    with inside.state.store.reader() as reader:
        order = orders.find(reader, command.hex())
    assert order is not None
    now = inside.state.clock.now()
    ended = replace(order, state="done", measured=json.dumps(measured), ended_ms=now.wall_ms)
    inside.state.store.write(lambda tx: orders.update(tx, ended, now)).result(20)


def test_doses_that_differ_are_refused_and_grams_are_read_without_javascript(browser: Browser, shop: Shop) -> None:
    with visiting(browser, shop, AT.format(2), WIDE, javascript=False, tolerate="422") as page:
        begin(page, "Grams")
        for number, amount in enumerate(("5.3", "5.3", "4.7"), start=1):
            shows(page, f"Dose {number} of 3")
            typed(page, "pour", "Pour 5")
            _look(page)
            if number == 1:
                read(page, "210000")
                expect(page.get_by_text("A number, like 19.5")).to_be_visible()
                read(page, "2100")
                expect(page.get_by_text("Look at the unit again")).to_be_visible()
            read(page, amount)
        shows(page, "The doses differ too much")
        expect(page.get_by_text("Nothing was set.")).to_be_visible()
        assert meter(shop, 2) == []
        page.get_by_role("button", name="Pour that dose again").click()
        shows(page, "Dose 3 of 3")
        typed(page, "pour", "Pour 5")
        _look(page)
        read(page, "5.25")
        shows(page, "Set the meter")
        page.get_by_text("Give up ...").click()
        page.get_by_role("button", name="Give up this run").click()
        shows(page, "Before you begin")
    assert meter(shop, 2) == []


def _look(page: Page) -> None:
    """Look again until the dose is there to be read off."""
    for _ in range(60):
        if page.get_by_label("What you read off").count():
            return
        page.get_by_role("link", name="Look again").click()
        page.wait_for_timeout(250)
    expect(page.get_by_label("What you read off")).to_be_visible()
