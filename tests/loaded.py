"""Picante's commands as children that are loaded already: one process imports all that they need, and each is its fork.

A daemon takes two seconds of a core to load, and the tests start hundreds. What is forked runs the same code with its
own environment, directory and output; what Python reads before it begins, a fork can't be given: see `can_be_forked`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import ipaddress
import json
import os
import runpy
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from gateway.loading import WEB

LOADED = (
    *("gateway.app", *WEB, "gateway.first_boot", "gateway.check", "gateway.safe_mode"),
    *("onnxruntime", "picante.cli", "picante.cli_gateway", "picante.cli_sim"),
    # which their own packages import once they serve
    *("anyio._backends._asyncio", "uvicorn.lifespan.off", "uvicorn.protocols.http.h11_impl"),
)
"""What the commands import that tests start most."""
EARLY = ("LD_", "PYTHON", "FAKETIME", "MALLOC_", "OPENBLAS_", "OMP_")
"""How the names of variables begin that a process reads while it starts."""
ALONE = "PICANTE_TEST_ALONE"
"""Whoever has this variable finds no network beyond this machine."""
_BEFORE = dict(os.environ)
_BACKLOG = 64


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether a process that runs already can still be given these variables."""
    changed = {name for name, value in environment.items() if _BEFORE.get(name) != value}
    return not any(name.startswith(EARLY) for name in changed)


def start(
    arguments: tuple[str, ...], directory: Path, log: Path, environment: Mapping[str, str]
) -> Forked | subprocess.Popen[bytes]:
    """Start a `picante` command in a directory, its output at the end of a file."""
    if can_be_forked(environment):
        log.touch()
        return Forked(arguments, directory, log, environment)
    with log.open("ab") as output:
        command = [sys.executable, "-m", "picante", *arguments]
        return subprocess.Popen(command, cwd=directory, stdout=output, stderr=output, env=environment)


# -- the side of the tests --------------------------------------------------------------------------------------------


class Forked:
    """A command as a fork; what is used of `subprocess.Popen` is here, too."""

    def __init__(self, arguments: tuple[str, ...], directory: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_template())
        request = [list(arguments), str(directory), str(log.absolute()), dict(environment)]
        self._line.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._line.makefile()
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """Its exit status (of a signal: its negative number), or None while it runs."""
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        status = self._read(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("picante", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], timeout_s)[0]:
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._line.close()
        return self.returncode


@functools.cache
def _template() -> str:
    """The address of the process that forks; it ends with us."""
    directory = tempfile.mkdtemp(prefix="picante-template-")
    atexit.register(shutil.rmtree, directory)
    address = f"{directory}/socket"
    command = [sys.executable, "-m", "tests.loaded", address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", "what tests fork their daemons from did not start"
    atexit.register(process.kill)
    return address


# -- the process that forks -------------------------------------------------------------------------------------------


class Template:
    """Takes requests, forks, and tells of each fork when it has ended."""

    def __init__(self, address: str) -> None:
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(address)
        self._door.listen(_BACKLOG)
        self._forks: dict[int, socket.socket] = {}
        self._woken, waker = socket.socketpair()
        waker.setblocking(False)
        self._woken.setblocking(False)
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> list[str] | None:
        """Serve until the tests are gone: None. In each fork it returns with what is to be run."""
        with selectors.DefaultSelector() as selector:
            for readable in (self._door, self._woken, sys.stdin):
                selector.register(readable, selectors.EVENT_READ)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while True:
                for key, _ in selector.select():
                    if key.fileobj is sys.stdin:
                        return None
                    if key.fileobj is self._woken:
                        self._bury()
                    elif (arguments := self._fork()) is not None:
                        return arguments

    def _fork(self) -> list[str] | None:
        line, _ = self._door.accept()
        arguments, directory, log, environment = json.loads(line.makefile().readline())
        if pid := os.fork():
            line.sendall(f"{pid}\n".encode())
            self._forks[pid] = line
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for ours in (line, self._door, self._woken, self._waker, *self._forks.values()):
            ours.close()
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, output, output)):
            os.dup2(file, number)
        return [str(argument) for argument in arguments]

    def _bury(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(_BACKLOG):
                pass
        for pid in list(self._forks):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with contextlib.suppress(OSError), self._forks.pop(pid) as line:
                    line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def main() -> None:
    """Load, fork, and be the command in each fork."""
    for name in LOADED:
        import_module(name)
    import_module("gateway.web.application").make_routes()  # 0.3 s of each daemon
    arguments = Template(sys.argv[1]).serve()
    if arguments is not None:
        if ALONE in os.environ:
            sys.addaudithook(_stay_here)
        sys.argv = ["picante", *arguments]
        sys.orig_argv = [sys.executable, "-m", "picante", *arguments]
        leave(_run_picante())


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """As a kernel whose cable is pulled: no route to anybody, and nobody who knows a name."""
    if event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        if not ipaddress.ip_address(arguments[1][0]).is_loopback:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    elif event == "socket.getaddrinfo" and arguments[0] not in {None, "", "localhost", b"localhost"}:
        try:
            ipaddress.ip_address(os.fsdecode(arguments[0]))
        except ValueError:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution") from None


def _run_picante() -> int:
    try:
        runpy.run_module("picante", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  as Python's own last resort
        traceback.print_exc()
        return 1
    return 0


def leave(status: int) -> NoReturn:
    """End as Python does, but without taking apart what the fork never touched: that is a second of a core."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
