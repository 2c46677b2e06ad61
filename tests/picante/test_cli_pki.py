"""`picante gateway pki`: what it makes, keeps, refuses and revokes; OpenSSL is the judge of its certificates."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from picante.cli import main


def pki(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["gateway", "pki", *words, "--directory", str(directory)])


def good(directory: Path, *words: str) -> str:
    done = pki(directory, *words)
    assert done.exit_code == 0, done.output
    return done.output


def refused(directory: Path, *words: str) -> str:
    done = pki(directory, *words)
    assert done.exit_code == 2, done.output
    return done.output


def openssl(*words: object) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An authority with a certificate for each kind."""
    made = tmp_path / "pki"
    good(made, "init", "--name", "Mercado 12")
    good(made, "issue", "broker", "mqtt.example", "192.168.1.5")
    good(made, "issue", "gateway")
    good(made, "issue", "home-assistant")
    good(made, "issue", "dispenser", "bar-1", "bar-2")
    return made


def test_openssl_takes_what_is_made(directory: Path) -> None:
    chain = ("verify", "-CAfile", directory / "ca.pem", "-CRLfile", directory / "crl.pem", "-crl_check", "-x509_strict")
    for purpose, name in (("sslserver", "broker"), ("sslclient", "gateway"), ("sslclient", "dispensers/bar-1")):
        path = directory / f"{name}.pem"
        assert openssl(*chain, "-purpose", purpose, path) == f"{path}: OK\n"
    assert "OK" not in openssl(*chain, "-purpose", "sslserver", directory / "dispensers" / "bar-1.pem")
    broker = openssl("x509", "-in", directory / "broker.pem", "-noout", "-text")
    assert "DNS:mqtt.example" in broker
    assert "IP Address:192.168.1.5" in broker
    assert "NIST CURVE: P-256" in broker
    for name, common_name in (("gateway", "picante.gateway"), ("dispensers/bar-2", "bar-2")):
        subject = openssl("x509", "-in", directory / f"{name}.pem", "-noout", "-subject")
        assert subject == f"subject=CN = {common_name}\n"


def test_keys_are_their_owners_alone(directory: Path) -> None:
    keys = sorted(directory.rglob("*.key"))
    assert len(keys) == 6
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not list(directory.rglob(".*"))


def test_what_is_there_stays(directory: Path) -> None:
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert "is there already, valid until" in good(directory, "init")
    good(directory, "issue", "broker", "192.168.1.5", "mqtt.example")
    good(directory, "issue", "gateway")
    assert "bar-1.pem is there already" in good(directory, "issue", "dispenser", "bar-1", "bar-2")
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    assert "is for other names. Add --renew" in refused(directory, "issue", "broker", "elsewhere.example")


def test_renewing_makes_a_new_one_and_revokes_nothing(directory: Path) -> None:
    path = directory / "dispensers" / "bar-1.pem"
    old = path.read_bytes()
    assert "bar-1.pem made" in good(directory, "issue", "dispenser", "bar-1", "--renew")
    assert path.read_bytes() != old
    assert "No Revoked Certificates" in openssl("crl", "-in", directory / "crl.pem", "-noout", "-text")
    assert good(directory, "list").count("bar-1 ") == 2


def test_revoking_takes_all_of_a_name_and_the_next_is_new(directory: Path) -> None:
    good(directory, "issue", "dispenser", "bar-1", "--renew")
    assert "bar-1: 2 revoked" in good(directory, "revoke", "dispenser", "bar-1")
    assert "bar-1: was revoked already" in good(directory, "revoke", "dispenser", "bar-1")
    crl = openssl("crl", "-in", directory / "crl.pem", "-noout", "-text", "-CAfile", directory / "ca.pem")
    assert crl.count("Serial Number") == 2
    assert "verify OK" in crl
    assert good(directory, "list").count("revoked") == 2
    assert "bar-1.pem made" in good(directory, "issue", "dispenser", "bar-1")
    chain = ("verify", "-CAfile", directory / "ca.pem", "-CRLfile", directory / "crl.pem", "-crl_check")
    assert ": OK" in openssl(*chain, directory / "dispensers" / "bar-1.pem")
    assert ": OK" in openssl(*chain, directory / "dispensers" / "bar-2.pem")
    assert "bar-1: 1 revoked" in good(directory, "revoke", "dispenser", "bar-1")


def test_a_list_of_revocations_that_was_lost_is_not_begun_anew(directory: Path) -> None:
    good(directory, "revoke", "dispenser", "bar-1")
    (directory / "crl.pem").unlink()
    for words in (("init",), ("revoke", "dispenser", "bar-2"), ("issue", "gateway"), ("list",)):
        assert "crl.pem: is gone, and with it who was revoked. Put back" in refused(directory, *words)


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    good(tmp_path / "pki", "init", "--days", "5")
    good(tmp_path / "pki", "issue", "gateway", "--days", "100")
    ends = [openssl("x509", "-in", tmp_path / "pki" / name, "-noout", "-enddate") for name in ("ca.pem", "gateway.pem")]
    assert ends[0] == ends[1]
    assert ends[0].startswith("notAfter=")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("issue", "dispenser"), "which dispenser?"),
        (("issue", "dispenser", "Bar+"), "'Bar+' is not a name. Use 1 to 32"),
        (("issue", "dispenser", "picante.gateway"), "is not a name"),
        (("issue", "dispenser", "../ca"), "is not a name"),
        (("issue", "broker"), "a broker needs the names"),
        (("issue", "broker", "mqtt.example:8883", "--renew"), "'mqtt.example:8883' is no host. Give a name"),
        (("issue", "gateway", "gw-1"), "there is one gateway, without a name"),
        (("revoke", "dispenser", "bar-9"), "no certificate was signed for bar-9. picante gateway pki list"),
    ],
)
def test_what_can_not_be(directory: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refused(directory, *words)


def test_files_that_can_not_be_used(directory: Path, tmp_path: Path) -> None:
    assert "Make an authority with picante gateway pki init" in refused(tmp_path / "none", "issue", "gateway")
    own = directory / "gateway.key"
    own.write_bytes((directory / "broker.key").read_bytes())
    assert "its key is another's. Add --renew" in refused(directory, "issue", "gateway")
    own.write_text("nonsense")
    assert "gateway.key: no private key in PEM" in refused(directory, "issue", "gateway")
    assert "gateway.pem made" in good(directory, "issue", "gateway", "--renew")
    (directory / "crl.pem").write_text("nonsense")
    assert "crl.pem: no list of revocations in PEM" in refused(directory, "revoke", "dispenser", "bar-1")
    (directory / "ca.key").write_bytes((directory / "broker.key").read_bytes())
    assert "ca.key: is not the key of ca.pem" in refused(directory, "list")
