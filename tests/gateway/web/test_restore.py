"""A backup taken of a running gateway, and put back into it, and into one that can't run; then all is wiped.

That the daemon is killed in the middle is in test_system_page.
"""

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
    """A shop whose database a newer Picante has written, as it seems, and which is wiped."""
    with open_shop(tmp_path_factory.mktemp("restored")) as opened:
        yield opened


def change(shop: Shop, method: str, path: str, **more: object) -> httpx.Response:
    """A change by the API, that is done."""
    answer = shop.client.request(method, f"/api/v1/system{path}", **more)  # type: ignore[arg-type]
    assert answer.is_success, answer.text
    return answer


def sent_and_checked(shop: Shop, content: bytes) -> None:
    """A backup waits for the order."""
    change(shop, "PUT", "/restore", content=content)
    checked = change(shop, "POST", "/restore/check", json={"passphrase": PASSPHRASE}).json()
    assert checked["checked"] is True


def sources_twice(shop: Shop) -> list[tuple[object, ...]]:
    """Identities that the database has more than once."""
    with closing(sqlite3.connect(f"file:{shop.directory}/gateway/gateway.db?mode=ro", uri=True)) as reader:
        return reader.execute(
            "SELECT source, generation, sequence, count(*) FROM events GROUP BY 1, 2, 3 HAVING count(*) > 1"
        ).fetchall()


def test_it_is_put_back_and_the_shop_goes_on(shop: Shop) -> None:
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    backup = change(shop, "POST", "/backup", json={"passphrase": PASSPHRASE}).content
    then = shop.json("/api/v1/sync")["stored"]
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    sent_and_checked(shop, backup)
    pid = shop.gateway.process.pid
    change(shop, "POST", "/restore/order", json={"confirm": "restore"})
    wait_until(lambda: restored(shop), 90, "the gateway has begun anew")
    assert shop.gateway.process.pid == pid
    assert shop.gateway.process.poll() is None, "the same process, for systemd"
    assert shop.json("/api/v1/system/restore")["sent"] is None
    wait_until(lambda: online(shop), 60, "both dispensers are back")
    assert shop.json("/api/v1/sync")["stored"] >= then
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    assert sources_twice(shop) == []


def online(shop: Shop) -> bool:
    """Whether both dispensers have come."""
    return all(one["online"] for one in shop.json("/api/v1/dispensers")["dispensers"])


def restored(shop: Shop) -> bool:
    """Whether the gateway tells of a restore."""
    try:
        return shop.json("/api/v1/system/restore")["restored"] is not None
    except httpx.HTTPError:
        return False


def test_a_backup_is_put_back_where_the_gateway_can_not_run(shop: Shop) -> None:
    change(shop, "POST", "/restore/settle", json={"confirm": "yes"})
    assert shop.json("/api/v1/system/restore")["restored"] is None
    stored = shop.json("/api/v1/sync")["stored"]
    backup = change(shop, "POST", "/backup", json={"passphrase": PASSPHRASE}).content
    by_then = shop.json("/api/v1/sync")["stored"]
    assert shop.gateway.stop() == 0
    with closing(sqlite3.connect(shop.directory / "gateway/gateway.db")) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'from_the_future' WHERE rowid = 1")
    config = str(shop.directory / "gateway.toml")
    shop.gateway = Process(shop.directory, "gateway", "gateway", "run", "--config", config)
    wait_until(lambda: status_of(shop, "/readyz") == 503, 60, "safe mode answers")
    assert "Put a backup back" in shop.get("/", headers={"accept-language": "en"}).text

    sent_and_checked(shop, backup)
    assert shop.json("/api/v1/system/restore")["at_stake"] is None, "the database can't tell"
    none = shop.client.post("/api/v1/system/restore/order", json={"confirm": "yes"})
    assert (none.status_code, shop.json("/api/v1/system/restore")["ordered"]) == (422, False)
    assert shop.client.post("/system/backups/drop").status_code == 303, "it is forgotten, for another"
    assert shop.json("/api/v1/system/restore") | {"sent": None, "checked": False} == shop.json("/api/v1/system/restore")
    sent = shop.client.post("/system/backups/send", files={"file": ("b", backup)})
    assert sent.status_code == 303, sent.text
    wrong = shop.client.post("/system/backups/check", data={"passphrase": "another passphrase"})
    assert wrong.status_code == 409
    assert "the passphrase is not the backup&#39;s" in wrong.text
    assert shop.client.post("/system/backups/check", data={"passphrase": PASSPHRASE}).status_code == 303
    assert shop.client.post("/system/backups/order", data={"confirm": "no"}).status_code == 422
    assert shop.client.post("/system/backups/order", data={"confirm": "restore"}).status_code == 200, "it is told"
    wait_until(lambda: status_of(shop, "/readyz") == 200, 90, "the gateway runs by itself")
    assert shop.json("/api/v1/system/restore")["restored"]["stored"] in range(stored, by_then + 1)
    assert shop.gateway.process.poll() is None


def status_of(shop: Shop, path: str) -> int | None:
    """An answer's status; None while nobody answers."""
    try:
        return shop.get(path).status_code
    except httpx.HTTPError:
        return None


def test_everything_is_wiped_for_whoever_gets_it_next(shop: Shop) -> None:
    change(shop, "POST", "/wipe", json={"what": "everything", "confirm": "wipe"})
    wait_until(lambda: answer_to_nobody(shop) not in {None, "not-signed-in"}, 90, "the gateway has begun anew")
    assert not (shop.directory / "gateway/set-up").exists(), "setup was asked for by it"
    assert shop.get("/api/v1/system").status_code == 401, "who had access has none any more"
    assert not (shop.directory / "gateway/restore").exists()
    assert not (shop.directory / "gateway/wipe").exists()
    with closing(sqlite3.connect(f"file:{shop.directory}/gateway/gateway.db?mode=ro", uri=True)) as reader:
        assert reader.execute("SELECT count(*) FROM buckets").fetchone() == (0,)
    assert "everything in" in shop.gateway.log.read_text(), "the console's log tells of it"


def answer_to_nobody(shop: Shop) -> str | None:
    """Why somebody who shows nothing is not let in; None while nobody answers."""
    try:
        answer = httpx.get(f"{shop.url}/api/v1/system", timeout=20)
        return str(answer.json()["type"]).rpartition(":")[2]
    except (httpx.HTTPError, ValueError):  # nobody, or one who ends
        return None
