"""A database that no start can open: in safe mode a backup is put back, and the gateway starts with it by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.flow.world import Process
from tests.gateway.backup_shop import PASSPHRASE
from tests.gateway.web.conftest import Shop, open_shop
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose database a newer Picante has written, as it seems."""
    with open_shop(tmp_path_factory.mktemp("safe")) as opened:
        yield opened


def test_a_backup_is_put_back_where_the_gateway_can_not_run(shop: Shop) -> None:
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    stored = shop.json("/api/v1/sync")["stored"]
    backup = shop.post("/api/v1/system/backup", {"passphrase": PASSPHRASE}).content
    by_then = shop.json("/api/v1/sync")["stored"]
    assert shop.gateway.stop() == 0
    with closing(sqlite3.connect(shop.directory / "gateway/gateway.db")) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'from_the_future' WHERE rowid = 1")
    config = str(shop.directory / "gateway.toml")
    shop.gateway = Process(shop.directory, "gateway", "gateway", "run", "--config", config)
    wait_until(lambda: status_of(shop, "/readyz") == 503, 60, "safe mode answers")
    assert "Put a backup back" in shop.get("/", headers={"accept-language": "en"}).text

    sent = shop.client.post("/system/backups/send", files={"file": ("b", backup)})
    assert sent.status_code == 303, sent.text
    wrong = shop.client.post("/system/backups/check", data={"passphrase": "another passphrase"})
    assert wrong.status_code == 409
    assert "the passphrase is not the backup&#39;s" in wrong.text
    assert shop.client.post("/system/backups/check", data={"passphrase": PASSPHRASE}).status_code == 303
    assert shop.client.post("/system/backups/order", data={"confirm": "no"}).status_code == 422
    assert shop.client.post("/system/backups/order", data={"confirm": "restore"}).status_code == 200
    wait_until(lambda: status_of(shop, "/readyz") == 200, 90, "the gateway runs by itself")
    assert shop.json("/api/v1/system/restore")["restored"]["stored"] in range(stored, by_then + 1)
    assert shop.gateway.process.poll() is None


def status_of(shop: Shop, path: str) -> int | None:
    """An answer's status; None while nobody answers."""
    try:
        return shop.get(path).status_code
    except httpx.HTTPError:
        return None
