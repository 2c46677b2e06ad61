"""The API on a shop of processes: each route, its schema, its errors, and what it must not say."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest

from heat.events import decode_data
from heat.identity import pseudonym
from heat.profile import Profile, contribution
from tests.gateway.web.conftest import PSEUDONYM_KEY, Shop
from tests.waiting import wait_until

TOKEN = "loyalty-4711-jane"
CUSTOMER = pseudonym(TOKEN, PSEUDONYM_KEY, 1)
STRANGER = "p1-" + "0" * 32
PROBLEMS = "application/problem+json"

COMMAND = "ab" * 16

PATHS = {
    "/healthz": "/healthz",
    "/readyz": "/readyz",
    "/metrics": "/metrics",
    "/api/v1/status": "/api/v1/status",
    "/api/v1/dispensers": "/api/v1/dispensers",
    "/api/v1/dispensers/{dispenser}/commands": "/api/v1/dispensers/hot-bar-1/commands",
    "/api/v1/dispensers/{dispenser}/commands/{command}": f"/api/v1/dispensers/hot-bar-1/commands/{COMMAND}",
    "/api/v1/dispensers/{dispenser}/samples": "/api/v1/dispensers/hot-bar-1/samples?channel=level&nozzle=2",
    "/api/v1/dispensers/{dispenser}/readings": "/api/v1/dispensers/hot-bar-1/readings?seconds=3600",
    "/api/v1/events": "/api/v1/events?limit=1000",
    "/api/v1/profiles/{pseudonym}": f"/api/v1/profiles/{CUSTOMER}",
    "/api/v1/profiles/{pseudonym}/consent": f"/api/v1/profiles/{STRANGER}/consent",
    "/api/v1/kiosk/{dispenser}": "/api/v1/kiosk/hot-bar-1",
    "/api/v1/picks": f"/api/v1/picks?dispenser=hot-bar-1&subject={CUSTOMER}",
    "/api/v1/repairs": "/api/v1/repairs",
    "/api/v1/model": "/api/v1/model",
    "/api/v1/picks/too-hot": "/api/v1/picks/too-hot",
    "/api/v1/sync": "/api/v1/sync",
    "/api/v1/me": "/api/v1/me",
    "/api/v1/people": "/api/v1/people",
    "/api/v1/sessions": "/api/v1/sessions",
    "/api/v1/tokens": "/api/v1/tokens",
    "/api/v1/audit": "/api/v1/audit?limit=1000",
    "/api/v1/sync/rates": "/api/v1/sync/rates",
    "/api/v1/ledger": "/api/v1/ledger",
    "/api/v1/events/export": "/api/v1/events/export",
    "/api/v1/events/{position}": "/api/v1/events/1",
    "/api/v1/dead-letters": "/api/v1/dead-letters",
    "/api/v1/system": "/api/v1/system",
    "/api/v1/system/settings": "/api/v1/system/settings",
    "/api/v1/system/log": "/api/v1/system/log",
    "/api/v1/system/bundle": "/api/v1/system/bundle",
    "/api/v1/system/restore": "/api/v1/system/restore",
}
"""Every documented path with a good request."""
UNASKED = {
    *("/api/v1/dispensers/{dispenser}/samples/live", "/api/v1/dispensers/{dispenser}/trace"),
    *("/api/v1/stream", "/api/v1/kiosk/{dispenser}/live", "/api/v1/dead-letters/{position}"),
    *("/api/v1/lots", "/api/v1/lots/{lot}", "/api/v1/lots/{lot}/pours.csv"),
    *("/api/v1/repairs/{key}", "/api/v1/repairs/{key}/quarantined.tar", "/api/v1/system/bundle/{name}"),
}
"""Those that have tests of their own: a stream has no end, no event was refused here, and nothing is broken."""


@pytest.fixture(scope="module", autouse=True)
def visits(shop: Shop) -> None:
    """A customer with a card who finds it too hot, and one without."""
    shop.visit(token=TOKEN, word="medium", pour="serrano-verde", volume_ul=5_200, rate="too_hot")
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    wait_until(lambda: len(of_type(shop, "picante.rated.v1")) == 1, 10, "the verdict is stored")
    told = {"verb": "identify", "id": COMMAND}
    shop.post("/api/v1/dispensers/hot-bar-1/commands", told).raise_for_status()


def events(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.json("/api/v1/events?limit=1000")["events"]
    return found


def of_type(shop: Shop, type_: str) -> list[dict[str, Any]]:
    return [event for event in events(shop) if event["type"] == type_]


# -- the description ------------------------------------------------------------------------------------------------


def test_every_path_is_described_and_answers_as_described(shop: Shop) -> None:
    document = shop.json("/openapi.json")
    assert document["openapi"].startswith("3.1")
    reading = {path for path, operations in document["paths"].items() if operations.keys() == {"get"}}
    assert reading - PATHS.keys() - UNASKED == set()
    assert document["paths"].keys() >= PATHS.keys() | UNASKED
    for path, url in PATHS.items():
        described = document["paths"][path]["get"]["responses"]["200"]["content"]
        answer = shop.get(url)
        assert answer.status_code == 200, (url, answer.text)
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in described
        if media_type == "application/json":
            schema = described[media_type]["schema"] | {"components": document["components"]}
            errors = [error.message for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(answer.json())]
            assert errors == [], url


def test_fields_carry_descriptions_and_examples(shop: Shop) -> None:
    schemas = shop.json("/openapi.json")["components"]["schemas"]
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()
    assert schemas["EventView"]["properties"]["id"]["examples"] == ["hot-bar-1:5e3a09c1:42"]
    assert "negative" in schemas["EventView"]["properties"]["day"]["description"]


# -- health ---------------------------------------------------------------------------------------------------------


def test_it_is_alive_and_ready_without_kafka(shop: Shop) -> None:
    assert shop.json("/healthz") == {"status": "ok"}
    readiness = shop.json("/readyz")
    assert readiness["ready"] is True
    parts = {part["name"]: part for part in readiness["parts"]}
    assert {name for name, part in parts.items() if part["needed"]} == {"store", "ranker", "web"}
    assert sum(name.startswith("serial:") for name in parts) == 2


# -- events ---------------------------------------------------------------------------------------------------------


def test_an_event_is_told_whole(shop: Shop) -> None:
    (pour,) = [event for event in of_type(shop, "picante.poured.v1") if event["data"]["sauce"] == "serrano-verde"]
    assert re.fullmatch(r"hot-bar-1:[0-9a-f]{8}:[1-9]\d*", pour["id"])
    assert pour["source"] == "hot-bar-1"
    assert pour["subject"] == CUSTOMER
    assert pour["clock"] == "known"
    assert pour["data"]["volume_ul"] == 5_200
    assert "refusal" not in pour


def test_pages_follow_one_another_without_gap_or_repetition(shop: Shop) -> None:
    whole = events(shop)
    paged: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = shop.json(f"/api/v1/events?after={after}&limit=3")
        paged += page["events"]
        after = page["next"]
    assert paged == whole
    assert [event["position"] for event in paged] == sorted({event["position"] for event in paged})


def test_there_is_nothing_after_the_last_event(shop: Shop) -> None:
    last = events(shop)[-1]["position"]
    assert shop.json(f"/api/v1/events?after={last}") == {"events": [], "next": None, "looked_to": None}


# -- profiles and picks ---------------------------------------------------------------------------------------------


def test_a_profile_is_what_its_events_add_up_to(shop: Shop) -> None:
    folded = Profile()
    for event in events(shop):
        if event["subject"] == CUSTOMER:
            folded.fold(contribution(decode_data(event["type"], event["data"]), "gw-1", event["day"]))
    profile = shop.json(f"/api/v1/profiles/{CUSTOMER}")
    assert profile["digest"] == {"all": folded.digest(), "own": folded.digest("gw-1")}
    assert profile["evidence"] == sum(bucket["n"] for bucket in profile["buckets"]) == 3
    assert {bucket["kind"] for bucket in profile["buckets"]} == {"stated", "poured", "too_hot"}
    assert profile["latest"] == {"sauce": "serrano-verde", "verdict": "too_hot"}
    assert [window["days"] for window in profile["windows"]] == [7, 30, 90]
    assert profile["windows"][0]["pours"] == 1


def test_a_state_is_told_on_both_scales(shop: Shop) -> None:
    state = shop.json(f"/api/v1/profiles/{CUSTOMER}")["state"]
    assert state["mean"]["shu"] < 12_000  # what they called too hot
    assert state["mean"]["milli_octaves"] < state["tolerance"]["milli_octaves"]


def test_picks_are_told_with_their_reasons_and_leave_no_impression(shop: Shop) -> None:
    before = events(shop)
    answer = shop.json(f"/api/v1/picks?dispenser=hot-bar-1&subject={CUSTOMER}")
    assert [pick["slot"] for pick in answer["picks"]] == [1, 2, 3]
    assert all(pick["why"] and 0 < pick["propensity"] <= 1 for pick in answer["picks"])
    assert answer["candidates"] == 6
    assert len({pick["nozzle"] for pick in answer["picks"]}) == 3
    assert events(shop) == before


def test_a_customer_who_found_it_too_hot_is_shown_other_picks_than_somebody_new(shop: Shop) -> None:
    known = shop.json(f"/api/v1/picks?dispenser=hot-bar-1&subject={CUSTOMER}")
    new = shop.json("/api/v1/picks?dispenser=hot-bar-1")
    assert known["state"] != new["state"]
    assert new["subject"] is None
    assert "serrano-verde" not in {pick["sauce"] for pick in known["picks"]}


def test_a_claimed_session_is_answered_as_its_customer(shop: Shop) -> None:
    shop.visit("hot-bar-2", token=TOKEN)
    claim = of_type(shop, "picante.session-claimed.v1")[-1]
    session = claim["data"]["session"]
    assert session.startswith("s-hot-bar-2-")

    def picks(subject: str) -> tuple[Any, Any]:
        told = shop.json(f"/api/v1/picks?dispenser=hot-bar-1&subject={subject}")
        return told["state"], told["picks"]

    # what the visit taught may come between the two questions
    wait_until(lambda: picks(session) == picks(CUSTOMER), 10, "both are the same customer")


# -- dispensers, status, sync ---------------------------------------------------------------------------------------


def test_a_dispenser_is_told_with_its_nozzles_and_its_screen(shop: Shop) -> None:
    first, second = shop.json("/api/v1/dispensers")["dispensers"]
    assert [first["name"], second["name"]] == ["hot-bar-1", "hot-bar-2"]
    assert first["online"]
    assert first["link"].endswith("usb-picante-hot-bar-1")
    assert [nozzle["sauce"] for nozzle in first["nozzles"]][:2] == ["garden-green", "table-red"]
    assert first["nozzles"][1]["heat"]["shu"] == 2_200
    assert len(first["screen"]["picks"]) == 3
    assert len(second["nozzles"]) == 12


def test_a_pour_lowers_the_bottle(shop: Shop) -> None:
    def level() -> int:
        dispenser = shop.json("/api/v1/dispensers")["dispensers"][0]
        levels = {nozzle["sauce"]: nozzle["level_ml"] for nozzle in dispenser["nozzles"]}
        return int(levels["miso-piri"])

    before = level()
    shop.visit(pour="miso-piri", volume_ul=40_000)
    wait_until(lambda: level() == before - 40, 5, "the bottle is 40 ml lower")


def test_the_status_adds_up(shop: Shop) -> None:
    status = shop.json("/api/v1/status")
    counts, sync = status["counts"], shop.json("/api/v1/sync")
    assert counts["stored"] == counts["in_kafka"] + counts["pending"]
    assert (sync["mode"], sync["state"], sync["confirmed"]) == ("off", "off", 0)
    assert sync["pending"] == sync["stored"] == len(events(shop))
    assert sync["oldest_age_s"] >= 0
    assert counts["picks_shown"] == len(of_type(shop, "picante.impression.v1"))
    assert 0 < status["times"]["p50_us"] <= status["times"]["p99_us"]
    assert any("hot-bar-1 poured Serrano Verde, 5.2 mL" in event["text"] for event in status["events"])
    assert not any("showed" in event["text"] for event in status["events"])


def test_the_token_is_nowhere(shop: Shop) -> None:
    for url in [*PATHS.values(), "/"]:
        assert TOKEN not in shop.get(url).text
    assert TOKEN not in shop.gateway.said()


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code", "where"),
    [
        ("/api/v1/events?limit=0", 422, "invalid-parameters", "query.limit"),
        ("/api/v1/events?limit=1001", 422, "invalid-parameters", "query.limit"),
        ("/api/v1/events?after=-1", 422, "invalid-parameters", "query.after"),
        ("/api/v1/events?after=jane-doe", 422, "invalid-parameters", "query.after"),
        ("/api/v1/events?after=9007199254740992", 422, "invalid-parameters", "query.after"),
        ("/api/v1/profiles/jane-doe", 400, "not-a-subject", "path.pseudonym"),
        ("/api/v1/profiles/p1-jane-doe", 400, "not-a-subject", "path.pseudonym"),
        (f"/api/v1/profiles/{STRANGER}", 404, "no-profile", None),
        ("/api/v1/picks", 422, "invalid-parameters", "query.dispenser"),
        ("/api/v1/picks?dispenser=jane-doe'--", 422, "invalid-parameters", "query.dispenser"),
        ("/api/v1/picks?dispenser=jane-doe", 404, "no-such-dispenser", None),
        ("/api/v1/picks?dispenser=hot-bar-1&subject=jane-doe", 400, "not-a-subject", "query.subject"),
        ("/jane-doe", 404, "no-such-path", None),
        ("/static/jane-doe", 404, "no-such-path", None),
        ("/static/../../../etc/passwd", 404, "no-such-path", None),
        ("/static/%2e%2e/server.py", 404, "no-such-path", None),
    ],
)
def test_an_error_says_what_where_and_what_to_do(
    shop: Shop, path: str, status: int, code: str, where: str | None
) -> None:
    answer = shop.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEMS)
    problem = answer.json()
    assert problem["type"] == f"urn:picante:problem:{code}"
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["hint"]
    assert [fault["where"] for fault in problem["errors"]] == ([where] if where else [])
    assert "jane" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(shop: Shop, method: str) -> None:
    answer = shop.client.request(method, "/api/v1/status")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == PROBLEMS


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "", "0.0.0.0"]
)
def test_a_foreign_host_is_answered_nothing(shop: Shop, host: str) -> None:
    for path in ("/", "/api/v1/status", "/static/live.js", "/healthz"):
        answer = shop.get(path, headers={"host": host})
        assert (answer.status_code, answer.headers["content-type"]) == (421, PROBLEMS)
        assert "hot-bar" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080"])
def test_a_tunnel_on_any_port_is_this_machine(shop: Shop, host: str) -> None:
    assert shop.get("/healthz", headers={"host": host}).is_success


def test_every_answer_keeps_to_itself(shop: Shop) -> None:
    kept = ("/static/app.css", "/static/live.js")
    for path in ("/", "/api/v1/status", "/metrics", "/nothing", "/api/v1/events?limit=0", *kept):
        headers = shop.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-cache" if path in kept else "no-store")
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


# -- commands -------------------------------------------------------------------------------------------------------


def test_a_commands_path_takes_a_command_alone(shop: Shop) -> None:
    answer = shop.get("/api/v1/uplink/adopt")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert shop.post("/api/v1/uplink/adopt", headers={"host": "evil.example"}).status_code == 421


def test_an_uplink_that_is_not_stopped_is_told_so(shop: Shop) -> None:
    answer = shop.post("/api/v1/uplink/adopt")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:picante:problem:not-stopped")
    assert answer.json()["hint"]
