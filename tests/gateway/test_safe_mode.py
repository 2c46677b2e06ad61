"""A gateway that can't start says why at its own address, and starts as soon as that is mended."""

from __future__ import annotations

import json
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from gateway.access.access import open_access
from gateway.access.roles import Role
from gateway.salvage import salvage
from gateway.web.cookies import KIOSK, SESSION
from picante.cli import main
from picante.cli_doctor import doctor
from picante.web_pki import make_issuer, make_root
from tests.access import set_up
from tests.flow.world import Process
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until


def test_each_key_that_is_right_by_itself_is_kept(tmp_path: Path) -> None:
    config = write_config(tmp_path, 39_001, '[kafka]\nbootsrap = "typo:9092"\n')
    config.write_text(config.read_text().replace('region = "south"', "region = 7"))
    saved = salvage(config)
    assert (saved.gateway.id, saved.http.port, saved.kafka) == ("gw-1", 39_001, None)
    assert saved.path(saved.gateway.data_dir) == tmp_path / "gateway"


def test_what_is_no_toml_leaves_the_defaults_and_nothing_is_open_to_the_network(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[http\nhost = "0.0.0.0"')
    assert (salvage(config).http.host, salvage(config).http.port) == ("127.0.0.1", 8080)
    config.write_text('[http]\nhost = "0.0.0.0"\nport = 39001')
    assert (salvage(config).http.host, salvage(config).http.port) == ("127.0.0.1", 39_001)


def test_a_gateway_that_can_not_start_tells_why_and_goes_on_once_it_can(tmp_path: Path) -> None:  # noqa: PLR0915 -- a visit
    port = free_port()
    config = write_config(tmp_path, port)
    keys = set_up(tmp_path / "gateway")
    with closing(open_access(tmp_path / "gateway")) as access:
        screen = access.tokens.add_now("a screen", "kiosk:hot-bar-1", "a test", None)
    good = config.read_text()
    config.write_text(good.replace("ballast_mb", "balast_mb"))
    gateway = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config))
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=keys.headers, timeout=20)

    def told() -> list[dict[str, Any]]:
        try:
            answer = client.get("/api/v1/repairs").raise_for_status()
        except httpx.HTTPError:
            return []
        repairs: list[dict[str, Any]] = answer.json()["repairs"]
        return repairs

    def ready() -> bool:
        try:
            return client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    try:
        [repair] = wait_until(told, 60, "it tells what is wrong")
        assert repair["code"] == "config_invalid"
        assert "did you mean 'ballast_mb'?" in repair["what"]
        assert "balast_mb" in client.get("/").text
        assert client.get("/healthz").status_code == 503
        nobody = httpx.get(f"http://127.0.0.1:{port}/", follow_redirects=False)
        assert (nobody.status_code, nobody.headers["location"]) == (303, "/sign-in"), "as ever"
        vera = {"cookie": f"{SESSION}={keys.cookies[Role.VIEWER]}"}
        read = httpx.get(f"http://127.0.0.1:{port}/", headers=vera).text
        assert ("balast_mb" in read, "/log.jsonl" in read) == (True, False), "a viewer reads no log here either"
        assert httpx.get(f"http://127.0.0.1:{port}/bundle.zip", headers=vera).status_code == 403
        thea = {"cookie": f"{SESSION}={keys.cookies[Role.TECHNICIAN]}"}
        assert "/bundle.zip" in httpx.get(f"http://127.0.0.1:{port}/", headers=thea).text
        taken = httpx.get(f"http://127.0.0.1:{port}/bundle.zip", headers=thea)
        assert taken.content.startswith(b"PK"), "as they may of a gateway that runs"
        on_screen = httpx.get(f"http://127.0.0.1:{port}/kiosk/hot-bar-1", headers={"cookie": f"{KIOSK}={screen}"})
        assert (on_screen.status_code, 'href="/kiosk/hot-bar-1"' in on_screen.text) == (503, True), "it looks again"
        assert "balast_mb" not in on_screen.text, "customers read no more than that it takes a moment"
        assert "/log.jsonl" in client.get("/").text
        by_console = CliRunner().invoke(doctor, ["--config", str(config), "--json"])
        assert [one["code"] for one in json.loads(by_console.output)["repairs"]] == ["config_invalid"]
        assert client.get("/log.jsonl").is_success

        (tmp_path / "gateway" / "gateway.db").mkdir()
        config.write_text(good)
        client.post("/api/v1/repairs/check")
        is_next = lambda: [one["code"] for one in told()] == ["store_unusable"]  # noqa: E731
        wait_until(is_next, 10, "the database is the next trouble", promised=True)

        (tmp_path / "gateway" / "gateway.db").rmdir()
        wait_until(ready, 60, "it starts by itself")
        assert gateway.process.poll() is None, "the same process"
        assert told() == []
        assert gateway.stop() == 0
    finally:
        client.close()
        gateway.kill()


def test_where_nobody_can_be_known_nothing_is_told_but_where_to_ask(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, port)
    (tmp_path / "gateway").write_text("no directory")
    gateway = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config))

    def answered() -> httpx.Response | None:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.HTTPError:
            return None

    try:
        answer = wait_until(answered, 60, "it answers")
        assert answer is not None
        assert (answer.status_code, "picante doctor" in answer.text) == (503, True)
        assert str(tmp_path) not in answer.text
    finally:
        gateway.kill()


def test_a_gateway_that_lost_its_name_says_so_and_the_console_alone_opens_the_setup(tmp_path: Path) -> None:
    make_root(tmp_path / "pki", "Salsa Brava", 30)
    make_issuer(tmp_path / "pki", "gw-1", 30)
    issuer = 'issuer = "pki/gateways/gw-1.pem"\nissuer_key = "pki/gateways/gw-1.key"\n'
    http = issuer + 'names = ["bar.local"]\nplain_port = 0\n'
    port = free_port()
    config = write_config(tmp_path, port, http)
    named = config.read_text()
    config.write_text(named.replace('store = "mercado-12"\n', "").replace('id = "gw-1"\n', ""))
    keys = set_up(tmp_path / "gateway")
    gateway = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config))
    headers = keys.headers | {"host": f"bar.local:{port}"}  # as a phone asks
    trust = ssl.create_default_context(cafile=tmp_path / "pki" / "web-root.pem")
    client = httpx.Client(base_url=f"https://127.0.0.1:{port}", headers=headers, timeout=20, verify=trust)

    def said(path: str = "/") -> str:
        try:
            return client.get(path).text
        except httpx.HTTPError:
            return ""

    try:
        text = wait_until(said, 60, "its page says what is wrong")
        assert "[gateway] needs id, store" in text
        assert "setup-code --again" in text
        assert client.get("/setup").status_code == 503
        refused = CliRunner().invoke(main, ["gateway", "check-config", "--config", str(config)])
        assert (refused.exit_code, "has them any more" in refused.output) == (2, True)
        assert not (tmp_path / "gateway" / "setup-code").exists()

        assert CliRunner().invoke(main, ["gateway", "setup-code", "--again", "--config", str(config)]).exit_code == 0
        checked = CliRunner().invoke(main, ["gateway", "check-config", "--config", str(config)])
        assert "waits for its setup, which asks for id, store" in checked.output
        wait_until(lambda: "Setup code" in said("/setup"), 60, "the setup is open")
    finally:
        client.close()
        gateway.kill()
