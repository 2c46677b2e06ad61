"""A backup taken of a running gateway, and put back into it: in the middle of it the daemon is killed."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.gateway.backup_shop import PASSPHRASE
from tests.gateway.web.conftest import Shop, open_shop
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose gateway is killed and wiped."""
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


def test_a_kill_right_after_the_order_is_made_good_by_the_next_start(shop: Shop) -> None:
    backup = change(shop, "POST", "/backup", json={"passphrase": PASSPHRASE}).content
    shop.visit(dial=40, pour="table-red", volume_ul=3_000)
    change(shop, "POST", "/restore/settle", json={"confirm": "yes"})
    sent_and_checked(shop, backup)
    assert shop.json("/api/v1/system/restore")["restored"] is None
    change(shop, "POST", "/restore/order", json={"confirm": "restore"})
    shop.gateway.process.send_signal(signal.SIGKILL)
    shop.gateway.process.wait()
    shop.start_gateway()
    told = shop.json("/api/v1/system/restore")
    assert told["restored"]["why"] == "backup"
    assert told["ordered"] is False
    assert (shop.directory / "gateway/restore/before/gateway.db").exists(), "what was there is kept"
    assert sources_twice(shop) == []


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
    except httpx.HTTPError:
        return None
    return str(answer.json()["type"]).rpartition(":")[2]
