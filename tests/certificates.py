"""Certificates made on the spot by OpenSSL's command: an authority, and what it signs. Good for a day, or expired.

An authority may be good for longer: a day before its end, a gateway says that it is to be renewed.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files; `both` has one behind the other, as a Kafka broker wants it."""

    certificate: Path
    key: Path

    @property
    def both(self) -> Path:
        return self.certificate.with_suffix(".both")


class Authority:
    """Signs certificates; `.certificate` is what others trust."""

    def __init__(self, directory: Path, name: str, days: int = 1) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._pair = self._files(name)
        self._make_key(self._pair.key)
        _openssl(
            *("req", "-x509", "-new", "-key", self._pair.key, "-subj", f"/CN={name}", "-days", days),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self._pair.certificate),
        )

    @classmethod
    def of(cls, certificate: Path) -> Self:
        """One that was made elsewhere, its key beside it."""
        found = cls.__new__(cls)
        found._directory = certificate.parent
        found._pair = Pair(certificate, certificate.with_suffix(".key"))
        return found

    @property
    def certificate(self) -> Path:
        return self._pair.certificate

    def sign(self, name: str, host: str = "IP:127.0.0.1", *, expired: bool = False, early: bool = False) -> Pair:
        """A certificate for a host (or a client, who needs none); an expired one has been so for a day.

        An early one is valid from 2049 on. Only `openssl ca` makes such ones everywhere, from a file of settings.
        """
        pair = self._files(name)
        request = pair.key.with_suffix(".csr")
        self._make_key(pair.key)
        _openssl(
            *("req", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"),
            *("-out", request),
        )
        if early:
            self._sign_early(request, pair.certificate)
        else:
            self._sign_now(request, pair.certificate, days=-1 if expired else 1)
        pair.both.write_text(pair.key.read_text() + pair.certificate.read_text())
        return pair

    def _sign_now(self, request: Path, certificate: Path, days: int) -> None:
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self._pair.certificate, "-CAkey", self._pair.key),
            *("-copy_extensions", "copy", "-days", days, "-out", certificate),
        )

    def _sign_early(self, request: Path, certificate: Path) -> None:
        index = self._directory / "index"
        index.touch()
        file = self._directory / "ca.cnf"
        file.write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {index}\nnew_certs_dir = {self._directory}\nrand_serial = yes\n"
            "default_md = sha256\npolicy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n"
        )
        _openssl(
            *("ca", "-batch", "-notext", "-config", file, "-cert", self._pair.certificate, "-keyfile", self._pair.key),
            *("-startdate", "20490101000000Z", "-enddate", "20490102000000Z", "-in", request, "-out", certificate),
        )

    def _files(self, name: str) -> Pair:
        return Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")

    def _make_key(self, path: Path) -> None:
        path.touch(0o600)
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _openssl(*words: object) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
