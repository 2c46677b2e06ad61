"""The doctor sees what the start would, writes nothing, and says how urgent it is by its exit status."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import doctor
from gateway.check import check
from gateway.config import load_config
from gateway.store import Settings, open_store
from heat.errors import ConfigError
from models.bundle import pretrained
from picante.cli_doctor import doctor as command
from tests.access import set_up
from tests.faults.test_corruption import spoil_header
from tests.gateway.test_store import append
from tests.gateway.web.conftest import open_shop, write_config
from tests.gateway.web.provoked.of_machine import THROTTLED
from tests.gateway.web.troubled import damage
from tests.servers import free_port
from tests.waiting import wait_until

MUCH = """\
[system]
root = "machine"

[clock]
trust = "ntp"
synchronised = "synchronized"
"""


async def codes(config: Path) -> list[str]:
    return [repair.code for repair in await doctor.examine(config)]


async def test_a_new_gateway_has_nothing_but_no_daemon(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port())
    assert await codes(config) == []
    assert not (tmp_path / "gateway").exists(), "nothing is made"


async def test_each_file_that_can_not_be_read_is_told_of(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port(), '[serial]\nports = ["/dev/serial/by-id/none-*"]\n')
    (tmp_path / "pseudonym.toml").chmod(0o644)
    (tmp_path / "keys.toml").write_text("no toml")
    found = await doctor.examine(config)
    assert [(one.code, one.subject) for one in found] == [
        ("config_invalid", "keys.dispensers"),
        ("config_invalid", "keys.pseudonym"),
        ("no_serial_port", ""),
    ]


async def test_check_config_reads_what_the_doctor_reads(tmp_path: Path) -> None:
    kafka = '[kafka]\nbootstrap = "127.0.0.1:9"\nusername = "gw-1"\npassword_file = "none"\n'
    config = write_config(tmp_path, free_port(), kafka)
    assert [(one.code, one.subject) for one in await doctor.examine(config)] == [("config_invalid", "kafka")]
    with pytest.raises(ConfigError, match="none"):
        await check(load_config(config))


async def test_a_damaged_database_is_told_of_and_left_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port())
    (tmp_path / "gateway").mkdir()
    path = tmp_path / "gateway" / "gateway.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, data BLOB)")
        database.executemany("INSERT INTO events (data) VALUES (?)", [(bytes(3_000),)] * 50)
        database.commit()
    assert await codes(config) == []
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"x" * 4096 + whole[12288:])
    before = path.read_bytes()
    assert await codes(config) == ["store_unusable"]
    assert path.read_bytes() == before


async def test_what_is_wrong_with_the_machine_is_told_as_the_page_tells_it(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port(), MUCH)
    (tmp_path / "synchronized").touch()
    with closing(open_store(Settings(tmp_path / "gateway", "gw-1"))) as store:
        store.write(append(1)).result(10)
    assert await codes(config) == []
    (tmp_path / "machine" / THROTTLED).parent.mkdir(parents=True)
    (tmp_path / "machine" / THROTTLED).write_text("50005\n")
    (tmp_path / "synchronized").unlink()
    shutil.copytree(pretrained(), tmp_path / "bundle")
    damage(tmp_path / "bundle")
    config.write_text(config.read_text() + '[picks]\nbundle = "bundle"\n')
    spoil_header(tmp_path / "gateway" / "gateway.db", random.Random(7))
    open_store(Settings(tmp_path / "gateway", "gw-1")).close()  # a start sets it aside
    assert await codes(config) == ["clock_unknown", "under_voltage", "store_quarantined", "model_fallback"]


async def test_who_may_sign_in_is_looked_at(tmp_path: Path) -> None:
    config, path = write_config(tmp_path, free_port()), tmp_path / "gateway" / "access.db"
    set_up(path.parent)
    assert await codes(config) == []
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 99")
    assert await codes(config) == ["store_unusable"], "a newer Picante's"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 1")
        database.execute("DELETE FROM people")
    assert await codes(config) == ["access_broken"], "nobody is left"
    path.write_bytes(b"no database" * 1000)
    assert await codes(config) == ["access_broken"]
    path.unlink()
    assert await codes(config) == ["access_broken"]
    path.write_bytes(whole)
    assert await codes(config) == []


def test_its_exit_status_is_that_of_a_monitoring_plugin(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port())
    told = CliRunner().invoke(command, ["--config", str(config), "--json"])
    assert told.exit_code == 2
    assert [one["code"] for one in json.loads(told.output)["repairs"]] == ["daemon_down"]
    config.write_text(config.read_text().replace("port =", "prot ="))
    told = CliRunner().invoke(command, ["--config", str(config)])
    assert told.exit_code == 2
    assert "did you mean 'port'?" in told.output
    assert CliRunner().invoke(command, ["--config", str(tmp_path / "none.toml")]).exit_code == 3


def test_it_asks_the_daemon(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        told = CliRunner().invoke(command, ["--config", str(shop.directory / "gateway.toml")])
        assert (told.exit_code, told.output) == (0, "All good\n")
        shop.ask("visit", dispenser="hot-bar-1", word="lukewarm")
        wait_until(lambda: shop.json("/api/v1/repairs")["later"], 20, "an event was refused")
        told = CliRunner().invoke(command, ["--config", str(shop.directory / "gateway.toml"), "--json"])
        assert (told.exit_code, [one["code"] for one in json.loads(told.output)["repairs"]]) == (1, ["dead_letters"])
