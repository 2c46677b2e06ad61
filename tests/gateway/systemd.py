"""What systemd does for a `Type=notify` service with a watchdog, as far as the gateway can tell."""

from __future__ import annotations

import socket
import time
from collections import deque
from pathlib import Path

FREEZING = Path(__file__).parent / "freezing"


class Systemd:
    """Takes a daemon's messages, and knows when its watchdog has run out."""

    def __init__(self, directory: Path, limit_s: float) -> None:
        self._limit_s = limit_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        path = directory / "notify"
        self._socket.bind(str(path))
        self.environment = {
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(int(limit_s * 1e6)),
            "PYTHONPATH": str(FREEZING),
        }
        self.told: deque[dict[str, str]] = deque(maxlen=1_000)
        """Messages since the daemon was started, by name."""
        self._sign_s = 0.0

    def close(self) -> None:
        """Hear nothing any more."""
        self._socket.close()

    def forget(self) -> None:
        """Forget what a daemon said that is gone."""
        self.listen()
        self.told.clear()

    def listen(self) -> None:
        """Take what has come."""
        while True:
            try:
                message = self._socket.recv(4096).decode()
            except BlockingIOError:
                return
            self.told.append(dict(line.split("=", 1) for line in message.splitlines()))
            if self.told[-1].keys() & {"READY", "WATCHDOG"}:
                self._sign_s = time.monotonic()

    def count(self, name: str) -> int:
        """How often a word came."""
        self.listen()
        return sum(name in message for message in self.told)

    def expired(self) -> bool:
        """Whether systemd would kill the daemon now: it was ready, and no beat came for as long as is allowed."""
        return self.count("READY") > 0 and time.monotonic() - self._sign_s > self._limit_s
