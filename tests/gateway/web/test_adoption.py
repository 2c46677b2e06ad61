"""The technician's requests over HTTP: what they change, what is refused, who may not ask, and what is never said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link import Link
from firmware_bridge.session import Terms
from gateway.access.roles import Role
from gateway.assembly import assemble, given_keys
from gateway.check import check
from gateway.config import KeysSection
from gateway.keyring import FILE
from gateway.strangers import REMEMBERED
from gateway.web import reads
from gateway.web.guard import MAX_BODY_BYTES
from heat.errors import ConfigError
from tests.gateway.adopting import hello
from tests.gateway.web.conftest import Down, Inside, inside_of
from tests.waiting import wait_until_async

KEY = "1f" * 32
BAR = "/api/v1/dispensers/bar-7"


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside_of(tmp_path) as opened:
        yield opened


def comes(inside: Inside, name: str = "bar-7", **changes: object) -> None:
    """A dispenser without a key says HELLO."""
    inside.link.receive(hello(name, **changes), 0)


async def ask(inside: Inside, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    answer = await inside.client.request(method, path, json=body)
    content: dict[str, Any] = answer.json()
    assert KEY not in answer.text
    return answer.status_code, content


async def test_one_that_waits_is_shown_and_adopted(inside: Inside) -> None:
    comes(inside, hardware="PD-8 no. 7")
    _, view = await ask(inside, "GET", BAR)
    assert (view["adopted"], view["online"], view["hardware"]) == (False, False, "PD-8 no. 7")
    assert view["waiting"]["do"] == "picante dispensers adopt bar-7"
    assert [nozzle["sauce"] for nozzle in view["nozzles"]] == ["table-red", "mango-fresno"]
    repair = await inside.repair("dispenser_unadopted")
    assert repair["what"] == "bar-7 on ttyUSB0 waits to be adopted: it has no key"
    assert "waits to be adopted: it has no key" in (await inside.client.get("/")).text
    status, problem = await ask(inside, "GET", f"{BAR}/samples?channel=level")
    assert (status, problem["hint"]) == (404, "picante dispensers adopt bar-7")
    assert problem["detail"] == "it is not let in yet, so no reading of it is kept: it has no key"
    body = {"name": "Bar, left", "planogram": {"2": "reaper-raw"}}
    status, view = await ask(inside, "POST", f"{BAR}/adopt", body)
    assert (status, view["label"], view["adopted"]) == (200, "Bar, left", True)
    assert [nozzle["planned"] for nozzle in view["nozzles"]] == [None, "reaper-raw"]
    assert "gets its key at its next HELLO" in view["waiting"]["why"]
    assert "picante_dispensers_waiting 1.0" in (await inside.client.get("/metrics")).text


async def test_where_others_may_hear_no_key_is_told(inside: Inside) -> None:
    def says_hello() -> None:
        gate = inside.state.dispensers
        Link("mqtt:bar-7", Down(), gate, gate, terms=Terms(private=False)).receive(hello("bar-7"), 0)

    says_hello()
    assert (await ask(inside, "POST", f"{BAR}/adopt"))[0] == 200
    says_hello()
    _, view = await ask(inside, "GET", BAR)
    assert view["waiting"]["why"] == "it is adopted, and a key is not told on a line that others may hear"
    assert inside.state.dispensers.keyring.to_provision("bar-7") is not None
    comes(inside)
    assert (await ask(inside, "GET", BAR))[1]["waiting"]["times"] == 2, "by a cable it is told, and not turned away"


async def test_who_waits_is_told_nothing_and_who_is_adopted_is_when_it_comes(inside: Inside) -> None:
    told = {"verb": "identify"}
    status, problem = await ask(inside, "POST", f"{BAR}/commands", told)
    assert (status, problem["detail"]) == (404, "no dispenser of this name was ever here")
    comes(inside)
    status, problem = await ask(inside, "POST", f"{BAR}/commands", told)
    assert (status, problem["type"]) == (404, "urn:picante:problem:not-adopted")
    assert (problem["detail"], problem["hint"]) == (
        "bar-7 waits to be adopted: it has no key",
        "picante dispensers adopt bar-7",
    )
    assert (await ask(inside, "POST", f"{BAR}/adopt"))[0] == 200
    status, command = await ask(inside, "POST", f"{BAR}/commands", told)
    assert (status, command["state"]) == (202, "queued")
    assert (await ask(inside, "POST", "/api/v1/dispensers/bar-8/adopt", {"key": KEY}))[0] == 200
    assert (await ask(inside, "POST", "/api/v1/dispensers/bar-8/commands", told))[0] == 202, "though it never came"


async def test_a_keys_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    async with inside_of(tmp_path) as inside:
        config = inside.state.config
        keys = config.path(config.keys.dispensers)
        keys.unlink()
        with pytest.raises(ConfigError, match="where all dispensers are adopted, take that line out"):
            given_keys(config.model_copy(update={"keys": KeysSection(dispensers=str(keys))}))
        assert given_keys(config.model_copy(update={"keys": KeysSection()})) == {}, "it is not named"


async def test_one_that_was_adopted_and_never_came_is_missed(tmp_path: Path) -> None:
    provisioned = tmp_path / "provisioning.toml"
    provisioned.touch(0o600)
    provisioned.write_text('[dispensers.bar-3]\nname = "Hall"\n')
    async with inside_of(tmp_path, keys_too='provisioning = "provisioning.toml"') as inside:
        inside.state.started_s -= 60
        repair = await inside.repair("dispenser_offline")
        assert repair["what"] == "Hall (bar-3) is offline"
        assert "never been here" in " ".join(repair["steps"])
        assert (await ask(inside, "DELETE", "/api/v1/dispensers/bar-3"))[1]["provisioned"] is True
        provisioned.write_text("[dispensers.bar-3]\nnaem = 1\n")
        provisioning = inside.state.provisioning
        assert provisioning is not None
        await provisioning.look()
        repair = await inside.repair("provisioning_invalid")
        assert ":2: dispensers.bar-3: unknown key 'naem'" in repair["what"]
        assert repair["steps"][0] == "Did you mean name?"
    with pytest.raises(ConfigError, match="naem"):
        await check(inside.state.config)
    with pytest.raises(ConfigError, match="naem"):
        async with assemble(inside.state.config):
            pass


async def test_since_when_one_is_away_outlives_a_restart(tmp_path: Path) -> None:
    path = "/api/v1/dispensers/hot-bar-1"
    async with inside_of(tmp_path) as inside:
        gate = inside.state.dispensers
        inside.hello()
        link = gate.known["hot-bar-1"].link
        assert link is not None
        link.close("silent")
        lost = datetime.fromisoformat((await ask(inside, "GET", path))[1]["since"])
    async with inside_of(tmp_path) as inside:
        told = datetime.fromisoformat((await ask(inside, "GET", path))[1]["since"])
        assert abs((told - lost).total_seconds()) < 0.1
        assert lost.timestamp() < inside.state.started
        inside.hello()
        await wait_until_async(lambda: not reads.dispensers(inside.state.reader)[0].lost_ms, 10, "it is back")
    async with inside_of(tmp_path) as inside:  # nobody saw its link end
        told = datetime.fromisoformat((await ask(inside, "GET", path))[1]["since"])
        assert abs(told.timestamp() - inside.state.started) < 0.1


async def test_the_page_tells_of_a_few_and_counts_the_others(inside: Inside) -> None:
    gate = inside.state.dispensers
    for number in range(REMEMBERED + 6):
        Link(f"/dev/ttyUSB{number}", Down(), gate, gate).receive(hello(f"bar-{number}"), 0)
    await inside.look()
    repairs: list[dict[str, Any]] = (await inside.json("/api/v1/repairs"))["repairs"]
    assert sum(repair["code"] == "dispenser_unadopted" for repair in repairs) == 8
    assert [repair["what"] for repair in repairs if repair["code"] == "dispensers_wait"] == [
        f"{REMEMBERED - 8} more dispensers wait to be let in"
    ]
    assert "picante_dispensers_waiting_dropped_total 6.0" in (await inside.client.get("/metrics")).text


async def test_a_key_that_is_given_is_kept_and_never_said(inside: Inside, tmp_path: Path) -> None:
    comes(inside, key_id=b"abcd")
    status, problem = await ask(inside, "POST", f"{BAR}/adopt")
    assert (status, problem["type"]) == (409, "urn:picante:problem:needs-its-key")
    status, _ = await ask(inside, "POST", f"{BAR}/adopt", {"key": KEY})
    assert status == 200
    assert KEY in (tmp_path / "gateway" / FILE).read_text()
    comes(inside, key_id=b"abcd")
    repair = await inside.repair("dispenser_turned_away")
    assert "its key is not the one that is known here" in repair["what"]
    assert (await ask(inside, "DELETE", BAR))[1] == {"name": "bar-7", "provisioned": False, "given": False}
    assert KEY not in (tmp_path / "gateway" / FILE).read_text()
    assert (await ask(inside, "GET", BAR))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/adopt", {"key": KEY + "0"}, 422, "64 hex digits"),
        ("POST", "/adopt", {"key": {"hex": KEY}}, 422, "body.key"),
        ("POST", "/adopt", {"secret": KEY}, 422, "body.secret"),
        ("POST", "/adopt", {"planogram": {"1": "tabel-red"}}, 400, "Did you mean table-red?"),
        ("PUT", "/name", {"name": " "}, 400, "can't be a name"),
        ("PUT", "/name", {}, 422, "body.name"),
        ("PUT", "/planogram", {"planogram": {"7": "table-red"}}, 400, "It has 1, 2"),
        ("PUT", "/planogram", {"planogram": {"one": "table-red"}}, 422, "planogram"),
        ("PUT", "/planogram", {"planogram": {}}, 422, "planogram"),
        ("POST", "/rotate-key", None, 409, "Adopt it"),
    ],
)
async def test_what_is_refused(inside: Inside, method: str, path: str, body: object, status: int, words: str) -> None:
    comes(inside)
    got, problem = await ask(inside, method, BAR + path, body)
    assert (got, words in problem["detail"] + problem["hint"]) == (status, True), problem
    assert not inside.state.dispensers.keyring.is_adopted("bar-7")


@pytest.mark.parametrize(("method", "path"), [("POST", "/adopt"), ("PUT", "/name"), ("DELETE", "")])
async def test_a_page_can_t_ask(inside: Inside, method: str, path: str) -> None:
    comes(inside)
    del inside.client.headers["authorization"]
    headers = {"Origin": "http://localhost", "Cookie": f"__Host-picante={inside.keys.cookies[Role.OWNER]}"}
    answer = await inside.client.request(method, BAR + path, json={"name": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:picante:problem:not-our-page")
    inside.client.headers.update(inside.keys.headers)
    answer = await inside.client.request("PATCH", BAR + path, json={})
    assert answer.status_code == 405
    assert method in answer.headers["allow"]


async def test_a_body_has_a_bound_and_says_its_length(inside: Inside) -> None:
    comes(inside)
    answer = await inside.client.post(f"{BAR}/adopt", content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    assert (await inside.client.post(f"{BAR}/adopt", content=pieces())).status_code == 413
