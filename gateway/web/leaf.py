"""The page's certificate: signed by this gateway's own issuer, and anew when addresses change or time runs out.

    [http] issuer      PEM: the issuer's certificate, then the root's, as `picante gateway web-pki issue` writes them
    [http] issuer_key  PEM: the issuer's key, mode 0600
    <data_dir>/web-leaf.pem   the certificate in use, the issuer's, and the key: made here, mode 0600

A Pi may start without a clock. Its certificate is then dated by the issuer's, which is later than 1970 and earlier than
any phone; it is made anew once the time is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cloud_sync.private import check_private, read_text
from gateway.certificates import (
    Request,
    general_names,
    is_local,
    load_certificate,
    load_key,
    names_of,
    new_key,
    pem_of,
    sign,
    write_pem,
)
from gateway.config import Config
from gateway.named_certificates import LEAF_FILE
from gateway.web.addresses import own_addresses
from heat.errors import ConfigError

log = logging.getLogger("gateway.web")

DAYS = 90
"""Days that a certificate is good for; phones refuse those of more than 825."""
RENEWED_DAYS = 30
"""Days before its end at which it is made anew."""
LOOK_S = 30.0
"""s between two looks at addresses and time."""
ANY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 -- what is listened on is the configuration's to say


class Leaf:
    """The certificate that the page is served with. `look` in any thread, one at a time."""

    def __init__(self, config: Config) -> None:
        """Read the issuer's files.

        Raises:
            ConfigError: with key, file and remedy.
        """
        http = config.http
        assert http.issuer is not None
        self._config = config
        path, key_path = config.path(http.issuer), config.path(http.issuer_key)
        check_private(key_path, "http.issuer_key")
        self.issuer, self._key = load_certificate(path), load_key(key_path)
        if self.issuer.public_key() != self._key.public_key():
            hint = "Bring both files of one making: picante gateway web-pki issue"
            raise ConfigError(f"{key_path}: is not the key of {path}", hint=hint)
        self.root = _root_of(path, self.issuer)
        self._path = config.path(config.gateway.data_dir) / LEAF_FILE
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.names: frozenset[str] = frozenset()
        """Names and addresses that the certificate is for."""
        self.until = datetime.min.replace(tzinfo=UTC)
        """When the certificate in use ends."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root's certificate, as phones show it."""
        return fingerprint(self.root)

    def look(self, now: datetime) -> None:
        """Make the certificate anew, if there is a reason to.

        Raises:
            OSError: it can't be written.
        """
        names = names_wanted(self._config)
        now = max(now, self.issuer.not_valid_before_utc)
        if not self.names:
            # there is none yet, a damaged one, or one of an issuer before this
            with contextlib.suppress(ConfigError, OSError, ssl.SSLError, InvalidSignature):
                self._use(load_certificate(self._path))
        reason = self._reason(names, now)
        if reason is not None:
            self._make(names, now)
            log.info("the page has a new certificate, for %s: %s", ", ".join(sorted(names)), reason)

    def _reason(self, names: frozenset[str], now: datetime) -> str | None:
        if not self.names:
            return "there was none"
        if names != self.names:
            return "the addresses changed"
        last = min(self.until, self.issuer.not_valid_after_utc)
        if last - now < timedelta(days=RENEWED_DAYS) and last < self.issuer.not_valid_after_utc:
            return "the old one ends soon"
        if self.until - now > timedelta(days=DAYS + 1):
            return "the old one was made when the clock was ahead"
        return None

    def _make(self, names: frozenset[str], now: datetime) -> None:
        key = new_key()
        request = Request(self._config.gateway.id, key, DAYS, general_names(sorted(names)))
        signed = sign(self.issuer, self._key, request, now)
        chain = b"".join(each.public_bytes(Encoding.PEM) for each in (signed, self.issuer))
        write_pem(self._path, chain + pem_of(key), 0o600)
        self._use(signed)

    def _use(self, certificate: x509.Certificate) -> None:
        try:
            certificate.verify_directly_issued_by(self.issuer)
        except ValueError as error:
            raise ConfigError(f"{self._path}: is not this issuer's", hint="It is made anew") from error
        self.context.load_cert_chain(self._path)  # who comes from now on gets it
        self.names = frozenset(str(name.value).lower() for name in names_of(certificate))
        self.until = certificate.not_valid_after_utc

    async def keep(self) -> NoReturn:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(self.look, datetime.now(UTC))
            except OSError as error:  # the disk is full: the store tells of it
                log.warning("the page's certificate can't be made anew: %s", error)


def check_issuer(config: Config) -> None:
    """Read what certificates are signed with, if there is any. Raises ConfigError."""
    if config.http.issuer is not None:
        Leaf(config)


def names_wanted(config: Config) -> frozenset[str]:
    """The names and addresses by which phones reach the page, as of now."""
    http = config.http
    addresses = own_addresses() if http.host in ANY_ADDRESS else [http.host]
    names = http.names or _host_name()
    return frozenset({name.lower() for name in (*names, *addresses) if is_local(name)})


def addresses(port: int, hosts: Iterable[str], scheme: str = "https") -> list[str]:
    """The addresses of a page on these hosts, names before numbers."""
    ordered = sorted(hosts, key=lambda host: (not host[-1].isalpha(), ":" in host, host))
    shown = "" if port == {"https": 443, "http": 80}[scheme] else f":{port}"
    return [f"{scheme}://{f'[{host}]' if ':' in host else host}{shown}/" for host in ordered]


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 as phones show it: pairs of hex digits."""
    return certificate.fingerprint(SHA256()).hex(":").upper()


def _root_of(path: Path, issuer: x509.Certificate) -> x509.Certificate:
    try:
        chain = x509.load_pem_x509_certificates(read_text(path, "http.issuer").encode())
    except ValueError as error:
        raise ConfigError(f"{path}: no certificates in PEM", hint="picante gateway web-pki issue makes it") from error
    root = chain[-1]
    if len(chain) != 2 or issuer.issuer != root.subject:
        hint = "It has the issuer's certificate, then the root's: bring the file that picante gateway web-pki made"
        raise ConfigError(f"{path}: is not an issuer with its root", hint=hint)
    return root


def _host_name() -> tuple[str, ...]:
    name = socket.gethostname().partition(".")[0].lower()
    return (f"{name}.local",) if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) else ()
