"""Chromium as a slow phone on a slow line, and what it measures of a page."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from benchmarks.parts.machine import ROOT
from gateway.access.roles import Role
from tests.access import Keys, sign_in
from tests.chromium import FLAGS
from tests.chromium import chromium as find_chromium
from tests.servers import free_port

CPU_SLOWDOWN = 6
LATENCY_MS = 40
BYTES_PER_S = 10_000_000 / 8
SETTLED_S = 1.0
"""s after the load in which late parts of the first content may still come."""
SIZE = {"width": 390, "height": 844}

_PAINTS = """
window.paints = {};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.paints[entry.entryType] = entry.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A page's first load."""

    content_s: float
    """From the click to the largest thing that is shown at first."""
    wire_bytes: int
    """All answers, headers included, as they travelled."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield program
        program.close()


@contextmanager
def phone(browser: Browser, url: str, keys: Keys | None, role: Role = Role.OWNER) -> Iterator[BrowserContext]:
    """A browser with nothing in its cache, signed in."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")  # type: ignore[arg-type]
    if keys is not None:
        parts = urlsplit(url)
        sign_in(context, f"{parts.scheme}://{parts.netloc}", keys, role)
    try:
        yield context
    finally:
        context.close()


def load(browser: Browser, url: str, keys: Keys | None, times: int) -> Loaded:
    """The median of so many first loads, throttled."""
    loads = [_load(browser, url, keys) for _ in range(times)]
    return Loaded(statistics.median(each.content_s for each in loads), max(each.wire_bytes for each in loads))


def _load(browser: Browser, url: str, keys: Keys | None) -> Loaded:
    with phone(browser, url, keys) as context:
        page = context.new_page()
        page.add_init_script(_PAINTS)
        line = context.new_cdp_session(page)
        sizes: dict[str, int] = {}
        line.on("Network.loadingFinished", lambda end: sizes.update({end["requestId"]: end["encodedDataLength"]}))
        line.send("Network.enable")
        line.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": LATENCY_MS,
                "downloadThroughput": BYTES_PER_S,
                "uploadThroughput": BYTES_PER_S,
            },
        )
        line.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})
        answer = page.goto(url, wait_until="load")
        assert answer is not None
        assert answer.ok, f"{url}: {answer.status}"
        page.wait_for_timeout(SETTLED_S * 1000)
        paint_ms = page.evaluate("window.paints['largest-contentful-paint']")
        return Loaded(float(paint_ms) / 1000, round(sum(sizes.values())))


def busy_share(context: BrowserContext, page: Page, seconds: float) -> float:
    """The share of its main thread's time that a page takes, at full speed."""
    line = context.new_cdp_session(page)
    line.send("Performance.enable")
    begun, before = time.perf_counter(), _busy_s(line)
    page.wait_for_timeout(seconds * 1000)
    return (_busy_s(line) - before) / (time.perf_counter() - begun)


def _busy_s(line: CDPSession) -> float:
    metrics = line.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


@contextmanager
def bare_page(directory: Path, size_bytes: int) -> Iterator[str]:
    """A page of so many bytes on the wire and nothing in it, from a bare uvicorn: its address."""
    words = "hot sauce " * (size_bytes // 10)
    (directory / "bare.html").write_text(f"<!doctype html><title>bare</title><h1>bare</h1><p hidden>{words}</p>")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.parts.browsing", str(directory / "bare.html"), str(port)], cwd=ROOT
    )
    try:
        deadline = time.monotonic() + 20
        while not _is_listening(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the bare server did not start")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _serve(path: Path, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

    html, app = path.read_text(), FastAPI()

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(html)

    uvicorn.run(app, port=port, http="h11", ws="none", lifespan="off", log_level="warning", access_log=False)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
