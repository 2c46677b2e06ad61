"""A benchmark's run from a terminal: a place for its files, the machine that it ran on, and the table's head."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parts.machine import describe
from benchmarks.parts.table import HEAD


@contextmanager
def bench(*said: str) -> Iterator[Path]:
    """A directory of its own, on the disk that is measured; what is `said` stands above the table."""
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-") as name:
        directory = Path(name).resolve()
        for line in (*describe(directory), *said):
            print(line)
        print(HEAD)
        yield directory
