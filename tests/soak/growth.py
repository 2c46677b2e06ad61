"""What a page that stands open comes to hold: the browser's heap after a collection, and the nodes of its documents.

Both are read from Chromium, which counts every node that anything still holds, in the page or out of it. A page that
comes back to a state holds exactly the nodes that it held there before. While something is swapped in it holds the old
and the new for a moment, so the least of some looks counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import CDPSession, Page

HEAP_BYTES = 5_000_000
"""That it may grow by, however long it stands open."""
LOOKS, LOOK_S = 10, 0.2
"""Looks, and s between two: no swap takes as long."""


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


def settled(page: Page, session: CDPSession, nodes: int = 0) -> Held:
    """The least of some looks; no more of them once there are no more than so many nodes."""
    looks: list[Held] = []
    while not looks or (len(looks) < LOOKS and looks[-1].nodes > nodes):
        page.wait_for_timeout(LOOK_S * 1000)
        looks.append(held(session))
    return min(looks, key=lambda each: each.nodes)


def must_not_grow(page: Page, seconds: float, doing: Callable[[], object] | None = None) -> None:
    """Let a page that has come to its state stand open, and compare what it holds before and, every minute, after.

    `doing` is done again and again meanwhile, and leaves the page as it found it.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before, until_s = settled(page, session), time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        round_s = time.monotonic() + min(left_s, 60)
        while doing is not None and time.monotonic() < round_s:
            doing()
        page.wait_for_timeout(max(round_s - time.monotonic(), 0) * 1000)
        after = settled(page, session, before.nodes)
        print(f"{page.url}: {after.heap_bytes / 1e6:.1f} MB, {after.nodes} nodes, {left_s:.0f} s left")  # noqa: T201 -- for `make soak`
        assert after.nodes == before.nodes, (before, after)
        assert after.heap_bytes - before.heap_bytes < HEAP_BYTES, (before, after)
