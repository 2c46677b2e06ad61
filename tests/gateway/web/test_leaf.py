"""The page's certificate is made anew when it has to be, and only then; who comes next gets the new one."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
import stat
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509

from gateway.certificates import load_certificate
from gateway.config import Config, load_config
from gateway.named_certificates import LEAF_FILE, certificates
from gateway.web import leaf as leaf_module
from gateway.web.addresses import own_addresses
from gateway.web.leaf import DAYS, Leaf
from heat.errors import ConfigError
from picante.web_pki import make_issuer, make_root
from tests.gateway.web.conftest import write_config
from tests.servers import free_port

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A gateway that is open to its network, with an issuer of its own."""
    make_root(tmp_path / "pki", "Salsa Brava", 3_000)
    make_issuer(tmp_path / "pki", "gw-1", 2_000)
    (tmp_path / "gateway").mkdir()
    return load_config(open_to_network(tmp_path))


def open_to_network(directory: Path, more: str = "") -> Path:
    """gateway.toml of a gateway with the issuer in `pki`."""
    path = write_config(directory, free_port())
    issuer = 'issuer = "pki/gateways/gw-1.pem"\nissuer_key = "pki/gateways/gw-1.key"\nnames = ["gw-1.local"]\n'
    path.write_text(path.read_text().replace("[http]\n", f'[http]\nhost = "0.0.0.0"\n{issuer}{more}'))
    return path


def looked(config: Config, now: dt.datetime = NOW) -> Leaf:
    found = Leaf(config)
    found.look(now)
    return found


def served(leaf: Leaf) -> x509.Certificate:
    """What a client gets that comes now."""
    ours, theirs = socket.socketpair()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    def answer() -> None:
        with suppress(OSError), closing(leaf.context.wrap_socket(ours, server_side=True)) as wrapped:
            wrapped.recv(1)

    thread = Thread(target=answer)
    thread.start()
    with closing(client.wrap_socket(theirs)) as wrapped:
        der = wrapped.getpeercert(binary_form=True)
    thread.join()
    assert der is not None
    return x509.load_der_x509_certificate(der)


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the machine has; a test changes them."""
    found = ["192.168.1.20"]
    monkeypatch.setattr(leaf_module, "own_addresses", lambda: list(found))
    return found


def test_its_end_is_told_of_with_the_others(config: Config, addresses: list[str]) -> None:
    until = looked(config).until
    found = {one.key: one.not_after for one in certificates(config)}
    assert found.keys() == {"http.issuer", "http.leaf"}
    assert found["http.leaf"] == until


def test_it_is_for_the_names_and_addresses_of_the_gateway(config: Config, addresses: list[str]) -> None:
    addresses += ["203.0.113.9", "fd00::17"]
    made = looked(config)
    assert made.names == {"gw-1.local", "192.168.1.20", "fd00::17"}  # no root of ours vouches for a public address
    names = served(made).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == made.names
    file = config.path(config.gateway.data_dir) / LEAF_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_stays_over_restarts(config: Config, addresses: list[str]) -> None:
    first = served(looked(config))
    again = looked(config)
    again.look(NOW + dt.timedelta(days=DAYS - 31))
    assert served(again) == first


def test_another_address_has_another_certificate(config: Config, addresses: list[str]) -> None:
    made = looked(config)
    first = served(made)
    addresses[0] = "192.168.7.3"
    made.look(NOW)
    second = served(made)
    assert second != first
    assert "192.168.7.3" in made.names
    assert "192.168.1.20" not in made.names


def test_it_is_renewed_before_it_ends(config: Config, addresses: list[str]) -> None:
    made = looked(config)
    first = made.until
    made.look(NOW + dt.timedelta(days=DAYS - 29))
    assert made.until > first + dt.timedelta(days=30)


def test_one_that_ends_with_its_issuer_is_not_made_again_and_again(config: Config, addresses: list[str]) -> None:
    made = Leaf(config)
    made.look(made.issuer.not_valid_after_utc - dt.timedelta(days=5))
    first = served(made)
    made.look(made.issuer.not_valid_after_utc - dt.timedelta(days=4))
    assert served(made) == first


def test_without_a_clock_it_is_dated_by_its_issuer_and_anew_once_the_time_is_known(
    config: Config, addresses: list[str]
) -> None:
    made = looked(config, dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    certificate = served(made)
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
    made.look(dt.datetime(2031, 1, 1, tzinfo=dt.UTC))
    assert made.until > dt.datetime(2031, 3, 1, tzinfo=dt.UTC)
    made.look(NOW)  # the clock had been ahead
    assert made.until < NOW + dt.timedelta(days=DAYS + 1)


@pytest.mark.parametrize("damage", [b"", b"not PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_one_is_made_anew(config: Config, addresses: list[str], damage: bytes) -> None:
    looked(config)
    (config.path(config.gateway.data_dir) / LEAF_FILE).write_bytes(damage)
    made = looked(config)
    served(made).verify_directly_issued_by(made.issuer)


def test_one_of_another_issuer_is_made_anew(config: Config, addresses: list[str], tmp_path: Path) -> None:
    looked(config)
    make_issuer(tmp_path / "pki", "gw-1", 2_000, renew=True)
    made = looked(config)
    served(made).verify_directly_issued_by(load_certificate(tmp_path / "pki/gateways/gw-1.pem"))


def test_what_is_wrong_with_the_issuer_is_said(config: Config, tmp_path: Path) -> None:
    key = tmp_path / "pki/gateways/gw-1.key"
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read it"):
        Leaf(config)
    key.chmod(0o600)
    make_issuer(tmp_path / "pki", "gw-2", 30)
    key.write_bytes((tmp_path / "pki/gateways/gw-2.key").read_bytes())
    with pytest.raises(ConfigError, match="is not the key of"):
        Leaf(config)
    key.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        Leaf(config)
    issuer = tmp_path / "pki/gateways/gw-1.pem"
    issuer.write_bytes((tmp_path / "pki/web-root.pem").read_bytes())
    key.write_bytes((tmp_path / "pki/web-root.key").read_bytes())
    key.chmod(0o600)
    with pytest.raises(ConfigError, match="is not an issuer with its root"):
        Leaf(config)


def test_beyond_this_machine_it_takes_an_issuer(tmp_path: Path) -> None:
    path = write_config(tmp_path, 8080)
    path.write_text(path.read_text().replace("[http]\n", '[http]\nhost = "0.0.0.0"\n'))
    with pytest.raises(ConfigError, match="open to the network in clear") as refused:
        load_config(path)
    assert "web-pki" in refused.value.hint


def test_names_that_no_phone_would_trust_are_refused(tmp_path: Path) -> None:
    make_root(tmp_path / "pki", "Salsa Brava", 30)
    path = open_to_network(tmp_path)
    path.write_text(path.read_text().replace("gw-1.local", "gw-1.example.com"))
    with pytest.raises(ConfigError, match="gw-1.example.com"):
        load_config(path)


def test_the_addresses_of_this_machine_are_its_own() -> None:
    for address in own_addresses():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as bound:
            bound.bind((address, 0))


async def test_it_is_looked_at_again_and_again(
    config: Config, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaf_module, "LOOK_S", 0.01)
    made = looked(config)
    keeping = asyncio.create_task(made.keep())
    addresses[0] = "192.168.9.9"
    async with asyncio.timeout(20):
        while "192.168.9.9" not in made.names:  # noqa: ASYNC110 -- a deadline is set
            await asyncio.sleep(0.01)
    keeping.cancel()
