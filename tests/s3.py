"""An S3 endpoint for tests: moto's server, a process of ours on loopback. It keeps all in memory."""

from __future__ import annotations

import contextlib
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.servers import LocalServer, ServerUnavailable

MOTO = Path(sys.prefix) / "s3"
"""It wants older libraries than ours: `make dev` gives it a directory of its own."""
READY_S = 30.0
"""Seconds that it may take: two on a machine at rest."""


class S3Server(LocalServer):
    """One bucket, `lake`, open to anyone who signs with whatever keys."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        super().__init__(directory, "s3", port)
        if not (MOTO / "moto").is_dir():
            raise ServerUnavailable(f"no moto in {MOTO}: run make dev")

    @property
    def options(self) -> dict[str, str]:
        """delta-rs' options that lead here."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.host}:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-central-1",
        }

    def start(self) -> None:
        """See `LocalServer.start`; the bucket is empty."""
        run = f"import sys; sys.path.insert(0, {str(MOTO)!r}); from moto.server import main; main(sys.argv[1:])"
        self._spawn([sys.executable, "-c", run, "-H", self.host, "-p", str(self.port)], self._has_bucket, READY_S)

    def _has_bucket(self) -> bool:
        bucket = urllib.request.Request(f"http://{self.host}:{self.port}/lake", method="PUT")
        with contextlib.suppress(OSError), urllib.request.urlopen(bucket, timeout=5) as answer:  # noqa: S310
            return int(answer.status) == 200
        return False
