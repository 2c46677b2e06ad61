"""The daemon's log as people may see it: scrubbed, filtered, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from cloud_sync.log_ring import Line
from gateway.scrub import Scrubber
from gateway.web.machine.answers import LogLine, LogLines

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: tuple[Level, ...] = get_args(Level)
_AT_LEAST = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
MAX_SHOWN = 500
_OF_ITS_OWN = {"time", "level", "logger", "message"}


def select(lines: Iterable[Line], scrubber: Scrubber, level: Level, search: str, limit: int) -> LogLines:
    """The newest lines of a level at least, in which a text stands; searched is what is shown, scrubbed."""
    wanted, left_out = search.casefold(), 0
    shown: list[LogLine] = []
    for line in reversed(list(lines)):
        if line.level < _AT_LEAST[level]:
            continue
        text = scrubber.text(line.json)
        if wanted and wanted not in text.casefold():
            continue
        if len(shown) < limit:
            shown.append(_view(line, text))
        else:
            left_out += 1
    return LogLines(lines=shown, left_out=left_out)


def scrubbed(lines: Iterable[Line], scrubber: Scrubber) -> Iterator[str]:
    """All lines, oldest first, each with its end."""
    for line in lines:
        yield scrubber.text(line.json) + "\n"


def _view(line: Line, text: str) -> LogLine:
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError:  # what was scrubbed took a quotation mark with it
        told = {"message": text}
    level = next((name for name in reversed(LEVELS) if line.level >= _AT_LEAST[name]), "debug")
    return LogLine(
        number=line.number,
        time=datetime.fromtimestamp(line.time_s, UTC),
        level=cast("Level", level),
        logger=line.logger,
        text=str(told.get("message", "")),
        more={key: str(value) for key, value in told.items() if key not in _OF_ITS_OWN and value is not None},
    )
