"""A customer opts out at a shop that has no way to Kafka: by the API and the command, and over a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gateway.access.roles import Role
from heat.identity import pseudonym
from picante.cli import main
from tests.gateway.web.conftest import PSEUDONYM_KEY, Shop, open_shop
from tests.servers import free_port
from tests.waiting import wait_until

TOKEN = "loyalty-0815-ann"
CUSTOMER = pseudonym(TOKEN, PSEUDONYM_KEY, 1)
SESSION = "s-hot-bar-1-00000001-1"


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose Kafka nobody reaches."""
    kafka = f'\n[kafka]\nbootstrap = "127.0.0.1:{free_port()}"\n'
    with open_shop(tmp_path_factory.mktemp("offline"), kafka) as shop:
        yield shop


def put(shop: Shop, subject: str, body: object) -> httpx.Response:
    return shop.put(f"/api/v1/profiles/{subject}/consent", body)


def command(shop: Shop, *arguments: str) -> tuple[int, str]:
    config = str(shop.directory / "gateway.toml")
    result = CliRunner().invoke(main, ["gateway", "consent", "--config", config, *arguments])
    return result.exit_code, result.output


def mentions(database: Path, text: str) -> list[str]:
    """The tables that have a row with this text, once for each row."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = [(table, row) for table in tables for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608
    cells = [(table, [_text(cell) for cell in row]) for table, row in rows]
    return sorted(table for table, texts in cells if any(text in cell for cell in texts))


def _text(cell: object) -> str:
    return cell.decode("latin-1") if isinstance(cell, bytes) else str(cell)


def test_opted_out_offline_and_after_a_restart(offline: Shop) -> None:
    before = [pick["sauce"] for pick in offline.json("/api/v1/picks?dispenser=hot-bar-1")["picks"]]
    assert put(offline, CUSTOMER, {"consent": "none"}).json() == {"subject": CUSTOMER, "consent": "none"}
    offline.visit(token=TOKEN, word="scorching", pour="reaper-raw", volume_ul=3000, rate="just_right")
    offline.gateway.stop()
    offline.start_gateway()
    offline.visit(token=TOKEN, pour="reaper-raw", volume_ul=3000, rate="more")
    events = offline.json("/api/v1/events?limit=1000")["events"]
    of_customers = [event for event in events if event["type"] in {"picante.poured.v1", "picante.rated.v1"}]
    assert len(of_customers) >= 3
    impressions = [event for event in events if event["type"] == "picante.impression.v1"]
    assert len(impressions) == 2
    for event in of_customers + impressions:
        assert event.get("subject") is None
        assert event["data"]["consent"] == "none"
    assert {impression["data"]["known"]["evidence"] for impression in impressions} == {0}
    assert offline.get(f"/api/v1/profiles/{CUSTOMER}").status_code == 404
    after = offline.json(f"/api/v1/picks?dispenser=hot-bar-1&subject={CUSTOMER}")["picks"]
    assert [pick["sauce"] for pick in after] == before
    # what the files hold once they are closed: that the customer opted out, and nothing else of them
    offline.gateway.stop()
    database = offline.directory / "gateway" / "gateway.db"
    assert mentions(database, CUSTOMER) == ["consents", "events"]
    assert mentions(database, TOKEN) == []
    assert all(TOKEN.encode() not in path.read_bytes() for path in database.parent.glob("gateway.db*"))
    offline.start_gateway()


def test_the_command_says_the_same(offline: Shop) -> None:
    other = pseudonym("loyalty-2", PSEUDONYM_KEY, 1)
    offline.visit(token="loyalty-2")
    assert other in offline.get("/api/v1/status").text
    assert command(offline, other) == (0, f"{other}: known by their token\n")
    assert command(offline, other, "none")[0] == 0
    wait_until(lambda: other not in offline.get("/api/v1/status").text, 5, "the page has forgotten them")
    assert offline.json(f"/api/v1/profiles/{other}/consent")["consent"] == "none"
    assert command(offline, other) == (
        0,
        f"{other}: not known here any more: their token gets what somebody gets who shows none\n",
    )
    assert command(offline, other, "profile") == (0, f"{other}: known by their token\n")


def test_a_token_is_refused_and_never_repeated(offline: Shop) -> None:
    status, said = command(offline, TOKEN, "none")
    assert status == 2
    assert TOKEN not in said
    answer = put(offline, TOKEN, {"consent": "none"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:picante:problem:not-a-subject")
    assert TOKEN not in answer.text
    assert put(offline, SESSION, {"consent": "none"}).status_code == 400


@pytest.mark.parametrize("body", [{}, {"consent": "session"}, {"consent": "none", "why": "secret-why"}, []])
def test_what_is_no_consent_is_a_problem(offline: Shop, body: object) -> None:
    answer = put(offline, CUSTOMER, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "secret-why" not in answer.text


def test_no_page_opts_anybody_out(offline: Shop) -> None:
    url = f"{offline.url}/api/v1/profiles/{CUSTOMER}/consent"
    headers = {"origin": "http://localhost", "cookie": f"__Host-picante={offline.keys.cookies[Role.OWNER]}"}
    assert httpx.put(url, json={"consent": "none"}, headers=headers, timeout=20).status_code == 403
