"""`[kafka]` and `[mqtt]` of gateway.toml -> how the gateway proves itself there, and whom it trusts.

Called at the start, where a mistake stops the daemon, and again before each connection: a password that was mended and
a certificate that was renewed count at once. What time alone breaks (a certificate that expires, or is not valid yet
for a clock that stands in 1970) stops nothing here: the brokers tell, and the rest of the gateway goes on.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from cloud_sync.credentials import CredentialFiles
from cloud_sync.settings import Security
from firmware_bridge.mqtt_settings import Credentials
from gateway.config import Config
from heat.errors import ConfigError


def load_security(config: Config) -> Security:
    """Read the files that `[kafka]` names.

    Raises:
        ConfigError: with key, file and remedy; no secret is repeated.
    """
    kafka = config.kafka
    if kafka is None:
        return Security()
    files = CredentialFiles(config, "kafka", kafka)
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
    files = CredentialFiles(config, "mqtt", config.mqtt)
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
