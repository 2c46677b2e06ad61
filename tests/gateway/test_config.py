"""gateway.toml: what is wrong, in which line, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load_config, load_dispenser_keys, load_pseudonym_key
from heat.errors import ConfigError

GOOD = """\
[gateway]
id = "gw-1"
store = "plaza"
region = "south"
data_dir = "data"

[serial]
ports = ["/dev/serial/by-id/usb-*"]
baud = 115200

[kafka]
bootstrap = "kafka.example:9092"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.serial is not None
    assert config.serial.ports == ("/dev/serial/by-id/usb-*",)
    assert config.mqtt is None
    assert config.path(config.gateway.data_dir) == tmp_path / "data"
    assert config.http.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("baud = 115200", "buad = 115200", r"gateway\.toml:9: unknown key 'serial\.buad': did you mean 'baud'\?"),
        ("[kafka]", "[kafak]", r"gateway\.toml:11: unknown key 'kafak': did you mean 'kafka'\?"),
        ("[serial]", "zzz = 1\n[serial]", r"gateway\.toml:7: unknown key 'gateway\.zzz': known keys: id, store"),
        ("baud = 115200", "baud = 1200", r"gateway\.toml:9: serial\.baud: no dispenser has .*: 9600 \(got"),
        ("baud = 115200", "baud = 115000", r":9: serial\.baud: no dispenser has this rate; next to it: 76800, 115200"),
        ("baud = 115200", "baud = 1000000", r":9: serial\.baud: no dispenser has .*: 921600 \(got 1000000\)"),
        ("baud = 115200", 'baud = "9600"', r":9: serial\.baud: Input should be 9600"),
        ("baud = 115200", 'baud_by_port = {"/dev/a" = 9601}', r":9: serial\.baud_by_port\./dev/a: .*: 9600, 14400"),
        (
            "/dev/serial/by-id/usb-*",
            "sockt://a:1",
            r":8: serial\.ports: 'sockt://a:1' begins with none of socket://, rfc2",
        ),
        ("/dev/serial/by-id/usb-*", "socket://a", r":8: serial\.ports: 'socket://a' is not socket://HOST:PORT"),
        ("/dev/serial/by-id/usb-*", "rfc2217://a:70000", r":8: serial\.ports: .* is not rfc2217://HOST:PORT"),
        ("/dev/serial/by-id/usb-*", "socket://a:1/x", r":8: serial\.ports: .* is not socket://HOST:PORT"),
        ('id = "gw-1"', 'id = "GW 1"', r"gateway\.toml:2: gateway\.id: value 'GW 1' is not a name"),
        (
            "[serial]",
            "ballast_mb = 2\n[serial]",
            r":7: gateway\.ballast_mb: too little .*: set 3 at least .* \(got 2\)",
        ),
        ('id = "gw-1"', "id = 7", r"gateway\.toml:2: gateway\.id: Input should be a valid string \(got 7\)"),
        ('id = "gw-1"\n', "", r"\[gateway\] needs id"),
        ("[kafka]", '[http]\nhost = "0.0.0.0"\n[kafka]', r"gateway\.toml:12: http\.host = '0\.0\.0\.0' would be open"),
        (
            "kafka.example:9092",
            "127.0.0.1:99999",
            r"gateway\.toml:12: kafka\.bootstrap: '127\.0\.0\.1:99999' does not end in a port from 1 to 65535",
        ),
        (
            "kafka.example:9092",
            "kafka..example:9093",
            r"gateway\.toml:12: kafka\.bootstrap: 'kafka\.\.example' in .*host",
        ),
        ("[kafka]", "[kafka", r"gateway\.toml: .*line 11"),
        ("[gateway]", 'directory = "/"\n[gateway]', r"gateway\.toml:1: unknown key 'directory'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, GOOD.replace(old, new)))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, GOOD.replace("baud", "buad").replace("region", "regoin")))
    assert "'region'" in str(caught.value)
    assert "'baud'" in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.toml")


def test_keys_are_read_only_from_a_private_file_and_never_repeated(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(f'[dispensers]\nhot-bar-1 = "{"ab" * 32}"\n')
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_dispenser_keys(path)
    path.chmod(0o600)
    assert load_dispenser_keys(path) == {"hot-bar-1": b"\xab" * 32}
    for broken in ('hot-bar-1 = "5ec2e7"', "hot-bar-1 = 5ec2e7", '"Hot Bar" = "5ec2e7"'):
        path.write_text(f"[dispensers]\n{broken}\n")
        with pytest.raises(ConfigError) as caught:
            load_dispenser_keys(path)
        assert "5ec2e7" not in str(caught.value)


def test_the_pseudonym_key_has_a_version(tmp_path: Path) -> None:
    path = tmp_path / "pseudonym.toml"
    path.write_text(f'version = 2\nkey = "{"01" * 32}"\n')
    path.chmod(0o600)
    assert load_pseudonym_key(path) == (b"\x01" * 32, 2)
    path.write_text(f'key = "{"01" * 32}"\n')
    with pytest.raises(ConfigError, match="version"):
        load_pseudonym_key(path)
