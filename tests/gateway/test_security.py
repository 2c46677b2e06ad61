"""[kafka] and the files that it names: what is wrong with which, for which key, and what to do; secrets stay secret."""

from __future__ import annotations

import contextlib
import functools
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_sync.credentials import MAX_PASSWORD_CHARS
from cloud_sync.settings import UplinkSettings
from cloud_sync.uplink import Uplink
from firmware_bridge.mqtt_settings import Credentials
from gateway.check import check
from gateway.config import Config, load_config
from gateway.security import check_dates, load_credentials, load_security
from heat.errors import ConfigError
from tests.certificates import Authority
from tests.cloud_sync.examples import pours
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import confirmed, running
from tests.secure_kafka import SecureKafka
from tests.waiting import wait_until_async

PASSWORD = "correct horse battery"
GATEWAY = '[gateway]\nid = "gw-1"\nstore = "s"\nregion = "r"\n[kafka]\nbootstrap = "k:9093"\n'
WHOLE = """\
tls = true
ca = "tls/authority.pem"
certificate = "tls/gw-1.pem"
key = "tls/gw-1.key"
username = "gw-1"
password_file = "password"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with good and bad certificates and keys."""
    directory = tmp_path_factory.mktemp("made")
    authority = Authority(directory / "tls", "authority")
    authority.sign("gw-1")
    authority.sign("other")
    authority.sign("late", expired=True)
    locked = [*["openssl", "pkey", "-in", "gw-1.key", "-aes256", "-passout", "pass:sesame", "-out", "locked.key"]]
    subprocess.run(locked, cwd=directory / "tls", check=True)
    (directory / "tls" / "locked.key").chmod(0o600)
    (directory / "tls" / "torn.pem").write_text((directory / "tls" / "gw-1.pem").read_text()[:200])
    (directory / "tls" / "open.key").write_text((directory / "tls" / "gw-1.key").read_text())
    (directory / "tls" / "open.key").chmod(0o644)
    (directory / "tls" / "noise.pem").write_bytes(bytes(range(256)))
    (directory / "tls" / "notes.pem").write_text("buy more serranos")
    (directory / "tls" / "notes.pem").chmod(0o600)
    write(directory, "password", PASSWORD + "\n")
    return directory


def write(directory: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = directory / name
    path.touch(0o600)
    path.write_text(text)
    path.chmod(mode)
    return path


def config(directory: Path, kafka: str) -> Config:
    return load_config(write(directory, "gateway.toml", GATEWAY + kafka))


def test_everything_set(made: Path) -> None:
    security = load_security(config(made, WHOLE))
    assert security.tls is not None
    assert security.tls.check_hostname
    assert [subject["subject"] for subject in security.tls.get_ca_certs()] == [((("commonName", "authority"),),)]
    assert (security.mechanism, security.username, security.password) == ("SCRAM-SHA-512", "gw-1", PASSWORD)
    assert PASSWORD not in repr(security)
    check_dates(config(made, WHOLE))


def test_nothing_set(made: Path) -> None:
    security = load_security(config(made, ""))
    assert (security.tls, security.username, security.password) == (None, None, None)


def test_without_an_authority_of_its_own_the_systems_are_trusted(made: Path) -> None:
    security = load_security(config(made, "tls = true\n"))
    assert security.tls is not None
    assert security.tls.verify_mode.name == "CERT_REQUIRED"


@pytest.mark.parametrize(
    ("kafka", "message"),
    [
        ('ca = "a"', r"gateway\.toml:7: kafka\.ca has no use without TLS\. Set tls = true"),
        ('tls = true\ncertificate = "a"', r"gateway\.toml:8: kafka\.certificate needs kafka\.key"),
        ('tls = true\nkey = "a"', r"gateway\.toml:8: kafka\.key needs kafka\.certificate"),
        ('username = "a"', r"gateway\.toml:7: kafka\.username needs kafka\.password_file"),
        ('password_file = "a"', r"gateway\.toml:7: kafka\.password_file needs kafka\.username"),
        ('sasl_mechanism = "PLAIN"', r"gateway\.toml:7: kafka\.sasl_mechanism = .PLAIN. would send .* in clear"),
        ('sasl_mechanism = "SCRAM-SHA-256"', r"gateway\.toml:7: kafka\.sasl_mechanism needs kafka\.username"),
        ('sasl_mechanism = "GSSAPI"', r"gateway\.toml:7: kafka\.sasl_mechanism: Input should be 'SCRAM-SHA-512'"),
        ('tls = "yes"', r"gateway\.toml:7: kafka\.tls: Input should be a valid boolean"),
        ('password = "x"', r"gateway\.toml:7: unknown key 'kafka\.password': did you mean 'password_file'"),
    ],
)
def test_keys_that_do_not_go_together(made: Path, kafka: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(made, kafka)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tls/authority.pem", "tls/none.pem", r"none\.pem: No such file or directory\. kafka\.ca in"),
        ("tls/authority.pem", "tls/notes.pem", r"notes\.pem: no certificate in PEM\. kafka\.ca names"),
        ("tls/authority.pem", "tls/noise.pem", r"noise\.pem: not a text in UTF-8\. kafka\.ca in"),
        ("tls/authority.pem", "tls", r"tls: Is a directory\. kafka\.ca in"),
        ("tls/gw-1.pem", "tls/none.pem", r"none\.pem: No such file or directory\. kafka\.certificate in"),
        ("tls/gw-1.pem", "tls/notes.pem", r"notes\.pem: no certificate in PEM\. kafka\.certificate names"),
        (
            "tls/gw-1.pem",
            "tls/torn.pem",
            r"torn\.pem or .*gw-1\.key: damaged .*kafka\.certificate and kafka\.key must",
        ),
        ("tls/gw-1.key", "tls/none.key", r"none\.key: No such file or directory\. kafka\.key in"),
        ("tls/gw-1.key", "tls/notes.pem", r"notes\.pem: no private key in PEM\. kafka\.key names"),
        ("tls/gw-1.key", "tls/other.key", r"other\.key: does not fit .*gw-1\.pem\. kafka\.key must be the key that"),
        ("tls/gw-1.key", "tls/open.key", r"open\.key: others may read it \(mode 0644\)\. chmod 600 "),
        ("tls/gw-1.key", "tls/locked.key", r"locked\.key: locked by a passphrase\. .*openssl pkey -in"),
        ('"password"', '"none"', r"none: No such file or directory\. kafka\.password_file in"),
    ],
)
def test_a_file_that_cannot_be_used(made: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_security(config(made, WHOLE.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (PASSWORD, 0o644, r"password: others may read it \(mode 0644\)\. chmod 600"),
        (PASSWORD, 0o640, r"password: others may read it \(mode 0640\)"),
        ("", 0o600, r"password: not a password\. kafka\.password_file names a file with one line"),
        (f"{PASSWORD}\n{PASSWORD}\n", 0o600, "not a password"),
        ("p" * (MAX_PASSWORD_CHARS + 1), 0o600, "not a password"),
    ],
)
def test_a_password_that_cannot_be_used_is_not_repeated(tmp_path: Path, text: str, mode: int, message: str) -> None:
    write(tmp_path, "password", text, mode)
    with pytest.raises(ConfigError, match=message) as caught:
        load_security(config(tmp_path, 'username = "u"\npassword_file = "password"\n'))
    assert PASSWORD not in str(caught.value)
    assert "ppp" not in str(caught.value)


def test_a_credential_of_systemd_may_be_the_groups_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what systemd leaves: root's, 0400, and an ACL for the service's user, whose mask shows as the group's rights
    password = write(tmp_path, "kafka-password", PASSWORD, 0o440)
    read: Callable[[], object] = lambda: load_security(  # noqa: E731 -- read twice
        config(tmp_path, f'username = "u"\npassword_file = "{password}"\n')
    )
    with pytest.raises(ConfigError, match="others may read it"):
        read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    read()
    password.chmod(0o444)
    with pytest.raises(ConfigError, match="others may read it"):
        read()


def test_a_file_that_was_mended_counts_at_the_next_look(tmp_path: Path) -> None:
    write(tmp_path, "password", "outdated")
    settings = config(tmp_path, 'username = "u"\npassword_file = "password"\n')
    assert load_security(settings).password == "outdated"
    write(tmp_path, "password", PASSWORD)
    assert load_security(settings).password == PASSWORD


async def test_a_renewed_certificate_counts_without_a_restart(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    late, good = secure_kafka.authority.sign("late", expired=True), secure_kafka.client
    write(tmp_path, "own.pem", late.certificate.read_text())
    write(tmp_path, "own.key", late.key.read_text())
    kafka = f'tls = true\nca = "{secure_kafka.authority.certificate}"\ncertificate = "own.pem"\nkey = "own.key"\n'
    known = functools.partial(load_security, config(tmp_path, kafka))
    name = f"gw-{secrets.token_hex(6)}"
    secure_kafka.let(name)
    with contextlib.closing(SqliteOutbox(tmp_path / "outbox.db")) as outbox:
        outbox.append(pours(3, origin=name))
        uplink = Uplink(outbox, UplinkSettings(secure_kafka.at("MUTUAL"), name, security=known))
        async with running(uplink):
            await wait_until_async(lambda: uplink.status.refusals >= 2, 30, "the broker refuses it")
            assert uplink.status.state == "refused"
            write(tmp_path, "own.key", good.key.read_text())  # for a moment the two don't fit
            await wait_until_async(lambda: "does not fit" in str(uplink.status.last_error), 30, "half of it is new")
            write(tmp_path, "own.pem", good.certificate.read_text())
            await confirmed(outbox, 3)


MQTT = """
[mqtt]
tls = true
ca = "tls/authority.pem"
certificate = "tls/gw-1.pem"
key = "tls/gw-1.key"
username = "gw-1"
password_file = "password"
"""


def test_the_shops_broker_is_known_in_the_same_way(made: Path) -> None:
    credentials = load_credentials(config(made, MQTT))
    assert credentials.tls is not None
    assert credentials.tls.check_hostname
    assert (credentials.username, credentials.password) == ("gw-1", PASSWORD)
    assert PASSWORD not in repr(credentials)
    assert load_credentials(config(made, "[mqtt]\n")) == Credentials()
    for old, new, message in (
        ("tls/authority.pem", "tls/notes.pem", r"notes\.pem: no certificate in PEM\. mqtt\.ca names"),
        ("tls/gw-1.key", "tls/open.key", r"open\.key: others may read it"),
        ("tls/gw-1.key", "tls/other.key", r"mqtt\.key must be the key that mqtt\.certificate was made for"),
        ('"password"', '"none"', r"none: No such file or directory\. mqtt\.password_file in"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_credentials(config(made, MQTT.replace(old, new)))


@pytest.mark.parametrize(
    ("mqtt", "message"),
    [
        ('ca = "a"', r"gateway\.toml:8: mqtt\.ca has no use without TLS\. Set tls = true in \[mqtt\]"),
        ('tls = true\nkey = "a"', r"gateway\.toml:9: mqtt\.key needs mqtt\.certificate"),
        (
            'host = "broker"\nusername = "a"\npassword_file = "b"',
            r"gateway\.toml:9: mqtt\.username would send .* clear",
        ),
    ],
)
def test_keys_of_the_shops_broker_that_do_not_go_together(made: Path, mqtt: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(made, f"[mqtt]\n{mqtt}\n")


def test_a_login_in_clear_is_for_a_broker_on_this_machine(made: Path) -> None:
    assert load_credentials(config(made, '[mqtt]\nusername = "u"\npassword_file = "password"\n')).username == "u"


def test_an_expired_certificate_is_told_to_whoever_checks_and_stops_no_daemon(made: Path) -> None:
    late = config(made, WHOLE.replace("gw-1.pem", "late.pem").replace("gw-1.key", "late.key"))
    load_security(late)
    with pytest.raises(ConfigError, match=r"late\.pem: expired on .* GMT\. Put a renewed one where kafka\.certificate"):
        check_dates(late)


async def test_what_check_config_says_names_the_user_and_no_password(made: Path) -> None:
    write(made, "keys.toml", "[dispensers]\n")
    write(made, "pseudonym.toml", f'version = 1\nkey = "{"ab" * 32}"\n')
    said = "\n".join(await check(config(made, WHOLE)))
    assert f"k:9093, TLS, certificate {made}/tls/gw-1.pem, user gw-1 by SCRAM-SHA-512, position in kafka" in said
    assert PASSWORD not in said
    said = "\n".join(await check(config(made, MQTT)))
    assert f"127.0.0.1:1883, TLS, certificate {made}/tls/gw-1.pem, user gw-1" in said
    assert PASSWORD not in said
    with pytest.raises(ConfigError, match=r"Put a renewed one where mqtt\.certificate says"):
        await check(config(made, MQTT.replace("gw-1.pem", "late.pem").replace("gw-1.key", "late.key")))
    with pytest.raises(ConfigError, match="expired on"):
        await check(config(made, WHOLE.replace("gw-1.pem", "late.pem").replace("gw-1.key", "late.key")))
