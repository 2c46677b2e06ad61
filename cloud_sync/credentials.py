"""The keys with which a configuration says how Kafka or an MQTT broker and we prove ourselves, and the files they name.

The gateway's and the cloud's configurations share them. Errors say key, file and remedy; no secret is repeated.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import field_validator

from cloud_sync.private import check_private, read_text
from cloud_sync.settings import Mechanism, addresses
from cloud_sync.toml_file import Document, Section, line_of
from heat.errors import ConfigError

MAX_PASSWORD_CHARS = 4_096
"""Characters; a password file that has more is another file."""


class TlsSection(Section):
    """How a broker and we prove ourselves to each other."""

    tls: bool = False
    """Whether connections are encrypted, and the brokers' certificates checked."""
    ca: str | None = None
    """PEM file of the authorities that are trusted; without it those of the system."""
    certificate: str | None = None
    """PEM file of our own certificate, for brokers that ask for one."""
    key: str | None = None
    """PEM file of the certificate's private key."""
    username: str | None = None
    """Who logs in; without it nobody does."""
    password_file: str | None = None
    """File with the password, and nothing else."""

    def check(self, name: str, path: Path, text: str) -> None:
        """Refuse a key of table `name` that does not go with the others. Raises ConfigError with the key's line."""
        if (wrong := self._contradiction(name)) is not None:
            key, message, hint = wrong
            raise ConfigError(f"{path}:{line_of(text, (name, key))}: {name}.{key} {message}", hint=hint)

    def _contradiction(self, name: str) -> tuple[str, str, str] | None:
        """A key that does not go with the others, what is wrong with it, and what to do."""
        if not self.tls:
            for key in ("ca", "certificate", "key"):
                if getattr(self, key) is not None:
                    return key, "has no use without TLS", f"Set tls = true in [{name}], or leave it out"
        for one, other in (("certificate", "key"), ("username", "password_file")):
            for key, needs in ((one, other), (other, one)):
                if getattr(self, key) is not None and getattr(self, needs) is None:
                    return key, f"needs {name}.{needs}", f"Set {needs} in [{name}], or leave {key} out"
        return None


class KafkaConnection(TlsSection):
    """How Kafka is reached."""

    bootstrap: str
    """HOST:PORT, several separated by commas; an IPv6 address in brackets."""
    sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    """How the password is proved. `PLAIN` sends it, and needs TLS."""

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        addresses(value)
        return value

    def _contradiction(self, name: str) -> tuple[str, str, str] | None:
        if (wrong := super()._contradiction(name)) is not None:
            return wrong
        if not self.tls and self.sasl_mechanism == "PLAIN":
            return "sasl_mechanism", '= "PLAIN" would send the password in clear', f"Set tls = true in [{name}]"
        if "sasl_mechanism" in self.model_fields_set and self.username is None:
            hint = f"Set username and password_file in [{name}], or leave it out"
            return "sasl_mechanism", f"needs {name}.username", hint
        return None


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """What a section's keys name, and how they are called in messages."""

    config: Document
    name: str
    section: TlsSection

    def tls(self) -> ssl.SSLContext | None:
        """A context that trusts and presents what the files hold; None without TLS. Raises ConfigError."""
        section, path = self.section, self.config.path
        if not section.tls:
            return None
        tls = ssl.create_default_context() if section.ca is None else self._trusting(path(section.ca))
        if section.certificate is not None and section.key is not None:
            self._identify(tls, path(section.certificate), path(section.key))
        return tls

    def password(self) -> str | None:
        """The password; None where nobody logs in. Raises ConfigError."""
        if self.section.password_file is None:
            return None
        path, name = self.config.path(self.section.password_file), f"{self.name}.password_file"
        check_private(path, name)
        password = read_text(path, name).rstrip("\r\n")
        if not password or len(password) > MAX_PASSWORD_CHARS or not password.isprintable():
            raise ConfigError(f"{path}: not a password", hint=f"{name} names a file with one line, the password")
        return password

    def _trusting(self, ca: Path) -> ssl.SSLContext:
        read_text(ca, f"{self.name}.ca")
        try:
            return ssl.create_default_context(cafile=str(ca))
        except ssl.SSLError as error:
            hint = f"{self.name}.ca names a file with the authority's certificate: -----BEGIN CERTIFICATE-----"
            raise ConfigError(f"{ca}: no certificate in PEM", hint=hint) from error

    def _identify(self, tls: ssl.SSLContext, certificate: Path, key: Path) -> None:
        certificate_key, key_key = f"{self.name}.certificate", f"{self.name}.key"
        if "-----BEGIN CERTIFICATE-----" not in read_text(certificate, certificate_key):
            hint = f"{certificate_key} names a file with the gateway's certificate: -----BEGIN CERTIFICATE-----"
            raise ConfigError(f"{certificate}: no certificate in PEM", hint=hint)
        check_private(key, key_key)
        if "PRIVATE KEY-----" not in read_text(key, key_key):
            hint = f"{key_key} names a file with the certificate's key: -----BEGIN PRIVATE KEY-----"
            raise ConfigError(f"{key}: no private key in PEM", hint=hint)
        try:
            tls.load_cert_chain(certificate, key, _no_passphrase(key))
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                hint = f"{key_key} must be the key that {certificate_key} was made for"
                raise ConfigError(f"{key}: does not fit {certificate}", hint=hint) from error
            hint = f"{certificate_key} and {key_key} must be whole PEM files"
            raise ConfigError(f"{certificate} or {key}: damaged ({error.reason})", hint=hint) from error


def _no_passphrase(key: Path) -> Callable[[], str]:
    """For a key that is locked: OpenSSL would ask on the terminal otherwise."""

    def refuse() -> str:
        hint = f"Nobody is there to type it. Write the key without: openssl pkey -in {key} -out NEW, mode 0600"
        raise ConfigError(f"{key}: locked by a passphrase", hint=hint)

    return refuse
