"""Who is let in, from which page, how often: attacks on the daemon's doors."""

from __future__ import annotations

import asyncio
import dataclasses
import stat
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from fastapi import APIRouter, Request

from gateway.access.lockout import FREE_TRIES, Lockout
from gateway.access.roles import Role
from gateway.access.throttle import Throttle
from gateway.web import application, once
from gateway.web.entry import sign_in
from gateway.web.problems import Problem
from tests.access import NAMES, PASSWORD, console, let_in
from tests.gateway.web.conftest import Inside, inside_of
from tests.waiting import wait_until_async

SESSION = "__Host-picante"
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Counted:
    """What the path /api/v1/count did: it waits until it may go on."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.go_on = asyncio.Event()
        self.router = APIRouter()
        self.router.post("/api/v1/count")(self.count)

    async def count(self, request: Request, status: int = 200) -> dict[str, Any]:
        """Do it once more."""
        self.ids.append(once.once_id(request))
        await self.go_on.wait()
        if status >= 400:
            raise Problem(status, "counted", "it went wrong")
        return {"count": len(self.ids)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counted() -> Counted:
    return Counted()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory, counted: Counted) -> AsyncIterator[Inside]:
    """One daemon for all, with a path that counts; its socket's path is longer than a socket's may be."""
    deep = tmp_path_factory.mktemp("guard") / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "ROUTES", (*application.ROUTES, counted))
        async with inside_of(deep) as opened:
            yield opened


@pytest.fixture
def inside(daemon: Inside) -> Inside:
    """The daemon, which has forgotten what somebody tried before; who came in before is in."""
    access = daemon.state.access
    access.lockout, access.changes = Lockout(time.monotonic), Throttle(600, 10, time.monotonic)
    return dataclasses.replace(daemon, keys=let_in(access))


@pytest_asyncio.fixture(loop_scope="module")
async def anyone(inside: Inside) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who shows nothing."""
    async with httpx.AsyncClient(base_url=inside.client.base_url, timeout=20) as client:
        yield client


def cookie(inside: Inside, role: Role) -> dict[str, str]:
    return {"cookie": f"{SESSION}={inside.keys.cookies[role]}"}


def here(inside: Inside) -> dict[str, str]:
    """What a browser sends with a form of our own page."""
    return {"origin": str(inside.client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


# -- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/status", "/metrics", "/openapi.json", "/api/v1/me", "/api/v1/stream"])
async def test_programs_need_a_token(inside: Inside, anyone: httpx.AsyncClient, path: str) -> None:
    answer = await anyone.get(path)
    assert (answer.status_code, kind(answer)) == (401, "not-signed-in")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = await anyone.get(path, headers={"authorization": "Bearer picante_wrong"})
    assert (answer.status_code, kind(answer)) == (401, "bad-token")


async def test_pages_lead_to_the_sign_in_and_back(inside: Inside, anyone: httpx.AsyncClient) -> None:
    for path in ("/", "/dispensers?search=bar", "/nothing", "/kiosk/hot-bar-1"):
        answer = await anyone.get(path)
        assert answer.status_code == 303, path
        asked_by_script = await anyone.get(path, headers={"sec-fetch-mode": "cors"})
        assert (asked_by_script.status_code, kind(asked_by_script)) == (401, "not-signed-in"), path
    answer = await anyone.get("/dispensers?search=bar%20a&x=1")
    assert answer.headers["location"] == "/sign-in?next=/dispensers%3Fsearch%3Dbar%2520a%26x%3D1"
    form = {"name": "OLGA ", "password": PASSWORD, "next": "/dispensers?search=bar"}
    answer = await anyone.post("/sign-in", data=form, headers=here(inside))
    assert (answer.status_code, answer.headers["location"]) == (303, "/dispensers?search=bar")
    given = answer.headers["set-cookie"]
    assert given.startswith(f"{SESSION}=")
    for flag in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert flag in given
    assert "Domain" not in given


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "javascript:alert(1)", "/a\nb", "", "//["],
)
async def test_a_sign_in_leads_nowhere_else(path: str) -> None:
    assert sign_in.own_path(path) == "/"


@pytest.mark.parametrize(
    ("scope", "good", "bad"),
    [
        ("read", ["GET /api/v1/status"], ["POST /api/v1/uplink/adopt", "GET /api/v1/people"]),
        ("service", ["POST /api/v1/uplink/adopt"], ["GET /api/v1/people", "POST /api/v1/people"]),
        ("owner", ["GET /api/v1/people"], []),
        ("metrics", ["GET /metrics", "GET /healthz"], ["GET /api/v1/status", "GET /", "POST /metrics/x"]),
        ("kiosk:bar-1", ["GET /kiosk/bar-1"], ["GET /kiosk/bar-10", "GET /api/v1/status", "GET /kiosk/bar-2/live"]),
    ],
)
async def test_a_token_opens_its_scope(
    inside: Inside, anyone: httpx.AsyncClient, scope: str, good: list[str], bad: list[str]
) -> None:
    token = inside.state.access.tokens.add_now("a program", scope, "a test", None)
    headers = {"authorization": f"Bearer {token}"}
    for request in good:
        assert (await anyone.request(*request.split(), headers=headers)).status_code not in {401, 403}, request
    for request in bad:
        assert (await anyone.request(*request.split(), headers=headers)).status_code == 403, request
    [listed] = [each for each in inside.state.access.tokens.all() if each.name == "a program"]
    assert await inside.state.access.tokens.revoke(listed.id)
    assert (await anyone.get("/metrics", headers=headers)).status_code == 401


async def test_a_role_is_a_limit(inside: Inside, anyone: httpx.AsyncClient) -> None:
    adopt = "/api/v1/uplink/adopt"
    for role, status in ((Role.VIEWER, 403), (Role.TECHNICIAN, 409), (Role.OWNER, 409)):
        answer = await anyone.post(adopt, headers=cookie(inside, role) | here(inside))
        assert answer.status_code == status, role
    assert (await anyone.get("/api/v1/people", headers=cookie(inside, Role.TECHNICIAN))).status_code == 403
    # their own, everybody may change
    answer = await anyone.put(
        "/api/v1/me/language", json={"language": "es"}, headers=cookie(inside, Role.VIEWER) | here(inside)
    )
    assert answer.status_code == 204
    answer = await anyone.get("/people", headers=cookie(inside, Role.VIEWER))
    assert 'lang="es"' in answer.text
    assert "Olga" not in answer.text


async def test_the_console_is_whoever_may_open_its_socket(inside: Inside) -> None:
    path = inside.state.access.directory / "gateway.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with console(path.parent) as client:
        answer = await asyncio.to_thread(client.get, "/api/v1/me")
    assert (answer.json()["name"], answer.json()["role"]) == ("console", "owner")
    assert inside.state.access.people.get("console") is None


# -- from which page --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "origin": "OURS"},
    ],
)
async def test_another_page_changes_nothing(inside: Inside, anyone: httpx.AsyncClient, headers: dict[str, str]) -> None:
    ours = str(inside.client.base_url).rstrip("/")
    sent = {name: ours if value == "OURS" else value for name, value in headers.items()}
    for path in ("/api/v1/uplink/adopt", "/people/add", "/sign-out", "/sign-in", "/setup", "/language"):
        answer = await anyone.post(path, headers=cookie(inside, Role.OWNER) | sent)
        assert (answer.status_code, kind(answer)) == (403, "not-our-page"), path
    assert inside.state.access.sessions.find(inside.keys.cookies[Role.OWNER]) is not None


async def test_a_session_is_new_at_each_sign_in_and_ends_at_once(inside: Inside, anyone: httpx.AsyncClient) -> None:
    planted = {"cookie": f"{SESSION}=planted-by-somebody"}
    form = {"name": "Vera", "password": PASSWORD}
    answer = await anyone.post("/sign-in", data=form, headers=here(inside) | planted)
    fresh = answer.headers["set-cookie"].partition(";")[0]
    assert "planted" not in fresh
    assert (await anyone.get("/", headers={"cookie": fresh})).is_success
    assert (await anyone.get("/", headers=planted)).status_code == 303
    again = await anyone.post("/sign-in", data=form, headers=here(inside) | {"cookie": fresh})
    assert (await anyone.get("/", headers={"cookie": fresh})).status_code == 303  # the one before is over
    latest = {"cookie": again.headers["set-cookie"].partition(";")[0]}
    assert (await anyone.post("/sign-out", headers=here(inside) | latest)).status_code == 303
    assert (await anyone.get("/", headers=latest)).status_code == 303


# -- passwords --------------------------------------------------------------------------------------------------------


async def test_wrong_passwords_bring_pauses_for_the_account_but_not_for_the_console(
    inside: Inside, anyone: httpx.AsyncClient
) -> None:
    wrong = {"name": "Olga", "password": "wrong"}
    said = [
        (await anyone.post("/sign-in", data=wrong, headers=here(inside))).status_code for _ in range(FREE_TRIES + 2)
    ]
    assert said == [401] * FREE_TRIES + [429] * 2
    answer = await anyone.post("/sign-in", data={"name": "Olga", "password": PASSWORD}, headers=here(inside))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    with console(inside.state.access.directory) as client:
        assert (await asyncio.to_thread(client.get, "/api/v1/people")).is_success


async def test_somebody_unknown_costs_the_same_work(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, real = [], PasswordHasher.verify

    def verify(hasher: PasswordHasher, kept: str, password: str) -> bool:
        looked.append(threading.current_thread().name.startswith("passwords"))  # the loop has picks to show
        return real(hasher, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    for name in ("Olga", "nobody"):
        answer = await inside.client.post("/sign-in", data={"name": name, "password": "wrong"})
        assert (answer.status_code, "Name or password is wrong" in answer.text) == (401, True)
    assert looked == [True, True]


# -- once -------------------------------------------------------------------------------------------------------------


async def test_a_second_tap_gets_the_first_ones_answer(inside: Inside, counted: Counted) -> None:
    done, go_on = counted.ids, counted.go_on
    first = asyncio.create_task(inside.client.post("/api/v1/count?once=k1"))
    await wait_until_async(lambda: done, 5, "the first runs")
    second = asyncio.create_task(inside.client.post("/api/v1/count?once=k1"))  # while the first runs
    third = asyncio.create_task(inside.client.post("/api/v1/count", headers={"idempotency-key": "k2"}))
    await wait_until_async(lambda: len(done) == 2, 5, "another key runs")
    go_on.set()
    answers = [(await each).json()["count"] for each in (first, second)]
    assert answers == [2, 2]
    assert (await third).json() == {"count": 2}
    assert len(set(done)) == 2
    again = await inside.client.post("/api/v1/count?once=k1")
    assert (again.json(), len(done)) == ({"count": 2}, 2)
    other = await inside.client.post("/api/v1/uplink/adopt?once=k1")
    assert (other.status_code, kind(other)) == (422, "once-key-reused")
    rows = [change for change in inside.state.access.audit.page(None, 10) if change.route == "/api/v1/count"]
    assert [(row.who, row.via) for row in rows] == [("tests", "token")] * 2


async def test_what_went_wrong_may_be_tried_again(inside: Inside, counted: Counted) -> None:
    counted.go_on.set()
    assert (await inside.client.post("/api/v1/count?status=409&once=k9")).status_code == 409
    assert (await inside.client.post("/api/v1/count?once=k9")).status_code == 200
    assert counted.ids[-2] == counted.ids[-1]  # the same id: whoever was told it once already does it once


async def test_who_asks_without_end_is_told_to_wait(
    inside: Inside, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside.state.access, "changes", Throttle(2, 0.5, time.monotonic))
    adopt, mine = "/api/v1/uplink/adopt", cookie(inside, Role.OWNER) | here(inside)
    said = [(await anyone.post(adopt, headers=mine)).status_code for _ in range(3)]
    assert said == [409, 409, 429]
    refused = await anyone.post(adopt, headers=mine)
    assert (kind(refused), refused.headers["retry-after"]) == ("too-many-requests", "2")
    assert (await anyone.get("/", headers=mine)).is_success  # to read costs nothing
    assert (await anyone.post(adopt, headers=cookie(inside, Role.TECHNICIAN) | here(inside))).status_code == 409
    with console(inside.state.access.directory) as client:
        assert [(await asyncio.to_thread(client.post, adopt)).status_code for _ in range(4)] == [409] * 4

    monkeypatch.setattr(inside.state.access, "strangers", Throttle(2, 0.5, time.monotonic))
    said = [(await anyone.get(path)).status_code for path in ("/sign-in", "/sign-in?next=/x", "/setup", "/sign-in")]
    assert said == [200, 200, 429, 429]
    assert (await anyone.get("/healthz")).is_success
    assert (await anyone.get("/sign-in", headers=mine)).status_code == 303


async def test_somebody_with_a_slash_in_their_name_is_found_by_it(inside: Inside) -> None:
    told = {"name": "Ada/Bo", "password": PASSWORD, "role": "viewer"}
    assert (await inside.client.post("/api/v1/people", json=told)).status_code == 201
    for path in ("/api/v1/people/ada%2Fbo", "/api/v1/people/Ada/Bo"):
        answer = await inside.client.put(f"{path}/role", json={"role": "technician"})
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada/Bo")
        assert (await inside.client.put(f"{path}/password", json={"password": PASSWORD})).status_code == 204
    assert (await inside.client.delete("/api/v1/people/Ada%2FBo")).status_code == 204
    assert inside.state.access.people.get("Ada/Bo") is None


async def test_every_change_is_in_the_audit_log(inside: Inside) -> None:
    made = {"name": "Nuria", "password": "smoke and honey", "role": "viewer"}
    assert (await inside.client.post("/api/v1/people", json=made)).status_code == 201
    refused = await inside.client.post("/api/v1/people", json=made)
    assert refused.status_code == 400
    changes = (await inside.client.get("/api/v1/audit?text=nuria")).json()["changes"]
    assert [(change["who"], change["words"]) for change in changes] == [("tests", "Nuria may come in as viewer")]
    assert "smoke" not in str(changes)
    assert NAMES[Role.OWNER] == "Olga"


async def test_a_browser_that_is_refused_gets_a_page(
    inside: Inside, anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = here(inside) | {"accept": "text/html,*/*;q=0.8", "referer": f"{anyone.base_url}people"}
    signed_in = browser | cookie(inside, Role.OWNER)
    form = {"name": "Nuria", "password": "smoke and honey", "role": "viewer"}
    monkeypatch.setattr(inside.state.access, "changes", Throttle(0, 0.5, time.monotonic))
    refused = await anyone.post("/people/add?once=k1", data=form, headers=signed_in)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    for words in ("<h1>This was asked too often</h1>", "Wait 2 seconds", 'href="/people"', 'class="menu"'):
        assert words in refused.text, words
    assert "smoke" not in refused.text
    told = await anyone.post("/people/add", data=form, headers=signed_in | {"accept-language": "de"})
    assert "2 Sekunden" in told.text
    assert kind(await anyone.post("/api/v1/uplink/adopt", headers=signed_in)) == "too-many-requests"  # not there

    missing = await anyone.get("/dispensers/nobody", headers=signed_in)
    assert (missing.status_code, 'aria-current="true"' in missing.text) == (404, True)
    monkeypatch.setattr(inside.state.access, "strangers", Throttle(0, 0.5, time.monotonic))
    refused = await anyone.get("/sign-in", headers=browser)
    assert (refused.status_code, "Wait 2 seconds" in refused.text, "<nav" in refused.text) == (429, True, False)
