"""What a shop's certificates say: an authority's own, and those that it signs. Keys are of P-256.

A certificate is for one thing: a broker's, which has the names of its host, serves; everybody else's is for clients.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from heat.errors import ConfigError

Key = ec.EllipticCurvePrivateKey
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
    """Of a broker."""


def sign_own(key: Key, name: str, days: int) -> x509.Certificate:
    """An authority's certificate, by its own key."""
    return (
        _builder(name, key, datetime.now(UTC) + timedelta(days=days))
        .issuer_name(_named(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .sign(key, SHA256())
    )


def sign(authority: x509.Certificate, authority_key: Key, request: Request) -> x509.Certificate:
    """A certificate that an authority signs; it does not outlive the authority."""
    usage = ExtendedKeyUsageOID.SERVER_AUTH if request.hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    until = min(datetime.now(UTC) + timedelta(days=request.days), authority.not_valid_after_utc)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(request.common_name, request.key, until)
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
    """The names and addresses of a broker's."""
    return tuple(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def general_names(hosts: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    """Names and addresses as a certificate has them. Raises ConfigError."""
    return tuple(_host(host) for host in sorted(set(hosts)))


def _builder(name: str, key: Key, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - CLOCK_SLACK)
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
