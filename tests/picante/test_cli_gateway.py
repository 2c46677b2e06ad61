"""Commands for a running gateway, where there is none or it has nothing to be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from picante.cli import main
from tests.gateway.web.conftest import Shop, open_shop, write_config
from tests.servers import free_port


def adopt(config: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["gateway", "adopt", "--config", str(config)])
    return result.exit_code, result.output


def test_a_gateway_that_is_not_running_is_not_told(tmp_path: Path) -> None:
    port = free_port()
    status, said = adopt(write_config(tmp_path, port))
    assert status == 1
    assert f"no gateway answers at 127.0.0.1:{port}" in said
    assert "Is it running" in said


def test_a_configuration_that_is_none_is_said_so(tmp_path: Path) -> None:
    status, said = adopt(tmp_path / "gateway.toml")
    assert status == 2
    assert "gateway.toml" in said


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def test_a_gateway_that_is_not_stopped_says_so(shop: Shop) -> None:
    status, said = adopt(shop.directory / "gateway.toml")
    assert status == 1
    assert "the uplink is not stopped. Only an uplink" in said
