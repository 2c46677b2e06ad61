"""`picante people`, `picante tokens`: on a gateway that does not run, and beside one that does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gateway.access.access import open_access
from picante.cli import main
from tests.gateway.web.conftest import Shop, shop, write_config
from tests.servers import free_port

__all__ = ["shop"]

PASSWORD = "smoke and honey"


def picante(directory: Path, *words: str, status: int = 0) -> str:
    """What a command says."""
    result = CliRunner().invoke(main, [*words, "--config", str(directory / "gateway.toml")])
    assert result.exit_code == status, result.output
    return result.output.strip()


def _visit(directory: Path, owner: str) -> str:
    picante(directory, "people", "add", "Nuria", "--password", PASSWORD)
    assert "called so already" in picante(directory, "people", "add", "nuria", "--password", PASSWORD, status=1)
    assert "8 characters" in picante(directory, "people", "add", "Eve", "--password", "short", status=1)
    picante(directory, "people", "password", "Nuria", "--password", "honey and smoke")
    assert "Nuria" in picante(directory, "people", "list")
    picante(directory, "people", "remove", "Nuria")
    assert "Nuria" not in picante(directory, "people", "list")
    assert "last owner" in picante(directory, "people", "remove", owner, status=1)
    token = picante(directory, "tokens", "add", "prometheus", "--scope", "metrics", "--days", "3")
    assert "no such scope" in picante(directory, "tokens", "add", "x", "--scope", "all", status=1)
    listed = picante(directory, "tokens", "list")
    assert ("metrics" in listed, token in listed) == (True, False)
    return token


def test_on_a_gateway_that_does_not_run(tmp_path: Path) -> None:
    write_config(tmp_path, free_port())
    picante(tmp_path, "people", "add", "Olga", "--role", "owner", "--password", PASSWORD)
    _visit(tmp_path, "Olga")
    picante(tmp_path, "gateway", "setup-code", status=1)
    code = picante(tmp_path, "gateway", "setup-code", "--again")
    assert picante(tmp_path, "gateway", "setup-code") == code
    assert (tmp_path / "gateway" / "setup-code").stat().st_mode & 0o077 == 0
    with closing(open_access(tmp_path / "gateway")) as access:
        assert access.audit.page(None, 1)[0].method == "setup-code --again", "whoever has the code may become an owner"


@pytest.mark.usefixtures("shop")
def test_beside_one_that_runs(shop: Shop) -> None:
    token = _visit(shop.directory, "Olga")
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{shop.url}/metrics", headers=headers).is_success
    token_id = picante(shop.directory, "tokens", "list").splitlines()[0].split()[0]
    picante(shop.directory, "tokens", "revoke", token_id)
    assert httpx.get(f"{shop.url}/metrics", headers=headers).status_code == 401
    words = [change["words"] for change in shop.json("/api/v1/audit?text=nuria")["changes"]]
    assert "Nuria may come in as technician" in words
