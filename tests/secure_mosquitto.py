"""The shop's broker as `deploy/mosquitto/` has it, on loopback: TLS, a certificate for everybody, rights by name.

with SecureMosquitto(directory, store="shop-1") as broker:
    broker.pair("gateway")  # certificate and key of the gateway
    broker.pair("dispenser", "bar-1")
    broker.revoke("bar-1"), broker.restart()
"""

from __future__ import annotations

import getpass
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from picante.pki import Authority, Kind
from tests.certificates import Authority as CertificateAuthority
from tests.certificates import Pair
from tests.servers import MosquittoServer

DEPLOY = Path(__file__).parents[1] / "deploy" / "mosquitto"
STORE = "shop-1"
AUDITOR = "\nuser test.auditor\ntopic read #\n"
"""Added to the rights: who hears all that the broker lets through."""


class SecureMosquitto(MosquittoServer):
    """See the module. `authority` is the directory of `picante gateway pki`, `edit` changes mosquitto.conf."""

    def __init__(self, directory: Path, store: str = STORE, edit: Callable[[str], str] = str) -> None:
        self.store = store
        self.authority = directory / "pki"
        self._edit = edit
        Authority.init(self.authority, "Test", 30)
        with Authority.open(self.authority) as authority:
            authority.issue("broker", "", [self.host], 10)
        super().__init__(directory)

    @property
    def ca(self) -> Path:
        return self.authority / "ca.pem"

    def pair(self, kind: Kind, name: str = "") -> Pair:
        """Somebody's certificate and key, made now if need be."""
        with Authority.open(self.authority) as authority:
            path = authority.issue(kind, name, (), 10).path
        return Pair(path, path.with_suffix(".key"))

    def auditor(self) -> Pair:
        """The certificate of somebody who hears everything."""
        return CertificateAuthority.of(self.ca).sign("test.auditor")

    def revoke(self, dispenser: str) -> None:
        """Revoke a dispenser's certificates; it counts after `restart`."""
        with Authority.open(self.authority) as authority:
            authority.revoke("dispenser", dispenser)
        self._install()

    def restart(self) -> None:
        """As `systemctl restart mosquitto`."""
        self.stop()
        self.start()

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        """A client's side of TLS, with a certificate or without."""
        tls = ssl.create_default_context(cafile=str(self.ca))
        if pair is not None:
            tls.load_cert_chain(pair.certificate, pair.key)
        return tls

    def _install(self) -> Path:
        """Copy what the broker reads to where its configuration says."""
        place = self.directory / "etc"
        place.mkdir(exist_ok=True)
        for name in ("ca.pem", "crl.pem", "broker.pem", "broker.key"):
            shutil.copy(self.authority / name, place)
        (place / "acl").write_text((DEPLOY / "acl").read_text().replace("STORE", self.store) + AUDITOR)
        return place

    def _settings(self, autosave_s: int) -> str:
        text = self._edit((DEPLOY / "mosquitto.conf").read_text())
        for old, new in (
            ("listener 8883", f"listener {self.port} {self.host}"),
            ("/etc/mosquitto/picante", str(self._install())),
            ("/var/lib/mosquitto/", f"{self.directory}/"),
            ("autosave_interval 1800", f"autosave_interval {autosave_s}"),
        ):
            assert old in text, f"{old} is gone from mosquitto.conf"
            text = text.replace(old, new)
        return f"{text}\nuser {getpass.getuser()}\nlog_dest stderr\n"

    def _serves(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 1.0).close()
        except OSError:
            return False
        return True
