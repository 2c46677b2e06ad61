"""The real process, `picante gateway run`: its memory, its start, and how it drains a backlog."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.parts.events import KEY, QUOTA_BYTES, dispenser, fill
from benchmarks.parts.feeder import feeding
from benchmarks.parts.machine import ROOT
from tests.access import set_up
from tests.servers import free_port

READY_WITHIN_S = 60
DRAIN_WITHIN_S = 900
LOOK_EVERY_S = 0.02
MB = 1_000_000

_CONFIG = """\
[gateway]
id = "{gateway}"
store = "bench"
region = "bench"
data_dir = "."
quota_mb = {quota_mb}

[keys]
dispensers = "keys.toml"
pseudonym = "pseudonym.toml"

[http]
port = {port}
"""


class Daemon:
    """A gateway in a directory, which may hold its database already."""

    def __init__(
        self,
        directory: Path,
        gateway: str,
        bootstrap: str | None = None,
        ports: Sequence[str] = (),
        baud: int = 921_600,
    ) -> None:
        self._directory = directory
        self.headers = set_up(directory).headers
        self.port = free_port()
        text = _CONFIG.format(gateway=gateway, quota_mb=QUOTA_BYTES // 2**20, port=self.port)
        if bootstrap is not None:
            text += f'\n[kafka]\nbootstrap = "{bootstrap}"\n'
        if ports:
            text += f"\n[serial]\nbaud = {baud}\nports = {list(ports)}\n"
        (directory / "gateway.toml").write_text(text)
        keys = "".join(f'{dispenser(number)} = "{KEY.hex()}"\n' for number in range(1, len(ports) + 1))
        for name, secret in (("keys", f"[dispensers]\n{keys}"), ("pseudonym", f'version = 1\nkey = "{KEY.hex()}"\n')):
            path = directory / f"{name}.toml"
            path.touch(0o600)
            path.write_text(secret)

    @contextmanager
    def running(self, module: str = "picante") -> Iterator[tuple[float, psutil.Process]]:
        """Start it; gives the seconds from its start until it is ready, and the process."""
        command = [sys.executable, "-m", module, "gateway", "run", "--config", "gateway.toml"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with (self._directory / "log").open("ab") as log:
            begun = time.perf_counter()
            process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log, env=environment)
        try:
            while not self._ready():
                if process.poll() is not None or time.perf_counter() - begun > READY_WITHIN_S:
                    raise RuntimeError(f"the gateway did not start:\n{(self._directory / 'log').read_text()[-2000:]}")
                time.sleep(0.005)
            yield time.perf_counter() - begun, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(10)

    def online(self) -> int:
        """How many dispensers have an open link."""
        return sum(one["online"] for one in self.get("/api/v1/dispensers")["dispensers"])

    def get(self, path: str) -> Any:
        """An answer of the API."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", path, headers=self.headers)
            return json.loads(connection.getresponse().read())

    def _ready(self) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.HTTPStatus.OK
            except OSError:
                return False


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog went up."""

    events_per_s: float
    """From the first confirmed transaction to the last one."""
    most_mb: float
    """Resident at most, meanwhile."""


def drain(directory: Path, gateway: str, bootstrap: str, count: int) -> Drained:
    """Let a gateway with a backlog of `count` events drain it."""
    directory.mkdir()
    fill(directory, gateway, count)
    first: tuple[float, int] | None = None
    now = most_mb = 0.0
    with (
        Daemon(directory, gateway, bootstrap).running() as (_, process),
        closing(sqlite3.connect(f"file:{directory / 'gateway.db'}?mode=ro", uri=True)) as database,
    ):
        deadline, confirmed = time.monotonic() + DRAIN_WITHIN_S, 0
        while confirmed < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{confirmed} of {count} events drained in {DRAIN_WITHIN_S} s")
            time.sleep(LOOK_EVERY_S)
            confirmed = int(database.execute("SELECT value FROM meta WHERE key = 'confirmed'").fetchone()[0])
            now = time.perf_counter()
            if confirmed and first is None:
                first = now, confirmed
            most_mb = max(most_mb, process.memory_info().rss / MB)
    assert first is not None
    # a backlog of one batch has no second transaction to be timed
    return Drained((count - first[1]) / max(now - first[0], LOOK_EVERY_S), most_mb)


def start_s(directory: Path, gateway: str, events: int, times: int) -> list[float]:
    """Seconds from the start of the process to its first ready answer, several times."""
    directory.mkdir()
    if events:
        fill(directory, gateway, events)
    took = []
    for _ in range(times):
        with Daemon(directory, gateway).running() as (ready_s, _process):
            took.append(ready_s)
    return took


def memory_mb(directory: Path, bootstrap: str, count: int, idle_s: float) -> tuple[float, float]:
    """MB resident when idle, and at most while `count` events come in from four dispensers and go to Kafka."""
    directory.mkdir()
    with feeding(4, count) as (ports, told):
        with Daemon(directory, "gw-memory").running() as (_, process):
            time.sleep(idle_s)
            idle = process.memory_info().rss
        highest = 0
        with Daemon(directory, "gw-memory", bootstrap, ports).running() as (_, process):
            for _ in itertools.count():
                highest = max(highest, process.memory_info().rss)
                if told.poll(LOOK_EVERY_S):
                    told.recv()
                    break
    return idle / MB, highest / MB
