"""Logs as JSON lines on standard error: `time`, `level`, `logger`, `message`, and what the call gave as `extra`."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
EXCERPT_CHARS = 2_000
"""Characters of any one text in a log line."""


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
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-EXCERPT_CHARS:]
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up_logging(level: str) -> None:
    """Send all logging to standard error as JSON; libraries speak up from WARNING on."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[stream], force=True)
    for ours in ("gateway", "firmware_bridge", "cloud_sync", "models"):
        logging.getLogger(ours).setLevel(level.upper())
    # aiokafka repeats itself while a broker is away: our own uplink says it once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
