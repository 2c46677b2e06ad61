"""A gateway that can't start says why at its own address, and starts as soon as that is mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from gateway.salvage import salvage
from picante.cli_doctor import doctor
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


def test_a_gateway_that_can_not_start_tells_why_and_goes_on_once_it_can(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, port)
    keys = set_up(tmp_path / "gateway")
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
        [repair] = wait_until(told, 20, "it tells what is wrong")
        assert repair["code"] == "config_invalid"
        assert "did you mean 'ballast_mb'?" in repair["what"]
        assert "balast_mb" in client.get("/").text
        assert client.get("/healthz").status_code == 503
        nobody = httpx.get(f"http://127.0.0.1:{port}/", follow_redirects=False)
        assert (nobody.status_code, nobody.headers["location"]) == (303, "/sign-in"), "as ever"
        by_console = CliRunner().invoke(doctor, ["--config", str(config), "--json"])
        assert [one["code"] for one in json.loads(by_console.output)["repairs"]] == ["config_invalid"]
        assert client.get("/log.jsonl").is_success
        assert client.get("/bundle.zip").content.startswith(b"PK")

        (tmp_path / "gateway" / "gateway.db").mkdir()
        config.write_text(good)
        client.post("/api/v1/repairs/check")
        wait_until(
            lambda: [one["code"] for one in told()] == ["store_unusable"], 20, "the database is the next trouble"
        )

        (tmp_path / "gateway" / "gateway.db").rmdir()
        wait_until(ready, 30, "it starts by itself")
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
        answer = wait_until(answered, 20, "it answers")
        assert answer is not None
        assert (answer.status_code, "picante doctor" in answer.text) == (503, True)
        assert str(tmp_path) not in answer.text
    finally:
        gateway.kill()
