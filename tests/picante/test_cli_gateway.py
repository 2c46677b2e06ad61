"""Commands for a running gateway, where there is none or it has nothing to be told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_bridge.capture import read_capture
from picante.cli import main
from tests.gateway.web.conftest import Shop, open_shop, write_config
from tests.servers import free_port
from tests.waiting import wait_until


def adopt(config: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["gateway", "adopt", "--config", str(config)])
    return result.exit_code, result.output


def test_a_gateway_that_is_not_running_is_not_told(tmp_path: Path) -> None:
    port = free_port()
    status, said = adopt(write_config(tmp_path, port))
    assert status == 1
    assert f"no gateway answers at {tmp_path}/gateway/gateway.sock" in said
    assert "Is it running" in said


def test_a_configuration_that_is_none_is_said_so(tmp_path: Path) -> None:
    status, said = adopt(tmp_path / "gateway.toml")
    assert status == 2
    assert "gateway.toml" in said


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with open_shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


def test_a_gateway_that_is_not_stopped_says_so(shop: Shop) -> None:
    status, said = adopt(shop.directory / "gateway.toml")
    assert status == 1
    assert "the uplink is not stopped. Only an uplink" in said


def trace(shop: Shop, out: Path, *options: str) -> tuple[int, str]:
    config = str(shop.directory / "gateway.toml")
    result = CliRunner().invoke(main, ["gateway", "trace", "--config", config, "--out", str(out), *options])
    return result.exit_code, result.output


def test_a_trace_holds_what_passed_and_no_token(shop: Shop) -> None:
    out = shop.directory / "trace.jsonl"
    with ThreadPoolExecutor() as pool:
        tracing = pool.submit(trace, shop, out, "--seconds", "2")
        wait_until(out.exists, 10, "the trace has begun")
        shop.visit(token="loyalty-4711-jane", pour="table-red")
        status, said = tracing.result()
    lines = out.read_bytes().splitlines()
    assert (status, said) == (0, f"{out}: {len(lines)} lines\n")
    assert out.stat().st_mode & 0o077 == 0
    entries = read_capture(out)
    assert {entry.link.rpartition("-")[2] for entry in entries if entry.before} == {"1", "2"}
    assert [entry.is_ for entry in entries if entry.is_ in ("ask", "picks", "event", "ack")][:4] == [
        "ask", "picks", "event", "ack",
    ]  # fmt: skip
    assert b"jane" not in out.read_bytes()
    assert b"jane".hex().encode() not in out.read_bytes()
    assert not (shop.directory / "other.jsonl").exists(), "a trace that was refused leaves no file"
    status, said = trace(shop, out)
    assert (status, "Name a file that is not there yet" in said) == (1, True)
    answer = shop.post("/api/v1/trace", {"seconds": 0})
    assert answer.status_code == 422
