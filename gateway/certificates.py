"""What a shop's certificates say: an authority's own, and those that it signs. Keys are of P-256.

A certificate is for one thing: a broker's or a page's, which has the names of its host, serves; everybody else's is for
clients. Those of pages come from a root that phones trust, which has issuers sign; neither can sign for what is not in
a shop's own network (RFC 5280, 4.2.1.10), so that whoever steals one can't be anybody's bank.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from heat.errors import ConfigError

Key = ec.EllipticCurvePrivateKey
LOCAL_DOMAINS = ("local", "internal")
"""Domains that no public name server knows."""
LOCAL_NETWORKS: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)
"""Addresses that mean something else in each network."""
CLOCK_SLACK = timedelta(days=1)
"""A certificate is valid from so long before it was made: the clocks of a shop are not set to the second."""


def new_key() -> Key:
    """A key of P-256, which microcontrollers can use."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants a certificate, for which key, and for how long."""

    common_name: str
    key: Key
    days: int
    hosts: tuple[x509.GeneralName, ...] = ()
    """Of a broker or a page."""


def sign_own(key: Key, name: str, days: int) -> x509.Certificate:
    """An authority's certificate, by its own key."""
    return _authority(key, name, days, path_length=0).sign(key, SHA256())


def sign_root(key: Key, name: str, days: int) -> x509.Certificate:
    """The certificate of a root whose issuers sign for pages in local networks alone, by its own key."""
    return _authority(key, name, days, path_length=1).add_extension(_local(), critical=True).sign(key, SHA256())


def _authority(key: Key, name: str, days: int, path_length: int) -> x509.CertificateBuilder:
    return (
        _builder(name, key, datetime.now(UTC) + timedelta(days=days))
        .issuer_name(_named(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
    )


def sign_issuer(root: x509.Certificate, root_key: Key, request: Request) -> x509.Certificate:
    """The certificate of an issuer of pages' certificates; it does not outlive the root."""
    until = min(datetime.now(UTC) + timedelta(days=request.days), root.not_valid_after_utc)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return (
        _builder(request.common_name, request.key, until)
        .issuer_name(root.subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_local(), critical=True)
        .add_extension(signer, critical=False)
        .sign(root_key, SHA256())
    )


def _local() -> x509.NameConstraints:
    names = [x509.DNSName(domain) for domain in LOCAL_DOMAINS]
    return x509.NameConstraints([*names, *map(x509.IPAddress, LOCAL_NETWORKS)], None)


def is_local(host: str) -> bool:
    """Whether an issuer may sign for this name or address."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return any(address in network for network in LOCAL_NETWORKS if network.version == address.version)
    return host.lower().rpartition(".")[2] in LOCAL_DOMAINS and "." in host


def sign(
    authority: x509.Certificate, authority_key: Key, request: Request, now: datetime | None = None
) -> x509.Certificate:
    """A certificate that an authority signs as of `now`; it does not outlive the authority."""
    usage = ExtendedKeyUsageOID.SERVER_AUTH if request.hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    now = now or datetime.now(UTC)
    until = min(now + timedelta(days=request.days), authority.not_valid_after_utc)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(request.common_name, request.key, until, now)
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(signer, critical=False)
    )
    if request.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(request.hosts), critical=False)
    return builder.sign(authority_key, SHA256())


def common_name(certificate: x509.Certificate) -> str:
    """Whose it is."""
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def names_of(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    """The names and addresses of a broker's or a page's."""
    return tuple(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def general_names(hosts: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    """Names and addresses as a certificate has them. Raises ConfigError."""
    return tuple(_host(host) for host in sorted(set(hosts)))


def _builder(name: str, key: Key, until: datetime, now: datetime | None = None) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now or datetime.now(UTC)) - CLOCK_SLACK)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", host, re.IGNORECASE):
        raise ConfigError(f"{host!r} is no host", hint="Give a name or an address, without a port")
    return x509.DNSName(host.lower())


# -- files ----------------------------------------------------------------------------------------------------------


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises ConfigError."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="Put back a copy of the whole directory") from error
    except ValueError as error:
        raise ConfigError(f"{path}: no certificate in PEM", hint="Put back a copy, or have it renewed") from error


def load_key(path: Path) -> Key:
    """The key of a PEM file. Raises ConfigError; the key itself is never repeated."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="Put back a copy, or have it renewed") from error
    except (ValueError, TypeError) as error:  # what it says could hold bytes of the key
        raise ConfigError(f"{path}: no private key in PEM", hint="Put back a copy, or have it renewed") from error
    if not isinstance(key, Key):
        raise ConfigError(f"{path}: no key of an elliptic curve", hint="Put back the one that was made here")
    return key


def pem_of(key: Key) -> bytes:
    """A key as PEM, in clear."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_pem(path: Path, content: bytes, mode: int) -> None:
    """Write a file in one step: nobody finds half of it, or a key open for a moment. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123 -- with a mode
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
