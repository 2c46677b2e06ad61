"""`[kafka]` and `[mqtt]` of gateway.toml -> how the gateway proves itself there, and whom it trusts.

Called at the start, where a mistake stops the daemon, and again before each connection: a password that was mended and
a certificate that was renewed count at once. What time alone breaks (a certificate that expires, or is not valid yet
for a clock that stands in 1970) stops nothing here: the brokers tell, and the rest of the gateway goes on.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloud_sync.settings import Security
from firmware_bridge.mqtt_settings import Credentials
from gateway.config import Config, TlsSection
from gateway.private import check_private, read_text
from heat.errors import ConfigError

MAX_PASSWORD_CHARS = 4_096
"""Characters; a password file that has more is another file."""


def load_security(config: Config) -> Security:
    """Read the files that `[kafka]` names.

    Raises:
        ConfigError: with key, file and remedy; no secret is repeated.
    """
    kafka = config.kafka
    if kafka is None:
        return Security()
    files = _Files(config, "kafka", kafka)
    tls, password = files.tls(), files.password()
    if password is None:
        return Security(tls)
    return Security(tls, kafka.sasl_mechanism, kafka.username, password)


def load_credentials(config: Config) -> Credentials:
    """Read the files that `[mqtt]` names.

    Raises:
        ConfigError: with key, file and remedy; no secret is repeated.
    """
    if config.mqtt is None:
        return Credentials()
    files = _Files(config, "mqtt", config.mqtt)
    return Credentials(files.tls(), config.mqtt.username, files.password())


def check_dates(config: Config) -> None:
    """Refuse the gateway's own certificates that are not valid now, for whoever asks in time. Raises ConfigError."""
    for name, section in (("kafka", config.kafka), ("mqtt", config.mqtt)):
        if section is not None and section.certificate is not None:
            _check_dates(config.path(section.certificate), f"{name}.certificate", time.time())


def _check_dates(path: Path, key: str, now_s: float) -> None:
    # nothing public decodes a certificate that no connection has brought
    found = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]  # noqa: SLF001
    if now_s > ssl.cert_time_to_seconds(found["notAfter"]):
        raise ConfigError(f"{path}: expired on {found['notAfter']}", hint=f"Put a renewed one where {key} says")
    if now_s < ssl.cert_time_to_seconds(found["notBefore"]):
        raise ConfigError(f"{path}: valid only from {found['notBefore']}", hint="Is this machine's clock right?")


@dataclass(frozen=True, slots=True)
class _Files:
    """What a section's keys name, and how they are called in messages."""

    config: Config
    name: str
    section: TlsSection

    def tls(self) -> ssl.SSLContext | None:
        section, path = self.section, self.config.path
        if not section.tls:
            return None
        tls = ssl.create_default_context() if section.ca is None else self._trusting(path(section.ca))
        if section.certificate is not None and section.key is not None:
            self._identify(tls, path(section.certificate), path(section.key))
        return tls

    def password(self) -> str | None:
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
