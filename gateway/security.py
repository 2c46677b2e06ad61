"""`[kafka]` of gateway.toml -> how the uplink proves itself and whom it trusts (`cloud_sync.settings.Security`).

Called at the start, where a mistake stops the daemon, and again before each connection: a password that was mended and
a certificate that was renewed count at once. What time alone breaks (a certificate that expires, or is not valid yet
for a clock that stands in 1970) stops nothing here: the brokers tell, and dispensers are served meanwhile.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cloud_sync.settings import Security
from gateway.config import Config, KafkaSection
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
    tls = _tls(config, kafka) if kafka.tls else None
    if kafka.username is None or kafka.password_file is None:
        return Security(tls)
    return Security(tls, kafka.sasl_mechanism, kafka.username, _password(config.path(kafka.password_file)))


def check_dates(config: Config) -> None:
    """Refuse the gateway's own certificate if it is not valid now, for whoever asks in time. Raises ConfigError."""
    if config.kafka is None or config.kafka.certificate is None:
        return
    path, now_s = config.path(config.kafka.certificate), time.time()
    # nothing public decodes a certificate that no connection has brought
    found = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]  # noqa: SLF001
    if now_s > ssl.cert_time_to_seconds(found["notAfter"]):
        hint = "Put a renewed one where kafka.certificate says"
        raise ConfigError(f"{path}: expired on {found['notAfter']}", hint=hint)
    if now_s < ssl.cert_time_to_seconds(found["notBefore"]):
        raise ConfigError(f"{path}: valid only from {found['notBefore']}", hint="Is this machine's clock right?")


def _password(path: Path) -> str:
    name = "kafka.password_file"
    check_private(path, name)
    password = read_text(path, name).rstrip("\r\n")
    if not password or len(password) > MAX_PASSWORD_CHARS or not password.isprintable():
        raise ConfigError(f"{path}: not a password", hint=f"{name} names a file with one line, the password")
    return password


def _tls(config: Config, kafka: KafkaSection) -> ssl.SSLContext:
    tls = ssl.create_default_context() if kafka.ca is None else _trusting(config.path(kafka.ca))
    if kafka.certificate is not None and kafka.key is not None:
        _identify(tls, config.path(kafka.certificate), config.path(kafka.key))
    return tls


def _trusting(ca: Path) -> ssl.SSLContext:
    read_text(ca, "kafka.ca")
    try:
        return ssl.create_default_context(cafile=str(ca))
    except ssl.SSLError as error:
        hint = "kafka.ca names a file with the authority's certificate: -----BEGIN CERTIFICATE-----"
        raise ConfigError(f"{ca}: no certificate in PEM", hint=hint) from error


def _identify(tls: ssl.SSLContext, certificate: Path, key: Path) -> None:
    if "-----BEGIN CERTIFICATE-----" not in read_text(certificate, "kafka.certificate"):
        hint = "kafka.certificate names a file with the gateway's certificate: -----BEGIN CERTIFICATE-----"
        raise ConfigError(f"{certificate}: no certificate in PEM", hint=hint)
    check_private(key, "kafka.key")
    if "PRIVATE KEY-----" not in read_text(key, "kafka.key"):
        hint = "kafka.key names a file with the certificate's key: -----BEGIN PRIVATE KEY-----"
        raise ConfigError(f"{key}: no private key in PEM", hint=hint)
    try:
        tls.load_cert_chain(certificate, key, _no_passphrase(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            hint = "kafka.key must be the key that kafka.certificate was made for"
            raise ConfigError(f"{key}: does not fit {certificate}", hint=hint) from error
        hint = "kafka.certificate and kafka.key must be whole PEM files"
        raise ConfigError(f"{certificate} or {key}: damaged ({error.reason})", hint=hint) from error


def _no_passphrase(key: Path) -> Callable[[], str]:
    """For a key that is locked: OpenSSL would ask on the terminal otherwise."""

    def refuse() -> str:
        hint = f"Nobody is there to type it. Write the key without: openssl pkey -in {key} -out NEW, mode 0600"
        raise ConfigError(f"{key}: locked by a passphrase", hint=hint)

    return refuse
