"""What pages weigh, how soon they show something, and what they cost: `python benchmarks/web.py`.

For the first loads Chromium is slowed down to a sixth, on a line of 10 Mbit/s and 40 ms; beside each stands a bare page
of the same weight in the same browser. The gateway is the real process, with simulated dispensers on real PTYs.
"""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, expect

from benchmarks.parts.bench import bench
from benchmarks.parts.browsing import bare_page, busy_share, chromium, load, phone
from benchmarks.parts.daemon import MB, Daemon
from benchmarks.parts.simulated import ONLINE_WITHIN_S, simulating
from benchmarks.parts.table import Line, show
from gateway.access.access import open_access
from gateway.access.roles import Role
from hw_sim.control import SOCKET_NAME, call
from tests.access import Keys, let_in

DISPENSERS = 20
VISIT_EVERY_S = 0.5
"""s between two customers of the shop, who ask and pour; at its busiest a real one has fewer."""
CONTENT_GOAL_S = 1.0
FRAME_GOAL_MS = 100.0
KB = 1_000
DISPENSER = "bar-1"
CHART = f"/dispensers/{DISPENSER}/readings"
KIOSK = f"/kiosk/{DISPENSER}"
PAGES = {
    "/": 60,
    "/dispensers": 60,
    f"/dispensers/{DISPENSER}": 60,
    CHART: 90,
    "/sync": 60,
    "/picks": 60,
    "/events": 60,
    "/system": 60,
    "/people": 60,
    KIOSK: 40,
}
"""Path -> KB on the wire that a first load may have."""
OPEN = ("/", "/dispensers", CHART, "/sync", "/events")
"""What five technicians look at."""

_SHOWN = """
window.shown = [];
new MutationObserver(() => {
  if (document.querySelector(".pick")) {
    requestAnimationFrame(() => window.shown.push(performance.timeOrigin + performance.now()));
  }
}).observe(document, { childList: true, subtree: true });
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of it is measured."""

    dispensers: int = DISPENSERS
    loads: int = 3
    watched_s: float = 20.0
    visits: int = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process, meanwhile."""

    cpu_percent: float
    """Of one core."""
    resident_mb: float


@contextmanager
def shop(directory: Path, count: int) -> Iterator[tuple[Daemon, psutil.Process, Keys]]:
    """A gateway, so many dispensers that are online, and with what one comes in."""
    with simulating(directory, count, baud=0, events_per_s=None, sample_hz=10) as ports:
        daemon = Daemon(directory, "gw-web", ports=[ports])
        shutil.copy(directory / "sim" / "keys.toml", directory / "keys.toml")
        with closing(open_access(directory)) as access:
            keys = let_in(access)
        with daemon.running() as (_, process):
            deadline = time.monotonic() + ONLINE_WITHIN_S
            while (seen := daemon.online()) < count:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{seen} of {count} dispensers online in {ONLINE_WITHIN_S} s")
                time.sleep(0.2)
            yield daemon, process, keys


@contextmanager
def customers(directory: Path, count: int) -> Iterator[None]:
    """One after the other, at one dispenser after the other."""
    over = threading.Event()

    def come() -> None:
        for number in itertools.cycle(range(1, count + 1)):
            if over.wait(VISIT_EVERY_S):
                return
            call(directory / "sim" / SOCKET_NAME, {"do": "visit", "dispenser": f"bar-{number}", "volume_ul": 10})

    thread = threading.Thread(target=come, name="customers")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def first_loads(
    browser: Browser, directory: Path, url: str, keys: Keys, pages: Mapping[str, int], times: int
) -> Iterator[Line]:
    """Weight and time of each page."""
    for path, budget_kb in pages.items():
        got = load(browser, url + path, keys, times)
        with bare_page(directory, got.wire_bytes) as bare:
            raw = load(browser, bare, None, times)
        weight = got.wire_bytes / KB
        yield Line(f"KB on the wire, {path}", f"<= {budget_kb}", f"{weight:.1f}", met=weight <= budget_kb)
        yield Line(
            "  s to its content, slowed down",
            f"<= {CONTENT_GOAL_S:g}",
            f"{got.content_s:.2f}",
            f"a bare page of that weight: {raw.content_s:.2f}",
            got.content_s / raw.content_s,
            got.content_s <= CONTENT_GOAL_S,
        )


def chart(browser: Browser, url: str, keys: Keys, seconds: float) -> Iterator[Line]:
    """What the chart takes of its page's main thread."""
    shares = {}
    for path in (CHART, "/sync"):
        with phone(browser, url, keys) as context:
            page = context.new_page()
            page.goto(url + path)
            page.wait_for_timeout(1_000)
            shares[path] = busy_share(context, page, seconds)
    with_chart, without = shares.values()
    yield Line(
        "% of the main thread, a live chart",
        "",
        f"{with_chart:.1%}".rstrip("%"),
        f"a page without one: {without:.1%}".rstrip("%"),
        with_chart / without if without > 0 else None,
    )


def cost(process: psutil.Process, seconds: float) -> Cost:
    """What a process takes in so many seconds."""
    spent, begun = process.cpu_times(), time.perf_counter()
    time.sleep(seconds)
    now = process.cpu_times()
    busy_s = now.user + now.system - spent.user - spent.system
    return Cost(100 * busy_s / (time.perf_counter() - begun), process.memory_info().rss / MB)


def open_pages(browser: Browser, url: str, process: psutil.Process, keys: Keys, sizes: Sizes) -> Iterator[Line]:
    """What the gateway takes with five pages open, and with none."""
    alone = cost(process, sizes.watched_s)
    with ExitStack() as stack:
        for path, role in zip(OPEN, itertools.cycle(Role)):  # a session has four streams
            stack.enter_context(phone(browser, url, keys, role)).new_page().goto(url + path)
        watched = cost(process, sizes.watched_s)
    what = f"with 5 pages open, {sizes.dispensers} dispensers"
    yield Line(
        f"% of a core, {what}",
        "",
        f"{watched.cpu_percent:.1f}",
        f"no page open: {alone.cpu_percent:.1f}",
        watched.cpu_percent / alone.cpu_percent if alone.cpu_percent > 0 else None,
    )
    yield Line(
        f"MB resident, {what}",
        "",
        f"{watched.resident_mb:.0f}",
        f"no page open: {alone.resident_mb:.0f}",
        watched.resident_mb / alone.resident_mb,
    )


def frame_to_kiosk(browser: Browser, directory: Path, url: str, keys: Keys, visits: int) -> Iterator[Line]:
    """From the press at a dispenser, before its ASK is sent, to the picks' first frame on its kiosk."""
    control = directory / "sim" / SOCKET_NAME
    took_ms: list[float] = []
    alone_ms: list[float] = []
    with phone(browser, url, keys) as context:
        page = context.new_page()
        page.add_init_script(_SHOWN)
        page.goto(url + KIOSK)
        expect(page.locator("picante-kiosk")).to_have_attribute("data-line", "open")
        for _ in range(visits):
            page.evaluate("window.shown.length = 0")
            pressed_ms = time.time() * 1000
            answer = call(control, {"do": "visit", "dispenser": DISPENSER, "pour": ""})
            alone_ms.append(float(answer["answer_ms"]))
            while not (shown := json.loads(page.evaluate("JSON.stringify(window.shown)"))):
                page.wait_for_timeout(5)
            took_ms.append(shown[0] - pressed_ms)
    took_ms.sort()
    alone_ms.sort()
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        mine, other = (values[int(len(values) * share)] for values in (took_ms, alone_ms))
        yield Line(
            f"ms from the press to the kiosk's picks, {name}",
            f"<= {FRAME_GOAL_MS:g}" if name == "p99" else "",
            f"{mine:.1f}",
            f"to the dispenser's own screen: {other:.1f}",
            mine / other,
            mine <= FRAME_GOAL_MS if name == "p99" else None,
        )


def measure(
    browser: Browser,
    directory: Path,
    sizes: Sizes = Sizes(),
    pages: Mapping[str, int] = PAGES,
) -> Iterator[Line]:
    """The table's lines."""
    with shop(directory, sizes.dispensers) as (daemon, process, keys):
        url = f"http://127.0.0.1:{daemon.port}"
        with customers(directory, sizes.dispensers):
            yield from open_pages(browser, url, process, keys, sizes)
            yield from first_loads(browser, directory, url, keys, pages, sizes.loads)
            yield from chart(browser, url, keys, sizes.watched_s)
        yield from frame_to_kiosk(browser, directory, url, keys, sizes.visits)


def main() -> None:
    """Print the table. Arguments of the other benchmarks are not for this one."""
    with bench() as directory, chromium() as browser:
        show(measure(browser, directory))


if __name__ == "__main__":
    main()
