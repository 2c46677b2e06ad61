"""`picante gateway backup` and `restore`, beside a store that is open, and without one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.access.access import open_access
from gateway.access.file import FILE
from gateway.config import Config
from picante.cli import main
from tests.access import set_up
from tests.gateway.backup_shop import PASSPHRASE, gateway_in, open_in, pour, rows


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A gateway with five rows."""
    config = gateway_in(tmp_path / "shop")
    store = open_in(config)
    pour(store, 5)
    store.close()
    return config


def run(config: Config, command: str, *arguments: str, typed: str = "") -> tuple[int, str]:
    path = config.path("gateway.toml")
    result = CliRunner().invoke(main, ["gateway", command, "--config", str(path), *arguments], input=typed)
    return result.exit_code, result.output


def test_there_and_back(config: Config, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    given, file = ("--passphrase-file", str(secret)), str(tmp_path / "b.picante")
    store = open_in(config)
    status, said = run(config, "backup", *given, file)
    assert status == 0, said
    assert "a backup of gw-1 (mercado-12)" in said
    assert "events up to number 5" in said
    assert (Path(file).stat().st_mode & 0o777) == 0o600
    pour(store, 2)
    status, said = run(config, "restore", *given, file, typed="no\n")
    assert status == 1
    assert "it was not put back" in said
    status, said = run(config, "restore", *given, file, typed="gw-1\n")
    assert status == 0, said
    assert "when it starts anew" in said, "its daemon runs"
    store.close()
    status, said = run(config, "restore", *given, file, "--yes")
    assert status == 1
    assert "about to be put back already" in said
    store = open_in(config)  # a daemon that knows nothing of backups
    store.close()
    assert rows(config) == 7


def test_at_once_where_no_daemon_runs(config: Config, tmp_path: Path) -> None:
    set_up(config.path(config.gateway.data_dir))
    file = str(tmp_path / "b.picante")
    assert run(config, "backup", "--plain", file)[0] == 0
    store = open_in(config)
    pour(store, 2)
    store.close()
    status, said = run(config, "restore", file, typed="gw-1\n")
    assert status == 0, said
    assert "plain, without secrets" in said
    assert rows(config) == 5
    with closing(open_access(config.path(config.gateway.data_dir))) as access:
        noted = [(change.who, change.method, change.words) for change in access.audit.page(None, 9)]
    assert [(who, what) for who, what, _ in noted] == [("console", "restore"), ("console", "backup")]
    assert all("events up to number 5" in words for _, _, words in noted)
    (config.path(config.gateway.data_dir) / FILE).unlink()
    assert run(config, "restore", file, "--yes")[0] == 0
    assert not (config.path(config.gateway.data_dir) / FILE).exists(), "one that is made keeps the backup's out"


def test_what_can_not_be_done_is_said_and_leaves_no_file(config: Config, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    status, said = run(config, "backup", "--plain", str(there))
    assert (status, there.read_text()) == (1, "mine")
    assert "Name a file that is not there yet" in said
    status, said = run(config, "backup", str(tmp_path / "new"))
    assert status == 1
    assert "nobody to ask for the passphrase" in said
    assert not (tmp_path / "new").exists()
    status, said = run(config, "restore", str(there))
    assert status == 1
    assert "no backup of a gateway" in said
    empty = gateway_in(tmp_path / "empty")
    status, said = run(empty, "backup", "--plain", str(tmp_path / "new"))
    assert status == 1
    assert "has not run here yet" in said
    assert not (tmp_path / "new").exists()
