"""The last lines of this process's log, in memory: what the page shows where nobody has a shell, journald or not.

Lines are as they were written, secrets left in by mistake included: whoever shows them passes them through
`gateway.scrub`. What repeats too often has been left out before (`cloud_sync.log`).
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from dataclasses import dataclass

MAX_LINES = 2_000
MAX_CHARS = 1_000_000
"""Of all lines together: a megabyte, mostly; tracebacks of an evil day push older lines out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the log."""

    number: int
    """Counts on from 1 in this process."""
    time_s: float
    """Unix time, by the clock as it was then."""
    level: int
    """As `logging` has it: 20 info, 30 warning, 40 error, 50 critical."""
    logger: str
    json: str
    """The line as it was written."""


class Ring:
    """The last lines. Any thread may add, any thread may read."""

    def __init__(self, max_lines: int = MAX_LINES, max_chars: int = MAX_CHARS) -> None:
        self._lines: deque[Line] = deque()
        self._max_lines, self._max_chars = max_lines, max_chars
        self._chars = 0
        self._numbers = itertools.count(1)

    def add(self, record: logging.LogRecord, json: str) -> None:
        """Keep a line; call it under the handler's lock."""
        self._lines.append(Line(next(self._numbers), record.created, record.levelno, record.name, json))
        self._chars += len(json)
        while len(self._lines) > self._max_lines or self._chars > self._max_chars:
            self._chars -= len(self._lines.popleft().json)

    def lines(self) -> list[Line]:
        """All that are kept, oldest first."""
        return list(self._lines)


RING = Ring()
"""This process's."""
