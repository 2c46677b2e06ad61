"""The public parts of the certificates that a configuration names: whose they are, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from cryptography import x509

from gateway.config import Config

LEAF_FILE = "web-leaf.pem"
"""In the data directory: the page's own certificate, and what it needs. `gateway.web.leaf` makes it."""
LEAF, ISSUER = "http.leaf", "http.issuer"
"""Keys of certificates; no configuration names the first."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate, without its key."""

    key: str
    """Of gateway.toml, that names it."""
    path: Path
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime


def certificates(config: Config) -> Iterator[Certificate]:
    """Those of Kafka, MQTT and the page, ours and the authorities'; what can't be read is told of elsewhere."""
    for name in ("kafka", "mqtt", "http"):
        section = getattr(config, name)
        for key in ("certificate", "ca", "issuer"):
            named: str | None = getattr(section, key, None)
            if named is not None:
                yield from read(config.path(named), f"{name}.{key}")
    if config.http.issuer is not None:
        chain = read(config.path(config.gateway.data_dir) / LEAF_FILE, LEAF)
        yield from islice(chain, 1)  # the issuer's is told of where gateway.toml names it


def read(path: Path, key: str) -> Iterator[Certificate]:
    """The certificates of a PEM file."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return
    for one in found:
        yield Certificate(
            key,
            path,
            one.subject.rfc4514_string(),
            one.issuer.rfc4514_string(),
            one.not_valid_before_utc,
            one.not_valid_after_utc,
        )
