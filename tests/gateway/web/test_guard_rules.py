"""The guard's rules, each alone: a browser or a program asks, and behind the guard a path that says who came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from fastapi import Request
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.access import LOCKOUTS_AT_ONCE, Access, open_access
from gateway.access.lockout import FREE_TRIES, Lockout
from gateway.access.passwords import WAITING
from gateway.access.roles import Role
from gateway.web.cookies import KIOSK, SESSION
from gateway.web.entry import acts, sign_in
from gateway.web.entry.refused import _back
from gateway.web.entry.wrong import note_wrong
from gateway.web.etags import etag_of
from gateway.web.guard import HEADERS, MAX_BODY_BYTES, Guard
from gateway.web.once import SECRET
from gateway.web.problems import Problem
from gateway.web.stream import may_look_on
from gateway.web.web import Web
from gateway.web.who import Who
from tests.access import PASSWORD, Keys, let_in

SECURE, CLEAR = "https://gw-1.local", "http://gw-1.local"
OURS = {"origin": SECURE, "sec-fetch-site": "same-origin"}


@pytest.fixture
def access(tmp_path: Path) -> Iterator[Access]:
    with closing(open_access(tmp_path)) as opened:
        yield opened


@pytest.fixture
def keys(access: Access) -> Keys:
    return let_in(access)


@pytest.fixture
async def client(access: Access, keys: Keys) -> AsyncIterator[httpx.AsyncClient]:
    """Asks for what lies behind the guard."""
    done = 0

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        """Says how often it was asked, and by whom."""
        nonlocal done
        done += 1
        who: Who | None = scope.get("picante.who")
        body = json.dumps({"who": None if who is None else who.name, "done": done}).encode()
        if scope["path"].endswith("/secret"):
            scope[SECRET] = True
        headers = [(b"cache-control", b"no-cache")] if scope["path"].startswith("/static") else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    guard = cast("ASGIApp", Guard(behind, access, lambda: {"gw-1.local"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=SECURE) as opened:
        yield opened


def signed_in(keys: Keys, role: Role = Role.OWNER) -> dict[str, str]:
    return {"cookie": f"{SESSION}={keys.cookies[role]}"}


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/sign-in", "/static/app.css", "/healthz"])
async def test_whatever_is_answered_keeps_to_itself(client: httpx.AsyncClient, path: str) -> None:
    for answer in (await client.get(path), await client.get(path, headers={"host": "evil.example"})):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        kept = path.startswith("/static") and answer.is_success
        assert answer.headers["cache-control"] == ("no-cache" if kept else "no-store")
    policy = HEADERS["content-security-policy"].split("; ")
    assert {"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= set(policy)


async def test_a_kiosks_cookie_opens_its_kiosk_and_no_other_token_is_a_cookie(
    client: httpx.AsyncClient, access: Access
) -> None:
    secrets = {scope: access.tokens.add_now(scope, scope, "a test", None) for scope in ("kiosk:bar-1", "owner")}
    for scope, path, status in (
        ("kiosk:bar-1", "/kiosk/bar-1", 200),
        ("kiosk:bar-1", "/api/v1/kiosk/bar-1/live", 200),
        ("kiosk:bar-1", "/api/v1/kiosk/bar-10", 401),
        ("kiosk:bar-1", "/api/v1/kiosk/bar-1x/live", 401),
        ("kiosk:bar-1", "/api/v1/people", 401),
        ("owner", "/api/v1/people", 401),  # a cookie comes by itself, a program's token must not
        ("owner", "/api/v1/kiosk/bar-1", 401),
    ):
        answer = await client.get(path, headers={"cookie": f"{KIOSK}={secrets[scope]}"})
        assert answer.status_code == status, (scope, path)
    assert access.audit.page(None, 9) == []


async def test_presses_of_customers_are_no_changes_and_those_of_people_are(
    client: httpx.AsyncClient, access: Access, keys: Keys
) -> None:
    kiosk = access.tokens.add_now("a kiosk", "kiosk:bar-1", "a test", None)
    for headers in ({"cookie": f"{KIOSK}={kiosk}"}, signed_in(keys)):
        assert (await client.post("/api/v1/kiosk/bar-1/visits/x/stay", headers=OURS | headers)).is_success
    assert [change.who for change in access.audit.page(None, 9)] == ["Olga"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [(SECURE, 200), (CLEAR, 403), ("https://gw-1.local.evil.example", 403), ("http://[", 403), ("null", 403)],
)
async def test_the_page_in_clear_has_our_name_and_is_not_ours(
    client: httpx.AsyncClient, keys: Keys, origin: str, status: int
) -> None:
    answer = await client.post("/people/add", headers=signed_in(keys) | {"origin": origin})  # no Sec-Fetch-Site
    assert answer.status_code == status


async def test_a_body_is_short_and_its_length_is_told(client: httpx.AsyncClient, keys: Keys) -> None:
    read = []

    async def pieces() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    headers = signed_in(keys) | OURS
    for content, status in ((b"x" * MAX_BODY_BYTES, 200), (b"x" * (MAX_BODY_BYTES + 1), 413), (pieces(), 413)):
        assert (await client.post("/people/add", headers=headers, content=content)).status_code == status
    for key in ({}, {"idempotency-key": "an upload"}):
        assert (await client.put("/api/v1/system/restore", headers=headers | key, content=pieces())).is_success
    assert read == [], "a file of any size is read by its route alone"


async def test_a_key_is_its_senders_and_a_secret_is_not_kept(
    client: httpx.AsyncClient, access: Access, keys: Keys
) -> None:
    def told(answer: httpx.Response) -> tuple[str, int]:
        found = answer.raise_for_status().json()
        return found["who"], found["done"]

    other = access.tokens.add_now("tests", "owner", "a test", None)  # of the same name as the first
    senders = [signed_in(keys), signed_in(keys, Role.TECHNICIAN), keys.headers, {"authorization": f"Bearer {other}"}]
    firsts = [told(await client.post("/x?once=k", headers=OURS | sender)) for sender in senders]
    assert firsts == [("Olga", 1), ("Tomás", 2), ("tests", 3), ("tests", 4)]
    assert [told(await client.post("/x?once=k", headers=OURS | sender)) for sender in senders] == firsts
    again = access.sessions.begin_now("Olga", "::1", "a tablet")  # whoever signs in anew meanwhile is the same person
    assert told(await client.post("/x?once=k", headers=OURS | {"cookie": f"{SESSION}={again}"})) == firsts[0]
    for done in (5, 6):
        assert told(await client.post("/secret?once=s", headers=OURS | senders[0]))[1] == done
    assert [change.route for change in access.audit.page(None, 9)] == ["/secret"] * 2 + ["/x"] * 4
    said = [await client.post("/x?once=b", headers=OURS | senders[0], content=body) for body in ("1", "1", "2")]
    assert [answer.status_code for answer in said] == [200, 200, 422], "what was not done does not look done"
    assert said[0].content == said[1].content


async def test_a_packed_answer_is_given_again_as_packed(access: Access, keys: Keys) -> None:
    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("sauce " * 1_000)(scope, receive, send)

    packing = GZipMiddleware(behind, minimum_size=1_000)
    guard = cast("ASGIApp", Guard(packing, access, lambda: {"gw-1.local"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=SECURE) as client:
        answers = [await client.post("/x?once=k", headers=OURS | signed_in(keys)) for _ in range(2)]
    assert [answer.text for answer in answers] == ["sauce " * 1_000] * 2
    assert answers[1].headers["content-encoding"] == "gzip"


async def test_a_program_called_like_somebody_is_not_them(access: Access, keys: Keys) -> None:
    program = Who("Olga", Role.TECHNICIAN, "token", "id", scope="service")
    kiosk = Who("Olga", Role.VIEWER, "session", "id", scope="kiosk:bar-1")
    request = cast("Request", SimpleNamespace(client=None, scope={}))
    [session] = access.sessions.of("Olga")
    for who in (program, kiosk):
        with pytest.raises(Problem, match="may not do this"):
            await acts.end_session(request, access, who, session.id)
        with pytest.raises(Problem, match="has no password"):
            await acts.change_own_password(request, access, who, "three hot words", "smoke and honey")
    assert access.sessions.find(keys.cookies[Role.OWNER]) is not None


async def test_own_sessions_are_ended_and_others_are_not(access: Access, keys: Keys) -> None:
    request = cast("Request", SimpleNamespace(client=None, scope={}))
    who = Who("Tomás", Role.TECHNICIAN, "session", "id")
    [others], [own] = access.sessions.of("Olga"), access.sessions.of("Tomás")
    with pytest.raises(Problem, match="may not do this"):
        await acts.end_session(request, access, who, others.id)
    await acts.end_session(request, access, who, own.id)
    assert access.sessions.find(keys.cookies[Role.TECHNICIAN]) is None
    with pytest.raises(Problem, match="no such session"):
        await acts.end_session(request, access, who, own.id)


async def test_ones_own_password_takes_the_one_before_and_a_role_what_was_seen(access: Access, keys: Keys) -> None:
    request = cast("Request", SimpleNamespace(client=None, scope={}))
    who = Who("Vera", Role.VIEWER, "session", "id")
    with pytest.raises(Problem, match="not the password so far"):
        await acts.change_own_password(request, access, who, "wrong", "smoke and honey")
    assert access.sessions.find(keys.cookies[Role.VIEWER]) is not None
    with pytest.raises(Problem) as changed:
        olga = Who("Olga", Role.OWNER, "session", "id")
        await acts.change_role(request, access, olga, "Vera", Role.OWNER, "of what was before")
    assert changed.value.details.status == 412


async def test_of_two_changes_at_one_moment_the_later_is_refused(access: Access, keys: Keys) -> None:
    request = cast("Request", SimpleNamespace(client=None, scope={}))
    await access.people.set_role("Tomás", Role.OWNER)
    access.people.add_now("Ona", "kept", Role.OWNER, 0)
    olga, tomas = (Who(name, Role.OWNER, "session", name) for name in ("Olga", "Tomás"))

    async def both(first: Awaitable[None], second: Awaitable[None]) -> list[int]:
        found = await asyncio.gather(first, second, return_exceptions=True)
        return sorted(error.details.status if isinstance(error, Problem) else 0 for error in found)

    assert await both(
        acts.change_role(request, access, olga, "Tomás", Role.VIEWER, None),
        acts.change_role(request, access, tomas, "Olga", Role.VIEWER, None),
    ) == [0, 403], "who is no owner any more demotes nobody"
    await access.people.set_role("Olga", Role.OWNER)
    await access.people.set_role("Tomás", Role.OWNER)
    seen = etag_of(acts.role_tag(acts.the_person(access, "Vera")))
    assert await both(
        acts.change_role(request, access, olga, "Vera", Role.TECHNICIAN, seen),
        acts.change_role(request, access, tomas, "Vera", Role.OWNER, seen),
    ) == [0, 412], "the later one has seen what is no more"
    assert await both(acts.remove(request, access, olga, "Tomás"), acts.remove(request, access, tomas, "Olga")) == [
        0,
        403,
    ]


async def test_wrong_tries_are_in_the_log_and_lock_outs_in_the_audit_log(
    access: Access,
    keys: Keys,
    caplog: pytest.LogCaptureFixture,
) -> None:
    access.lockout = Lockout(lambda: 0.0)  # no pause is over before it was looked at
    for _ in range(FREE_TRIES - 1):
        await sign_in.check(access, "olga", "my own secret", "2001:db8:1:2::7")
    assert access.audit.page(None, 9) == []
    await sign_in.check(access, "olga", "my own secret", "2001:db8:1:2:ffff::8")
    for number in range(FREE_TRIES):  # typed into the wrong field
        await sign_in.check(access, f"my {number}. secret", "my own secret", "192.168.1.7")
    with pytest.raises(sign_in.Paused):
        await sign_in.check(access, "Vera", PASSWORD, "2001:db8:1:2::9")
    assert await sign_in.check(access, "Vera", PASSWORD, "2001:db8:1:3::9") == "Vera", "another network"
    noted = [(change.who, change.via, change.route) for change in access.audit.page(None, 9)]
    assert noted == [("somebody", "sign-in", "/sign-in"), ("Olga", "sign-in", "/sign-in")]
    assert "for 2 s" in access.audit.page(None, 9)[1].words
    assert caplog.text.count("a wrong password for Olga, from 2001:db8:1:2::7") == FREE_TRIES - 1
    assert caplog.text.count("is locked out for") == 2
    told = caplog.text + str(access.audit.page(None, 9))
    assert "secret" not in told


async def test_a_guesser_does_not_fill_the_audit_log(access: Access) -> None:
    for number in range(200):
        await note_wrong(access, "password", None, f"10.0.0.{number}", ["k"])
        access.lockout.failed(["k"])
    assert len(access.audit.page(None, 1_000)) == LOCKOUTS_AT_ONCE


async def test_a_place_pauses_whatever_names_are_tried_and_who_finds_it_full_has_tried_nothing(access: Access) -> None:
    access.passwords._waiting = WAITING
    for _ in range(9):
        with pytest.raises(sign_in.Paused):
            await sign_in.check(access, "Olga", "wrong", "10.0.0.9")
    access.passwords._waiting = 0
    for number in range(5):
        assert await sign_in.check(access, f"nobody-{number}", "wrong", "10.0.0.9") is None
    with pytest.raises(sign_in.Paused):
        await sign_in.check(access, "Olga", "wrong", "10.0.0.9")
    assert await sign_in.check(access, "Olga", "wrong", "10.0.0.8") is None


async def test_who_was_let_in_may_look_on_for_as_long_as_they_may_the_same(access: Access, keys: Keys) -> None:
    web = cast("Web", SimpleNamespace(access=access))
    [session] = access.sessions.of("Olga")
    [token] = access.tokens.all()
    olga = Who("Olga", Role.OWNER, "session", session.id)
    program = Who(token.name, Role.OWNER, "token", token.id, scope="owner")
    assert [may_look_on(web, who) for who in (olga, program)] == [True, True]
    await access.people.set_role("Vera", Role.OWNER)
    await access.people.set_role("Olga", Role.TECHNICIAN)
    await access.tokens.revoke(token.id)
    assert [may_look_on(web, who) for who in (olga, program)] == [False, False]


@pytest.mark.parametrize(
    ("referer", "path"),
    [
        (f"{SECURE}/people?x=1#y", "/people"),
        ("", "/"),
        ("https://evil.example/people", "/"),
        (f"{SECURE}//evil.example", "/"),
        ("http://[", "/"),
        (f"{SECURE}/here", "/"),
    ],
)
def test_the_way_back_from_a_refusal_is_our_own(referer: str, path: str) -> None:
    headers = [(b"host", b"gw-1.local"), (b"referer", referer.encode())]
    scope = {"type": "http", "method": "GET", "path": "/here", "query_string": b"", "headers": headers}
    assert _back(Request(scope)) == path
