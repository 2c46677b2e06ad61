"""HTTP over a Unix socket, for those at the machine itself; a path may be longer than the kernel takes (107 bytes)."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

LONGEST_PATH_BYTES = 107


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """The path of a socket as `bind` and `connect` take it, while the context lasts. Raises OSError."""
    text = str(path.absolute())
    if len(os.fsencode(text)) <= LONGEST_PATH_BYTES:
        yield text
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class UnixConnection(http.client.HTTPConnection):
    """A connection to whoever listens on a socket's path."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        with short_path(self._path) as path:
            self.sock.connect(path)
