"""Nothing secret and no customer leaves in a support bundle, however it got into configuration, log or events."""

from __future__ import annotations

import base64
import io
import json
import logging
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud_sync.log import BoundedHandler, JsonFormatter
from cloud_sync.log_ring import RING
from firmware_bridge.bodies import StatedBody
from gateway import support
from gateway.scrub import Scrubber
from picante.cli import main
from tests.gateway.backup_shop import write_keyring
from tests.gateway.web.conftest import DISPENSER_KEY, PSEUDONYM_KEY, Inside, inside_of

KAFKA_PASSWORD = "hunter-of-canaries"
KEPT_KEY = bytes(range(100, 132))
CANARIES = {
    "kafka password": KAFKA_PASSWORD.encode(),
    "dispenser key": DISPENSER_KEY,
    "adopted key": KEPT_KEY,
    "pseudonym key": PSEUDONYM_KEY,
    "session": b"Qm9vZ2llLVdvb2dpZS1CdWdsZS1Cb3ktMTk0MQ",
    "API token": b"picante_3kXv9TqLrW2mZp7Y",
    "setup code": b"KXQM-ZXPD",
    "argon2 hash": b"$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5",
    "loyalty token": b"LOY-4006381-333931",
}
TOLD = [
    "{} was seen",
    "password={}",
    "token: {}",
    '{{"key": "{}"}}',
    "https://user:{}@broker.example/",
    "it failed: expected '{}'",
]
"""Ways in which a line may have it."""


def forms(secret: bytes) -> set[str]:
    """How a secret may be written."""
    plain = {secret.decode()} if secret.isascii() else set()
    return plain | {
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(secret).decode(),
    }


def needles(secret: bytes) -> set[str]:
    """What must not be found: its forms, and each half of them, without what base64 makes of the neighbourhood."""
    whole = {form.rstrip("=")[:-1] for form in forms(secret)}
    return whole | {
        part for form in whole for part in (form[: len(form) // 2], form[len(form) // 2 :]) if len(part) >= 8
    }


@pytest.fixture
async def planted(tmp_path: Path) -> AsyncIterator[Inside]:
    """A daemon whose configuration, log and events have every canary."""
    (tmp_path / "kafka-password").touch(0o600)
    (tmp_path / "kafka-password").write_text(KAFKA_PASSWORD + "\n")
    more = '[kafka]\nbootstrap = "127.0.0.1:9"\nusername = "gw-1"\npassword_file = "kafka-password"\n'
    (tmp_path / "gateway").mkdir()
    async with inside_of(tmp_path, more) as inside:
        (tmp_path / "gateway" / "setup-code").write_text("KXQM-ZXPD\n")
        write_keyring(inside.state.config, **{"hot-bar-9": KEPT_KEY.hex()})
        with (tmp_path / "daemon.log").open("w") as stream:
            handler = BoundedHandler(stream, ring=RING)
            handler.setFormatter(JsonFormatter())
            logging.getLogger().addHandler(handler)
            log = logging.getLogger("gateway.test")
            for name, secret in CANARIES.items():
                for form in forms(secret):
                    for told in TOLD:
                        # each a wording of its own: none is left out as a repetition
                        log.warning(f"{name}: {told.format(form)}", extra={"error": form})  # noqa: G004
                try:
                    raise ValueError(secret)
                except ValueError:
                    log.exception(f"it broke at {secret!r}")  # noqa: G004
            hello = inside.hello()
            for secret in CANARIES.values():
                for form in forms(secret):
                    await inside.deliver(hello, StatedBody(text=f"I want {form}"[:200]))
            yield inside
            logging.getLogger().removeHandler(handler)


def unpack(content: bytes) -> dict[str, str]:
    """A bundle's files."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def check_clean(files: dict[str, str]) -> None:
    """No canary is in any file, in any form, whole or in halves."""
    for name, secret in CANARIES.items():
        for needle in needles(secret):
            found = [file for file, text in files.items() if needle.lower() in text.lower()]
            assert not found, f"{name} as {needle}"


async def test_no_canary_is_in_the_bundle_of_a_running_daemon(planted: Inside) -> None:
    answer = await planted.client.post("/api/v1/system/bundle", json={})
    files = unpack(answer.content)
    assert len(answer.content) < 10_000_000
    assert {"repairs.json", "logs.jsonl", "database.json", "configuration.json", "ledger.json"} <= files.keys()
    assert not [name for name, text in files.items() if "could not be made" in text]
    check_clean(files)
    assert "hot-bar-1" in files["ledger.json"], "what helps is there"
    assert "gateway.test" in files["logs.jsonl"]
    assert "loyalty token: … was seen" in files["logs.jsonl"], "the line that had it"
    database = json.loads(files["database.json"])
    assert database["rows"]["events"] > 0
    assert json.loads(files["configuration.json"])["configuration"]["kafka"]["username"] == "set"


async def test_none_is_in_the_log_that_the_page_shows(planted: Inside) -> None:
    page = await planted.client.get("/system/log")
    api = await planted.client.get("/api/v1/system/log?limit=500")
    file = await planted.client.get("/system/log.jsonl")
    check_clean({"page": page.text, "api": api.text, "file": file.text})


async def test_each_file_is_looked_at_and_may_be_left_out(planted: Inside) -> None:
    preview = {one["name"]: one for one in (await planted.json("/api/v1/system/bundle"))["files"]}
    one = await planted.client.get("/api/v1/system/bundle/versions.json")
    assert one.text.startswith("{")
    assert len(one.content) == preview["versions.json"]["size_bytes"]
    left = await planted.client.post("/api/v1/system/bundle", json={"without": ["logs.jsonl"]})
    assert unpack(left.content).keys() == preview.keys() - {"logs.jsonl"}
    assert (await planted.client.get("/api/v1/system/bundle/keyring.json")).status_code == 404
    ticked = await planted.client.post("/system/bundle", data={"keep": ["versions.json", "machine.json"]})
    assert unpack(ticked.content).keys() == {"versions.json", "machine.json"}


async def test_on_the_console_with_the_daemon_dead_and_its_database_broken(planted: Inside, tmp_path: Path) -> None:
    config, out = str(tmp_path / "gateway.toml"), tmp_path / "out.zip"
    arguments = ["gateway", "bundle", "--config", config, "--log", str(tmp_path / "daemon.log"), str(out)]
    planted.state.stopping.set()
    for name in ("gateway.db-wal", "gateway.db-shm"):
        (tmp_path / "gateway" / name).unlink(missing_ok=True)
    (tmp_path / "gateway" / "gateway.db").write_bytes(b"not a database")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    files = unpack(out.read_bytes())
    check_clean(files)
    assert "database.json could not be made" in files["database.json"]
    assert "gateway.test" in files["logs.jsonl"]
    listed = CliRunner().invoke(main, ["gateway", "bundle", "--config", config, "--list", "--without", "files.json"])
    assert "versions.json" in listed.output
    assert "files.json" not in listed.output
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1, "what is there is not written over"


async def test_the_last_lines_stay_where_there_are_too_many(planted: Inside) -> None:
    scrub = support.scrubber(planted.state.config)
    lines = [f"line of words {'x' * 20} number {i}\n" for i in range(30_000)]
    text = support.content(support.Part("logs.jsonl", "", lambda: iter(lines)), scrub).decode()
    assert len(text) <= support.MAX_FILE_BYTES + 100
    assert text.startswith(support.CUT)
    assert text.endswith("number 29999\n")


def test_what_many_dispensers_say_is_json_to_its_end() -> None:
    told = [{"name": "bar", "levels": [1, 2, 3]} for _ in range(14_000)]
    made = support.content(support.Part("status.json", "", lambda: told), Scrubber())
    assert len(made) <= support.MAX_FILE_BYTES
    assert json.loads(made) == told
