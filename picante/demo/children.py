"""The demo's child processes: started in sessions of their own, ended by pid, never left behind.

A terminal's Ctrl-C reaches only the demo itself, which then ends its children in order; should the demo be killed, the
kernel ends them (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from heat.errors import PicanteError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One child process, its output in a log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, directory: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.directory = directory
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 -- one call into libc, no locks
            )

    def restart(self) -> None:
        """Start it again after its end."""
        self.process = self._start()

    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.running():
            os.kill(self.process.pid, number)

    def end(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for what is left after `grace_s`."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"


def end_all(children: Sequence[Child], grace_s: float = 2.0) -> None:
    """End children, the last started first; together they get `grace_s`, then SIGKILL."""
    for child in reversed(children):
        child.signal(signal.SIGCONT)
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for child in reversed(children):
        child.end(max(deadline - time.monotonic(), 0.05))


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this very interpreter."""
    return [sys.executable, "-m", module, *arguments]


def free_port(first: int) -> int:
    """The first TCP port from `first` on that nobody listens on, on loopback."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise PicanteError(f"no free port in {first}..{first + 99}", hint="Give one with --port")


def any_free_port() -> int:
    """A free TCP port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
