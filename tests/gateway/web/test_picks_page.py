"""The model, how often it was too hot, what somebody would get, and a customer's page."""

from __future__ import annotations

import pytest

from firmware_bridge.bodies import PouredBody, RatedBody, StatedBody
from gateway.transaction import Transaction
from gateway.web.picking.too_hot import rate
from tests.gateway.web.conftest import Inside

CUSTOMER = "p1-" + "0" * 32
RED = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)


@pytest.mark.parametrize(
    ("n", "hits", "low", "high"),
    [(0, 0, 0.0, 1.0), (1, 1, 0.2065, 1.0), (10, 1, 0.0179, 0.4042), (1000, 100, 0.0829, 0.1202), (3, 9, 0.4385, 1.0)],
)
def test_a_share_comes_with_what_chance_makes_of_it(n: int, hits: int, low: float, high: float) -> None:
    found = rate(n, hits)
    assert (found.low, found.high) == (low, high)  # as R's prop.test without its correction has them
    assert (found.share is None) == (n == 0)


async def test_too_hot_is_counted_by_sauce(inside: Inside) -> None:
    hello = inside.hello()
    for sauce, verdict in (("table-red", "too_hot"), ("table-red", "more"), ("reaper-raw", "too_hot")):
        await inside.deliver(hello, RatedBody(sauce=sauce, verdict=verdict))  # type: ignore[arg-type]
    found = await inside.json("/api/v1/picks/too-hot")
    assert (found["all"]["rated"], found["all"]["too_hot"]) == (3, 2)
    assert [(each["sauce"], each["too_hot"], each["rated"]) for each in found["sauces"]] == [
        ("reaper-raw", 1, 1),
        ("table-red", 1, 2),
    ]
    page = (await inside.client.get("/picks")).text
    assert "Reaper Raw" in page


async def test_what_is_no_release_is_not_taken_back(inside: Inside) -> None:
    model = await inside.json("/api/v1/model")
    assert model["release"] is None
    answer = await inside.client.post("/api/v1/model/take-back")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:picante:problem:nothing-to-take-back")
    unconfirmed = await inside.client.post("/picks/take-back", data={"confirm": "please"})
    assert unconfirmed.status_code == 422
    refused = await inside.client.post("/picks/take-back", data={"confirm": "take back"})
    assert refused.status_code == 409
    assert "no released model is in use" in refused.text


async def test_what_somebody_would_get(inside: Inside) -> None:
    inside.hello((1, "table-red", 500), (2, "reaper-raw", 500))
    page = (await inside.client.get("/picks?dispenser=hot-bar-1")).text
    assert "shown with a chance of" in page
    assert "no dispenser of this name" in (await inside.client.get("/picks?dispenser=hot-bar-9")).text
    assert "this is no subject" in (await inside.client.get("/picks?dispenser=hot-bar-1&subject=jane")).text


async def test_a_customer_is_shown_and_forgotten_by_a_typed_word(inside: Inside) -> None:
    hello = inside.hello()
    await inside.deliver(hello, StatedBody(word="mild"))
    await inside.deliver(hello, RED)

    def theirs(tx: Transaction) -> None:
        for table in ("buckets", "flavours", "latest"):
            tx.connection.execute(f"UPDATE {table} SET subject = ?", (CUSTOMER,))  # noqa: S608 -- constants

    inside.state.store.write(theirs).result(20)
    path = f"/picks/customers/{CUSTOMER}"
    assert "Last: Table Red" in (await inside.client.get(path)).text
    assert (await inside.client.post(f"{path}/consent", data={"confirm": "yes"})).status_code == 422
    forgotten = await inside.client.post(f"{path}/consent", data={"confirm": "Forget"})
    assert (forgotten.status_code, forgotten.headers["location"]) == (303, path)
    page = (await inside.client.get(path)).text
    assert "Nothing is known of this customer" in page
    assert "wants not to be known" in page
    await inside.client.post(f"{path}/consent", data={"wish": "profile"})
    assert (await inside.json(f"/api/v1/profiles/{CUSTOMER}/consent"))["consent"] == "profile"
    assert (await inside.client.get("/picks/customers/loyalty-4711")).status_code == 404
    typed = await inside.client.get("/picks/customers?pseudonym=loyalty-4711")
    assert "4711" not in typed.headers["location"]
