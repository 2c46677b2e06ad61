"""A gateway is set up by a program: each step by the one-time code, and nothing once it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.access.access import Access, open_access
from gateway.access.lockout import FREE_TRIES, Lockout
from gateway.access.roles import Role
from gateway.config import load_draft
from gateway.web.entry import setup as setup_steps
from gateway.web.entry import setup_acts
from gateway.web.entry.alone import make_alone
from gateway.web.entry.bare import Entry
from gateway.web.entry.setup import Setup

CONFIG = """\
[gateway]
data_dir = "gateway"
region = "south"
"""
AT = "/api/v1/setup"


class Bare:
    """A gateway that nobody set up, and who asks it."""

    def __init__(self, directory: Path, access: Access) -> None:
        config, _ = load_draft(directory / "gateway.toml")
        self.access, self.restarted = access, asyncio.Event()
        page, _ = make_alone(Entry(access, config), Setup(access, config, self.restarted.set), frozenset)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://localhost")

    async def ask(self, method: str, path: str = "", body: object = None) -> tuple[int, Any]:
        """Status, and what was said; of a problem its kind."""
        answer = await self.client.request(method, AT + path, json=body)
        said = answer.json()
        return answer.status_code, said if answer.is_success else said["type"].rpartition(":")[2]


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Bare]:
    (tmp_path / "gateway.toml").write_text(CONFIG)
    with closing(open_access(tmp_path / "gateway")) as access:
        access.begin()
        made = Bare(tmp_path, access)
        async with made.client:
            yield made


async def test_from_the_code_to_the_start(bare: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_steps, "RESTART_S", 0.0)
    code = bare.access.code() or ""
    assert await bare.ask("GET") == (401, "code-needed")
    status, opened = await bare.ask("POST", "", {"code": code.lower().replace("-", " ")})
    assert status == 201
    assert opened["setup"]["next"] == "store"
    assert opened["setup"]["steps"][0]["fixed"] == ["region"]
    bare.client.headers["authorization"] = f"Bearer {opened['key']}"
    assert await bare.ask("PUT", "/kafka", {"bootstrap": None}) == (409, "not-yet")
    assert await bare.ask("POST", "/finish") == (409, "not-yet")
    named = {"store": "Mercado 12", "region": "", "id": "gw-7"}
    answer = await bare.client.put(f"{AT}/store", json=named)
    assert (answer.status_code, [fault["where"] for fault in answer.json()["errors"]]) == (422, ["body.store"])
    for step, said, comes in (
        ("store", named | {"store": "mercado-12"}, "time"),
        ("time", {"timezone": "Europe/Madrid"}, "technician"),
        ("technician", {"name": "Olga", "password": "smoke and honey"}, "kafka"),
        ("kafka", {}, "done"),
        ("technician", {"name": "Ona", "password": "smoke and honey"}, "done"),  # one may go back
        ("technician", {"name": "ona", "password": "smoke and oranges"}, "done"),  # and is still the same
        ("technician", {"name": "ONA ", "password": ""}, "done"),
    ):
        status, told = await bare.ask("PUT", f"/{step}", said)
        assert (status, told["next"]) == (200, comes)
    status, view = await bare.ask("GET")
    assert (status, view["next"]) == (200, "done")
    assert view["steps"][2] == {"name": "technician", "answered": True, "values": {"name": "Ona"}, "fixed": []}
    assert [person.name for person in bare.access.people.all() if person.role is Role.OWNER] == ["Ona"]
    assert {change.who for change in bare.access.audit.page(None, 9)} == {"Olga", "Ona"}

    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    there = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert (await bare.ask("POST", "/kafka/test", {"bootstrap": there}))[1]["answers"]
    server.close()
    assert not (await bare.ask("POST", "/kafka/test", {"bootstrap": there}))[1]["answers"]
    assert not (await bare.ask("POST", "/kafka/test", {"bootstrap": "no address"}))[1]["answers"]

    assert await bare.ask("POST", "/finish") == (202, {"starting": True})
    await asyncio.wait_for(bare.restarted.wait(), 20)
    assert 'id = "gw-7"' in (tmp_path / "gateway" / "setup.toml").read_text()
    for method, path in (("GET", ""), ("PUT", "/store"), ("POST", "/finish"), ("POST", "")):
        body = {"code": code} if (method, path) == ("POST", "") else named
        assert await bare.ask(method, path, body) == (409, "set-up"), "it never comes back by itself"
    bare.access.new_code()  # the console has it come back
    assert await bare.ask("GET") == (401, "code-needed"), "for whoever has the new code"


async def test_who_guesses_the_code_waits_and_whoever_has_the_key_goes_on(
    bare: Bare, caplog: pytest.LogCaptureFixture
) -> None:
    bare.access.lockout = Lockout(lambda: 0.0)  # no pause is over before it was looked at
    _, opened = await bare.ask("POST", "", {"code": bare.access.code()})
    said = [await bare.ask("POST", "", {"code": "BBBB-BBBB"}) for _ in range(FREE_TRIES + 1)]
    assert said == [(401, "wrong-code")] * FREE_TRIES + [(429, "paused")]
    assert await bare.ask("POST", "", {"code": bare.access.code()}) == (429, "paused")
    page = await bare.client.post("/setup", data={"code": bare.access.code()}, headers={"origin": "http://localhost"})
    assert (page.status_code, "Wait 2 seconds" in page.text) == (429, True)
    bare.client.headers["authorization"] = f"Bearer {opened['key']}"
    assert (await bare.ask("GET"))[0] == 200
    noted = [(change.who, change.via, change.route) for change in bare.access.audit.page(None, 9)]
    assert noted == [("somebody", "sign-in", "/setup")]
    assert caplog.text.count("a wrong setup code") == FREE_TRIES
    assert "BBBB" not in caplog.text
    bare.client.headers["authorization"] = f"Bearer {bare.access.code()}"
    assert await bare.ask("GET") == (401, "code-needed"), "the code is no key: it would be guessed without pauses"


async def test_no_more_than_a_few_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    async def refuse(host: str, port: int) -> None:
        tried.append((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", refuse)
    found, _ = await setup_acts.knock(",".join(f"kafka-{number}:9092" for number in range(1_000)))
    assert (found, len(tried)) == (False, setup_acts.MOST_SERVERS)
