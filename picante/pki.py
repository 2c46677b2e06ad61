"""A certificate authority for a shop's broker: what it signed and what it revoked, as PEM files in one directory.

    ca.pem, ca.key                  the authority; whoever has its key can let anybody in
    crl.pem                         what is revoked; the broker reads it
    broker.pem, broker.key          the broker's certificate, for the names under which it is reached
    gateway.pem, gateway.key        the gateway's
    home-assistant.pem, ...key      Home Assistant's, or that of another reader of what the gateway publishes for it
    dispensers/NAME.pem, NAME.key   one for each dispenser
    issued/SERIAL.pem               every certificate that was ever signed: what `revoke` looks through

The broker takes a client's common name for its user: a dispenser's is its name, the others' have a dot, which no
dispenser's has. Keys are of P-256, which microcontrollers can use, and nobody else may read them.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.certificates import (
    CLOCK_SLACK,
    Request,
    common_name,
    general_names,
    load_certificate,
    load_key,
    names_of,
    new_key,
    pem_of,
    sign,
    sign_own,
    write_pem,
)
from heat.errors import ConfigError, DataError
from heat.identity import check_name
from picante.errors import writing

Kind = Literal["broker", "gateway", "home-assistant", "dispenser"]
COMMON_NAMES = {"broker": "picante.broker", "gateway": "picante.gateway", "home-assistant": "picante.home-assistant"}
"""Of all but dispensers; `deploy/mosquitto/acl` grants by them."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in its file, with its key beside it."""

    path: Path
    until: datetime
    made: bool
    """False: it was there already, and stays."""


class Authority:
    """The authority of a directory. `init` makes it, `open` locks it for one use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._certificate = load_certificate(directory / "ca.pem")
        self._key = load_key(directory / "ca.key")
        if self._key.public_key() != self._certificate.public_key():
            raise ConfigError(
                f"{directory / 'ca.key'}: is not the key of ca.pem", hint="Put back the two of one making"
            )

    @classmethod
    def init(cls, directory: Path, name: str, days: int) -> Issued:
        """Make an authority and an empty list of revocations; what is there already stays as it is.

        Raises:
            ConfigError: half of one is there, or the directory can't be written.
        """
        certificate, key = directory / "ca.pem", directory / "ca.key"
        made = not (certificate.exists() or key.exists())
        if made:
            with writing(directory):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                own = new_key()
                write_pem(key, pem_of(own), 0o600)
                write_pem(certificate, sign_own(own, name, days).public_bytes(Encoding.PEM), 0o644)
        with cls.open(directory) as authority:
            if not (directory / "crl.pem").exists():
                authority.revoke_again()
            return Issued(certificate, authority.until, made)

    @classmethod
    @contextlib.contextmanager
    def open(cls, directory: Path) -> Iterator[Authority]:
        """The authority of a directory, for this process alone.

        Raises:
            ConfigError: there is none, or its files can't be used.
        """
        try:
            lock = (directory / "ca.key").open("rb")
        except OSError as error:
            hint = "Make an authority with picante gateway pki init, or give its --directory"
            raise ConfigError(f"{directory / 'ca.key'}: {error.strerror}", hint=hint) from error
        with lock, writing(directory):
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield cls(directory)

    @property
    def until(self) -> datetime:
        """Until when the authority is good, and all that it signed."""
        return self._certificate.not_valid_after_utc

    def issue(self, kind: Kind, name: str, hosts: Sequence[str], days: int, *, renew: bool = False) -> Issued:
        """A certificate and its key; one that is there and not revoked stays, unless it is to be renewed.

        `name` counts for dispensers alone, `hosts` (names and addresses) for the broker alone. No certificate outlives
        the authority. What is renewed is not revoked: the old one goes on until it is.

        Raises:
            ConfigError: the name or a host can't be one, or the one that is there is damaged or for other hosts.
        """
        common, path = self._place(kind, name)
        names = general_names(hosts) if kind == "broker" else ()
        if path.exists() and not renew:
            there = self._there(path)
            if not self._is_revoked(there):
                if kind == "broker" and names_of(there) != names:
                    raise ConfigError(f"{path}: is for other names", hint="Add --renew to have one for these")
                return Issued(path, there.not_valid_after_utc, made=False)
        key = new_key()
        signed = sign(self._certificate, self._key, Request(common, key, days, names))
        pem = signed.public_bytes(Encoding.PEM)
        write_pem(self._directory / "issued" / f"{signed.serial_number:x}.pem", pem, 0o644)
        write_pem(path.with_suffix(".key"), pem_of(key), 0o600)
        write_pem(path, pem, 0o644)
        return Issued(path, signed.not_valid_after_utc, made=True)

    def revoke(self, kind: Kind, name: str) -> int:
        """Revoke every certificate that was signed for somebody and is not revoked yet; how many these were.

        Raises:
            ConfigError: none was ever signed for this name.
        """
        common, _ = self._place(kind, name)
        theirs = [found for found in self._issued() if common_name(found) == common]
        if not theirs:
            raise ConfigError(f"no certificate was signed for {name or kind}", hint="picante gateway pki list has all")
        fresh = [found for found in theirs if not self._is_revoked(found)]
        now = datetime.now(UTC)
        entries = [
            x509.RevokedCertificateBuilder().serial_number(found.serial_number).revocation_date(now).build()
            for found in fresh
        ]
        # written even if there was nothing new: whoever runs it again wants the file
        self._write_revocations([*self._revocations(), *entries])
        return len(fresh)

    def revoke_again(self) -> None:
        """Write the list of revocations anew, with what it had."""
        self._write_revocations(self._revocations())

    def everything(self) -> list[tuple[str, datetime, bool]]:
        """Whom certificates were signed for, until when, and whether each was revoked; by name, the newest last."""
        found = [(common_name(one), one.not_valid_after_utc, self._is_revoked(one)) for one in self._issued()]
        return sorted(found)

    # -- files --------------------------------------------------------------------------------------------------------

    def _place(self, kind: Kind, name: str) -> tuple[str, Path]:
        """Somebody's common name, and where the certificate lies."""
        if kind != "dispenser":
            return COMMON_NAMES[kind], self._directory / f"{kind}.pem"
        try:
            return check_name(name, "dispenser"), self._directory / "dispensers" / f"{name}.pem"
        except DataError as error:
            raise ConfigError(error.args[0], hint=error.hint) from error

    def _there(self, path: Path) -> x509.Certificate:
        certificate, key = load_certificate(path), load_key(path.with_suffix(".key"))
        if certificate.public_key() != key.public_key() or certificate.issuer != self._certificate.subject:
            hint = "Add --renew to have both made anew"
            raise ConfigError(f"{path}: is not this authority's, or its key is another's", hint=hint)
        return certificate

    def _issued(self) -> list[x509.Certificate]:
        return [load_certificate(path) for path in sorted((self._directory / "issued").glob("*.pem"))]

    def _revocations(self) -> list[x509.RevokedCertificate]:
        path = self._directory / "crl.pem"
        try:
            return list(x509.load_pem_x509_crl(path.read_bytes()))
        except FileNotFoundError as error:
            if not (self._directory / "issued").exists():
                return []
            hint = "Put back the broker's copy"
            raise ConfigError(f"{path}: is gone, and with it who was revoked", hint=hint) from error
        except ValueError as error:
            hint = "Put back the broker's copy"
            raise ConfigError(f"{path}: no list of revocations in PEM", hint=hint) from error

    def _is_revoked(self, certificate: x509.Certificate) -> bool:
        return any(entry.serial_number == certificate.serial_number for entry in self._revocations())

    def _write_revocations(self, entries: Sequence[x509.RevokedCertificate]) -> None:
        # good for as long as the authority: past its date, a broker would refuse everybody
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(datetime.now(UTC) - CLOCK_SLACK)
            .next_update(self.until)
            .add_extension(x509.CRLNumber(len(entries)), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        write_pem(self._directory / "crl.pem", builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM), 0o644)


# -- files ----------------------------------------------------------------------------------------------------------
