"""The gateway itself on the web, of a daemon inside the test: its machine, its log, bundles, backups, wipes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.log import BoundedHandler
from cloud_sync.log_ring import RING
from gateway.web.machine import doing
from tests.gateway.backup_shop import PASSPHRASE
from tests.gateway.machine import THROTTLED, compute_module, write_files
from tests.gateway.web.conftest import DISPENSER_KEY, PSEUDONYM_KEY, Inside, inside_of


@pytest.fixture
async def pi(tmp_path: Path) -> AsyncIterator[Inside]:
    """A daemon on a Compute Module that has too little voltage."""
    write_files(compute_module(tmp_path / "root"), {THROTTLED: "50005"})
    async with inside_of(tmp_path, f'[system]\nroot = "{tmp_path}/root"\n') as opened:
        yield opened


@pytest.fixture
def ringing(tmp_path: Path) -> Iterator[None]:
    """What is logged is kept, as in a daemon."""
    with (tmp_path / "log").open("w") as stream:
        handler = BoundedHandler(stream, ring=RING)
        logging.getLogger().addHandler(handler)
        yield
        logging.getLogger().removeHandler(handler)


async def put(inside: Inside, method: str, path: str, **more: Any) -> Any:
    """An answer to a change."""
    return await inside.client.request(method, f"/api/v1/system{path}", **more)


async def test_what_the_machine_tells(pi: Inside) -> None:
    told = await pi.json("/api/v1/system")
    assert told["machine"]["power"] == {
        "under_voltage": True,
        "throttled": True,
        "under_voltage_before": True,
        "throttled_before": True,
    }
    assert told["machine"]["flash"]["worn_percent"] == 30
    assert told["clock"]["known"] is True
    assert told["disk"]["database_bytes"] > 0
    assert told["machine"]["daemon_bytes"] > 10_000_000
    assert told["restored"] is None


async def test_the_configuration_has_no_secrets_and_says_what_was_set(pi: Inside) -> None:
    settings = {one["key"]: one for one in (await pi.json("/api/v1/system/settings"))["settings"]}
    assert settings["gateway.id"] == {"key": "gateway.id", "value": "gw-1", "given": True}
    assert settings["clock.hold_hours"] == {"key": "clock.hold_hours", "value": "72", "given": False}
    assert PSEUDONYM_KEY.hex() not in str(settings)


@pytest.mark.usefixtures("ringing")
async def test_the_log_by_level_and_text_without_secrets(inside: Inside) -> None:
    log = logging.getLogger("gateway.test")
    log.warning("the key is %s", DISPENSER_KEY.hex())
    log.warning("somebody showed %s", "4006381333931", extra={"dispenser": "hot-bar-1"})
    log.error("it broke")
    told = await inside.json("/api/v1/system/log?level=warning")
    assert [line["text"] for line in told["lines"][:3]] == ["it broke", "somebody showed …", "the key is …"]
    assert told["lines"][1]["more"]["dispenser"] == "hot-bar-1"
    found = await inside.json("/api/v1/system/log?search=SOMEBODY")
    assert [line["text"] for line in found["lines"]] == ["somebody showed …"]
    one = await inside.json("/api/v1/system/log?level=warning&limit=1")
    assert (len(one["lines"]), one["left_out"] >= 2) == (1, True)
    nothing = await inside.json("/api/v1/system/log?search=4006381333931")
    assert nothing["lines"] == [], "what is scrubbed can't be asked for"


async def test_a_backup_goes_there_and_back(pi: Inside) -> None:
    made = await put(pi, "POST", "/backup", json={"passphrase": PASSPHRASE})
    assert made.status_code == 200
    assert made.headers["content-disposition"].startswith('attachment; filename="gw-1-')
    for secret in (DISPENSER_KEY, PSEUDONYM_KEY):
        assert secret.hex().encode() not in made.content
    sent = await put(pi, "PUT", "/restore", content=made.content)
    assert sent.status_code == 200, sent.text
    assert sent.json()["sent"]["sealed"] is True
    wrong = await put(pi, "POST", "/restore/check", json={"passphrase": "another one"})
    assert (wrong.status_code, wrong.json()["detail"]) == (409, "the passphrase is not the backup's")
    early = await put(pi, "POST", "/restore/order", json={"confirm": "restore"})
    assert early.status_code == 409
    assert not pi.state.stopping.is_set()
    checked = await put(pi, "POST", "/restore/check", json={"passphrase": PASSPHRASE})
    assert checked.json()["checked"] is True
    unsaid = await put(pi, "POST", "/restore/order", json={})
    assert unsaid.status_code == 422
    done = await put(pi, "POST", "/restore/order", json={"confirm": "restore"})
    assert done.status_code == 202
    assert pi.state.restart


async def test_what_is_no_backup_is_not_kept(pi: Inside) -> None:
    answer = await put(pi, "PUT", "/restore", content=b"x" * 300_000)
    assert (answer.status_code, answer.json()["detail"]) == (409, "this is no backup of a gateway")
    assert (await pi.json("/api/v1/system/restore"))["sent"] is None
    assert list((pi.state.store.settings.data_dir / "restore").iterdir()) == []


async def test_a_form_brings_a_file_of_any_size(pi: Inside) -> None:
    made = await put(pi, "POST", "/backup", json={})
    files = {"file": ("b.picante", made.content)}
    sent = await pi.client.post("/system/backups/send", files=files, data={"other": "y" * 1000})
    assert sent.status_code == 303, sent.text
    assert (await pi.json("/api/v1/system/restore"))["sent"]["sealed"] is False
    kept = pi.state.store.settings.data_dir / "restore" / "incoming"
    assert kept.read_bytes() == made.content


async def test_an_upload_that_stops_lets_the_next_one_in(pi: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doing, "STALLED_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", pi.client.base_url.port)
    head = "PUT /api/v1/system/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    token = pi.client.headers["authorization"]
    writer.write(f"{head}Authorization: {token}\r\n\r\nPICANTE".encode())
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert (await put(pi, "DELETE", "/restore")).status_code == 200


async def test_a_wipe_must_be_meant(pi: Inside) -> None:
    answer = await put(pi, "POST", "/wipe", json={"what": "everything", "confirm": "wip"})
    assert answer.status_code == 422
    assert not pi.state.stopping.is_set()
    assert (await put(pi, "POST", "/restore/settle", json={})).status_code == 422, "nor what was before a restore"
    answer = await put(pi, "POST", "/wipe", json={"what": "everything", "confirm": "wipe"})
    assert answer.status_code == 202
    assert pi.state.restart
    assert (pi.state.store.settings.data_dir / "wipe").exists()


async def test_a_restart_must_be_meant(inside: Inside) -> None:
    assert (await put(inside, "POST", "/restart", json={})).status_code == 422
    assert (await put(inside, "POST", "/restart", json={"confirm": "restart"})).status_code == 202
    assert inside.state.restart


async def test_pages_read_without_javascript(pi: Inside) -> None:
    for path, text in (
        ("/system", "too little voltage now"),
        ("/system/log", "Lines since the gateway started"),
        ("/system/bundle", "What is in it"),
        ("/system/backups", "Take a backup"),
    ):
        answer = await pi.client.get(path, headers={"accept-language": "en"})
        assert answer.status_code == 200, answer.text
        assert text in answer.text
