"""The browser of tests and benchmarks: Debian's Chromium."""

from __future__ import annotations

import shutil

FLAGS = [
    "--no-sandbox",  # root, as in a container, has no other way
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str | None:
    """Where it is, if it is here: without the parts that draw windows it needs half of the processor."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")
