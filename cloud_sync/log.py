"""Logs as JSON lines on standard error: `time`, `level`, `logger`, `message`, and what the call gave as `extra`.

What repeats does not flood: of lines with one wording about one dispenser, part or line, some pass, and then one a
minute, which says how many were left out. The last of them is never lost: it is written when its minute is over, or at
the end.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from cloud_sync.log_ring import RING, Ring

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ABOUT = ("dispenser", "part", "line")
"""What a line is about, so that one does not silence another. A name that nobody proved is no `dispenser`: whoever
makes names up would have a wording for each."""
EXCERPT_CHARS = 2_000
"""Characters of any one text in a log line."""
BURST = 5
"""Lines of one wording that pass at once: a cable that is wiggled while it is plugged in."""
PAUSE_S = 60.0
"""s from then on from one line to the next: 1,440 a day of a link that never settles."""
MAX_WORDINGS = 1_000
"""Wordings, by dispenser or part, that are remembered; two for each dispenser that a gateway can hold."""


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:EXCERPT_CHARS],
        }
        line |= {key: _excerpt(value) for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-EXCERPT_CHARS:]
        return json.dumps(line, ensure_ascii=False)


def _excerpt(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else str(value)[:EXCERPT_CHARS]


@dataclass(slots=True)
class _Wording:
    """What was said with one wording: `allowed` lines may pass at `since_s`, and more as time goes by."""

    allowed: float
    since_s: float
    left_out: int = 0
    last: logging.LogRecord | None = None
    """Of those that were left out."""


class BoundedHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream, and leaves out what repeats too often. What is written is kept in the ring, too."""

    def __init__(self, stream: TextIO, clock_s: Callable[[], float] = time.monotonic, ring: Ring | None = None) -> None:
        super().__init__(stream)
        self._ring = ring
        self.setFormatter(JsonFormatter())
        self._clock_s = clock_s
        self._wordings: OrderedDict[tuple[object, ...], _Wording] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        about = next((named for name in _ABOUT if (named := getattr(record, name, None))), None)
        key = (record.name, record.levelno, str(record.msg)[:EXCERPT_CHARS], about)
        wording = self._wordings.setdefault(key, _Wording(BURST, self._clock_s()))
        self._wordings.move_to_end(key)
        if self._may_pass(wording):
            self._write(wording, record)
        else:
            wording.left_out += 1
            wording.last = record
        if len(self._wordings) > MAX_WORDINGS:
            _, oldest = self._wordings.popitem(last=False)
            self._write_last(oldest)

    def catch_up(self, *, all_of_them: bool = False) -> None:
        """Write the last line of each wording whose minute is over; at the end, of all."""
        self.acquire()
        try:
            for wording in self._wordings.values():
                if wording.last is not None and (all_of_them or self._may_pass(wording)):
                    self._write_last(wording)
        finally:
            self.release()

    def close(self) -> None:
        """Write what was left out, and end."""
        self.catch_up(all_of_them=True)
        super().close()

    def _may_pass(self, wording: _Wording) -> bool:
        now_s = self._clock_s()
        wording.allowed = min(wording.allowed + (now_s - wording.since_s) / PAUSE_S, BURST)
        wording.since_s = now_s
        if wording.allowed < 1:
            return False
        wording.allowed -= 1
        return True

    def _write_last(self, wording: _Wording) -> None:
        if wording.last is not None:
            wording.left_out -= 1
            self._write(wording, wording.last)

    def _write(self, wording: _Wording, record: logging.LogRecord) -> None:
        if wording.left_out:
            record.left_out = wording.left_out
        wording.left_out, wording.last = 0, None
        if self._ring is not None:
            self._ring.add(record, self.format(record))
        super().emit(record)


def set_up_logging(level: str) -> None:
    """Send all logging to standard error as JSON, the last error too; libraries speak up from WARNING on."""
    logging.basicConfig(level=logging.WARNING, handlers=[BoundedHandler(sys.stderr, ring=RING)], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_last_words
    for ours in ("gateway", "cloud", "firmware_bridge", "cloud_sync", "models"):
        logging.getLogger(ours).setLevel(level.upper())
    # aiokafka repeats itself while a broker is away: our own uplink says it once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def catch_up() -> None:
    """Let the log's handlers write what they left out and may write now. Call it now and then."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, BoundedHandler):
            handler.catch_up()


def _log_last_words(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("gateway").critical("ended by an error", exc_info=(kind, error, traceback))
