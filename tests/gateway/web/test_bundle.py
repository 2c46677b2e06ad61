"""Nothing secret and no customer leaves in a support bundle, however it got into configuration, log or events."""

from __future__ import annotations

import base64
import io
import json
import logging
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from cloud_sync.log import BoundedHandler, JsonFormatter
from cloud_sync.log_ring import RING
from firmware_bridge.bodies import StatedBody
from gateway import doctor, support
from gateway.certificates import new_key, pem_of
from gateway.config import load_config
from gateway.salvage import salvage
from gateway.scrub import Scrubber
from gateway.web.safe.application import make_safe_applications
from gateway.web.safe.safe import Safe
from heat.errors import ConfigError
from picante.cli import main
from tests.gateway.backup_shop import write_keyring
from tests.gateway.web.conftest import DISPENSER_KEY, PSEUDONYM_KEY, Inside, inside_of

KAFKA_PASSWORD, MQTT_PASSWORD = "hunter-of-canaries", "tabascoandsilence"
KEPT_KEY, SERIAL_KEY = bytes(range(100, 132)), bytes(range(132, 164))
MISPLACED = "saffronandpatience"
CARD = "LOY-4006381-333931"
WEB_KEY = pem_of(new_key()).decode()
CANARIES = {
    "kafka password": KAFKA_PASSWORD.encode(),
    "mqtt password": MQTT_PASSWORD.encode(),
    "provisioned key": SERIAL_KEY,
    "key of the page's issuer": WEB_KEY.splitlines()[1].encode(),
    "dispenser key": DISPENSER_KEY,
    "adopted key": KEPT_KEY,
    "pseudonym key": PSEUDONYM_KEY,
    "session": b"Qm9vZ2llLVdvb2dpZS1CdWdsZS1Cb3ktMTk0MQ",
    "API token": b"picante_3kXv9TqLrW2mZp7Y",
    "setup code": b"KXQM-ZXPD",
    "argon2 hash": b"$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5",
    "loyalty token": CARD.encode(),
}
SECRETS = {
    "kafka-password": f"{KAFKA_PASSWORD}\n",
    "mqtt-password": f"{MQTT_PASSWORD}\n",
    "web-issuer.key": WEB_KEY,
    "provisioning.toml": f'[dispensers.hot-bar-8]\nname = "Hall"\nkey = "{SERIAL_KEY.hex()}"\n',
}
"""The files that gateway.toml names."""
CONFIG = f"""
# Jane of the kitchen has the card {CARD}, and the broker lets {MQTT_PASSWORD} in
[kafka]
bootstrap = "127.0.0.1:9"
username = "{CARD}"
password_file = "kafka-password"
[mqtt]
port = 9
username = "{CARD}"
password_file = "mqtt-password"
"""
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
    for name, text in SECRETS.items():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    (tmp_path / "gateway").mkdir()
    async with inside_of(tmp_path, CONFIG, 'provisioning = "provisioning.toml"') as inside:
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


BROKEN = {
    "an unknown key": f'passwrod = "{KAFKA_PASSWORD}"\n',
    "the card in a wrong place": f'home_assistant = "{CARD}"\n',
    "a password in a wrong place": f'home_assistant = "{MISPLACED}"\n',
    "no TOML": f'pass word = "{MQTT_PASSWORD}" {CARD}\n',
}
"""What somebody wrote into gateway.toml, so that the gateway can't start."""


@pytest.mark.parametrize("wrong", BROKEN.values(), ids=BROKEN)
async def test_none_leaves_in_safe_mode(planted: Inside, tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(path.read_text() + wrong)
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    logging.getLogger("gateway.safe_mode").critical(
        "the gateway can't run, and says why on its page: %s", refused.value
    )
    found = [*await doctor.examine(path, database=False), doctor.invalid("start", refused.value)]
    application, _ = make_safe_applications(Safe(salvage(path), planted.state.access, found), frozenset)
    transport = httpx.ASGITransport(application)
    headers = planted.keys.headers
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        files = unpack((await client.get("/bundle.zip")).content)
        assert "the gateway can't run" in files["logs.jsonl"]
        assert "gateway.test" in files["logs.jsonl"]
        files["log"] = (await client.get("/log.jsonl")).raise_for_status().text
        assert "gateway.toml" in (await client.get("/api/v1/repairs")).text
        assert "gateway.toml" in files["repairs.json"]
        assert [line["text"] for line in (await client.get("/api/v1/system/log?search=says+why")).json()["lines"]]
        listed = {file["name"] for file in (await client.get("/api/v1/system/bundle")).json()["files"]}
        files["log again"] = (await client.get("/api/v1/system/log")).raise_for_status().text
        taken = await client.post("/api/v1/system/bundle", json={"without": ["machine.json"]})
        assert listed - unpack(taken.content).keys() == {"machine.json"}
        one = await client.get("/api/v1/system/bundle/repairs.json")
        assert (one.json(), one.status_code) == (json.loads(files["repairs.json"]), 200)
        assert (await client.get("/api/v1/system/bundle/gateway.db")).status_code == 404
        assert (await client.get("/api/v1/people")).is_success, "who came in by a leak is put out here, too"
        for method, asked in (("POST", "/api/v1/events/1/void"), ("GET", "/openapi.json"), ("POST", "/system/restart")):
            answer = await client.request(method, asked)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:picante:problem:safe-mode"), asked
    check_clean(files)
    assert MISPLACED not in str(files)


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
