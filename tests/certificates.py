"""Certificates made on the spot by OpenSSL's command: an authority, and what it signs. Good for a day, or expired."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


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

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._pair = self._files(name)
        self._make_key(self._pair.key)
        _openssl(
            *("req", "-x509", "-new", "-key", self._pair.key, "-subj", f"/CN={name}", "-days", 1),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self._pair.certificate),
        )

    @property
    def certificate(self) -> Path:
        return self._pair.certificate

    def sign(self, name: str, host: str = "IP:127.0.0.1", *, expired: bool = False) -> Pair:
        """A certificate for a host (or a client, who needs none); an expired one has been so for a day."""
        pair = self._files(name)
        request = pair.key.with_suffix(".csr")
        self._make_key(pair.key)
        _openssl(
            *("req", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"),
            *("-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self._pair.certificate, "-CAkey", self._pair.key),
            *("-copy_extensions", "copy", "-days", -1 if expired else 1, "-out", pair.certificate),
        )
        pair.both.write_text(pair.key.read_text() + pair.certificate.read_text())
        return pair

    def _files(self, name: str) -> Pair:
        return Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")

    def _make_key(self, path: Path) -> None:
        path.touch(0o600)
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _openssl(*words: object) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
