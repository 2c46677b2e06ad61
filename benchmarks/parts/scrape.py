"""What a look at `/metrics` costs, and what the same bytes cost without a gateway behind them."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.parts.machine import ROOT
from tests.servers import free_port

UP_WITHIN_S = 20
PAUSE_S = 0.02
"""Seconds between two looks: who is asked every 15 s has no warm caches either."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one look."""

    cpu_s: float
    """Of the process that answers, on average; what it does without being asked is taken off."""
    seconds: list[float]
    """From the request's first byte to the answer's last, sorted."""
    text: str

    @property
    def samples(self) -> int:
        """Lines that are no comment."""
        return sum(not line.startswith("#") for line in self.text.splitlines())


def scrape(port: int, process: psutil.Process, times: int, headers: Mapping[str, str] | None = None) -> Cost:
    """Look so many times, now and then, on one connection."""
    headers = headers or {}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        text = _get(connection, headers)
        begun, cpu_s = time.perf_counter(), _cpu_s(process)
        took = []
        for _ in range(times):
            asked = time.perf_counter()
            _get(connection, headers)
            took.append(time.perf_counter() - asked)
            time.sleep(PAUSE_S)
        busy_s, lasted_s = _cpu_s(process) - cpu_s, time.perf_counter() - begun
        cpu_s = _cpu_s(process)
        time.sleep(lasted_s)
        idle_s = _cpu_s(process) - cpu_s
    return Cost((busy_s - idle_s) / times, sorted(took), text)


def _get(connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> str:
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    assert answer.status == http.HTTPStatus.OK
    return answer.read().decode()


def _cpu_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return spent.user + spent.system


class _Ready(Collector):
    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def format_s(text: str, times: int) -> float:
    """CPU seconds to write these families as text: prometheus_client alone, with nothing to collect."""
    registry = CollectorRegistry()
    registry.register(_Ready(text))
    begun = time.process_time()
    for _ in range(times):
        generate_latest(registry)
    return (time.process_time() - begun) / times


@contextmanager
def bare(text: str, directory: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A FastAPI route that answers with a text that is ready, in a process of its own: its port, and the process."""
    (directory / "answer.txt").write_text(text)
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.parts.scrape", str(directory / "answer.txt"), str(port)]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + UP_WITHIN_S
        while True:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
                    _get(connection, {})
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def _serve(path: Path, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, Response

    answer, app = path.read_bytes(), FastAPI()

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(answer, media_type=CONTENT_TYPE_LATEST)

    uvicorn.run(app, port=port, http="h11", ws="none", lifespan="off", log_level="warning", access_log=False)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
