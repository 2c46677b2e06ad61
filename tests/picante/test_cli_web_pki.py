"""The brand's root and its issuers: what they may sign for, checked by OpenSSL, and the commands that make them."""

from __future__ import annotations

import ipaddress
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.certificates import (
    Request,
    general_names,
    is_local,
    load_certificate,
    load_key,
    new_key,
    pem_of,
    sign,
    sign_issuer,
)
from gateway.web.leaf import fingerprint
from gateway.web.reach import Card
from picante.cli import main
from picante.label import as_svg, for_terminal
from picante.web_pki import make_issuer, make_root
from tests.gateway.web.conftest import write_config


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["gateway", "web-pki", *map(str, arguments)])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A directory with a root and the issuer of gw-1."""
    make_root(tmp_path, "Salsa Brava", 30)
    make_issuer(tmp_path, "gw-1", 30)
    return tmp_path


def verdict(made: Path, *hosts: str, issuer: Path | None = None) -> str:
    """What OpenSSL says of a leaf for these hosts."""
    issuer = issuer or made / "gateways" / "gw-1.pem"
    certificate, key = load_certificate(issuer), load_key(issuer.with_suffix(".key"))
    leaf = sign(certificate, key, Request("leaf", new_key(), 10, general_names(hosts)))
    (made / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    command: list[str | Path] = [
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        made / "web-root.pem",
    ]
    command += ["-CAfile", made / "web-root.pem", "-untrusted", issuer, made / "leaf.pem"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{said.stdout}{said.stderr}"


@pytest.mark.parametrize(
    "host",
    [
        "gw-1.local",
        "shop.gw-1.internal",
        "192.168.1.20",
        "10.0.0.5",
        "172.20.1.1",
        "169.254.3.4",
        "fd00::17",
        "127.0.0.1",
    ],
)
def test_a_page_in_a_local_network_is_vouched_for(made: Path, host: str) -> None:
    assert is_local(host)
    assert verdict(made, host).endswith("leaf.pem: OK\n")


@pytest.mark.parametrize(
    "host", ["bank.example", "local.bank.example", "xlocal", "8.8.8.8", "172.32.0.1", "2001:db8::1", "gw-1.local.com"]
)
def test_nothing_else_is(made: Path, host: str) -> None:
    assert not is_local(host)
    assert "permitted subtree violation" in verdict(made, "gw-1.local", host)


def test_an_issuer_makes_no_other_issuer(made: Path) -> None:
    issuer = made / "gateways" / "gw-1.pem"
    key = new_key()
    second = sign_issuer(load_certificate(issuer), load_key(issuer.with_suffix(".key")), Request("second", key, 10))
    chain = made / "second.pem"
    chain.write_bytes(second.public_bytes(Encoding.PEM) + issuer.read_bytes())
    chain.with_suffix(".key").write_bytes(pem_of(key))
    assert "path length constraint exceeded" in verdict(made, "gw-1.local", issuer=chain)


def test_what_phones_trust_is_constrained_critically(made: Path) -> None:
    for path in (made / "web-root.pem", made / "gateways" / "gw-1.pem"):
        found = load_certificate(path).extensions.get_extension_for_class(x509.NameConstraints)
        assert found.critical
        networks = [name.value for name in found.value.permitted_subtrees or [] if isinstance(name, x509.IPAddress)]
        assert ipaddress.ip_network("192.168.0.0/16") in networks
        assert all(network.is_private for network in networks)


def test_an_issuer_does_not_outlive_its_root(tmp_path: Path) -> None:
    root = make_root(tmp_path, "Salsa Brava", 5)
    assert make_issuer(tmp_path, "gw-1", 50).until == root.until


def test_the_commands(tmp_path: Path) -> None:
    init = run("init", "--directory", tmp_path / "pki", "--name", "Salsa Brava")
    assert init.exit_code == 0
    assert "web-root.pem made, valid until" in init.output
    assert "SHA-256 " in init.output
    assert "is there already" in run("init", "--directory", tmp_path / "pki").output
    issued = run("issue", "gw-1", "gw-2", "--directory", tmp_path / "pki")
    assert issued.exit_code == 0, issued.output
    assert issued.output.count("made, valid") == 2
    before = (tmp_path / "pki/gateways/gw-1.pem").read_bytes()
    assert "is there already" in run("issue", "gw-1", "--directory", tmp_path / "pki").output
    assert (tmp_path / "pki/gateways/gw-1.pem").read_bytes() == before
    assert "gw-1.pem made" in run("issue", "gw-1", "--renew", "--directory", tmp_path / "pki").output
    assert (tmp_path / "pki/gateways/gw-1.pem").read_bytes() != before
    for key in (tmp_path / "pki").rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_is_missing_or_mixed_up_is_said(tmp_path: Path) -> None:
    no_root = run("issue", "gw-1", "--directory", tmp_path / "pki")
    assert no_root.exit_code == 2
    assert "web-pki init" in no_root.output
    make_root(tmp_path / "pki", "One", 30)
    make_root(tmp_path / "other", "Two", 30)
    bad_name = run("issue", "gw/1", "--directory", tmp_path / "pki")
    assert bad_name.exit_code == 2
    (tmp_path / "other/web-root.key").replace(tmp_path / "pki/web-root.key")
    mixed = run("issue", "gw-1", "--directory", tmp_path / "pki")
    assert mixed.exit_code == 2
    assert "is not the key of web-root.pem" in mixed.output


def test_the_label(tmp_path: Path) -> None:
    make_root(tmp_path / "pki", "Salsa Brava", 30)
    make_issuer(tmp_path / "pki", "gw-1", 30)
    path = write_config(tmp_path, 8443)
    issuer = 'issuer = "pki/gateways/gw-1.pem"\nissuer_key = "pki/gateways/gw-1.key"\nnames = ["gw-1.local"]\n'
    in_clear = CliRunner().invoke(main, ["qr", "--config", str(path)])
    assert in_clear.exit_code == 2
    assert "web-pki issue" in in_clear.output
    path.write_text(path.read_text().replace("[http]\n", f'[http]\nhost = "192.168.1.20"\n{issuer}'))
    shown = CliRunner().invoke(main, ["qr", "--config", str(path)])
    assert shown.exit_code == 0, shown.output
    told = CliRunner().invoke(main, ["gateway", "setup-code", "--config", str(path)]).output.strip()
    card = Card(
        "gw-1",
        "mercado-12",
        ["https://gw-1.local:8443/", "https://192.168.1.20:8443/"],
        ["http://gw-1.local/", "http://gw-1.local:8081/"],
        fingerprint(load_certificate(tmp_path / "pki/web-root.pem")),
    )
    assert shown.output == for_terminal(card, told) + "\n"
    label = CliRunner().invoke(main, ["qr", "--config", str(path), "--svg", str(tmp_path / "label.svg")])
    assert label.exit_code == 0
    assert (tmp_path / "label.svg").read_text() == as_svg(card, told)
