"""What a page that stands open comes to hold: the browser's heap after a collection, and the nodes of its documents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import CDPSession, Page

HEAP_BYTES = 5_000_000
"""That it may grow by, however long it stands open."""
NODES = 60
"""That may come and go: rows of a list, words of an age."""
WARM_S = 3.0
"""s in which a page comes to what it holds."""


def soaked_s() -> float:
    """s that a page stands open: HOURS or MINUTES, as the environment has them; five seconds else."""
    if hours := os.environ.get("HOURS"):
        return float(hours) * 3600
    return float(os.environ.get("MINUTES", "0")) * 60 or 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a page holds."""

    heap_bytes: int
    nodes: int


def held(session: CDPSession) -> Held:
    """Now, once what is not needed is gone."""
    session.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return Held(int(metrics["JSHeapUsedSize"]), int(metrics["Nodes"]))


def must_not_grow(page: Page, seconds: float, doing: Callable[[], object] | None = None) -> None:
    """Let a page stand open, and compare what it holds before and after.

    `doing` is done again and again meanwhile, and leaves the page as it found it.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.wait_for_timeout(WARM_S * 1000)
    before, until_s = held(session), time.monotonic() + seconds
    after = before
    while (left_s := until_s - time.monotonic()) > 0:
        round_s = time.monotonic() + min(left_s, 60)
        while doing is not None and time.monotonic() < round_s:
            doing()
        page.wait_for_timeout(max(round_s - time.monotonic(), 0) * 1000)
        after = held(session)
        print(f"{page.url}: {after.heap_bytes / 1e6:.1f} MB, {after.nodes} nodes, {left_s:.0f} s left")  # noqa: T201 -- for `make soak`
    assert after.heap_bytes - before.heap_bytes < HEAP_BYTES, (before, after)
    assert abs(after.nodes - before.nodes) <= NODES, (before, after)
