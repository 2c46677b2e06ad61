"""Records of the topics -> who wrote how many in which hour, and what each other part has to have. Pure.

An hour is one of receipt: the broker's time in the record. Lines are kept as numbers: 12 bytes a record.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud.pipeline.verdict import judge
from cloud_sync.dead_letter import PIPELINE
from cloud_sync.record import Consumed
from cloud_sync.topics import (
    CONNECT,
    DEAD_LETTERS,
    EVENTS,
    HOUR_MS,
    ORIGIN,
    POSITION,
    REDELIVERED,
    REPLAYED,
    SAMPLES,
    row_of,
)

NOBODY = ""
"""The source of what can't be read."""
_Place = tuple[str, int]


class Cell(NamedTuple):
    """What is summed up: an hour since 1970, and the source (gateway, app or survey) of its records."""

    hour: int
    origin: str


@dataclass(slots=True)
class Lines:
    """The records of one partition, in the order of the log."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    cells: array[int] = field(default_factory=lambda: array("l"))
    """Numbers of cells."""
    last: dict[int, int] = field(default_factory=dict)
    """By hour: its highest offset."""


@dataclass(slots=True)
class Rows:
    """What Kafka has of one epoch of an outbox, in any order."""

    positions: array[int] = field(default_factory=lambda: array("q"))
    times_ms: array[int] = field(default_factory=lambda: array("q"))
    again: set[int] = field(default_factory=set)
    """Positions that were sent again, and say so."""


class Ledger:
    """Takes records, each partition's in the order of its offsets."""

    def __init__(self) -> None:
        self.lines: defaultdict[_Place, Lines] = defaultdict(Lines)
        self.rows: defaultdict[tuple[str, int], Rows] = defaultdict(Rows)
        """By gateway and epoch."""
        self.unnumbered: Counter[Cell] = Counter()
        """Records that no outbox numbered."""
        self.letters: Counter[tuple[int, int]] = Counter()
        """The pipeline's dead letters, by the partition and offset of what they were."""
        self._cells: list[Cell] = []
        self._numbers: dict[Cell, int] = {}

    def add(self, record: Consumed) -> None:
        """Take a record of the events, the samples or the dead letters."""
        headers = dict(record.headers)
        if record.topic == DEAD_LETTERS.name:
            again, origin = REDELIVERED in headers, (headers.get(ORIGIN) or b"").decode(errors="replace")
            if headers.get(f"{CONNECT}connector.name") == PIPELINE.encode():
                self._letter(headers)
                self._line(record, origin)
                return
        else:
            event = judge(record, samples=record.topic == SAMPLES.name).event
            again, origin = event is not None and event.redelivered, event.origin if event else NOBODY
        cell = self._line(record, origin)
        if origin == NOBODY:
            return  # numbers of several gateways
        if REPLAYED in headers:
            return  # a dead letter that was sent again, perhaps after weeks
        if (position := row_of(headers.get(POSITION))) is None:
            self.unnumbered[cell] += 1
            return
        rows = self.rows[origin, position[0]]
        rows.positions.append(position[1])
        rows.times_ms.append(record.timestamp_ms)
        if again:
            rows.again.add(position[1])

    def cell(self, number: int) -> Cell:
        """The cell that `Lines.cells` names so."""
        return self._cells[number]

    def counts(self, topic: str) -> Counter[Cell]:
        """Records of a topic by cell."""
        numbers: Counter[int] = Counter()
        for (name, _), lines in self.lines.items():
            if name == topic:
                numbers.update(lines.cells)
        return Counter({self._cells[number]: n for number, n in numbers.items()})

    def of(self, place: _Place) -> Iterator[tuple[int, Cell]]:
        """Offsets and cells of a partition."""
        lines = self.lines[place]
        return ((offset, self._cells[number]) for offset, number in zip(lines.offsets, lines.cells, strict=True))

    def has(self, place: _Place, offset: int) -> bool:
        """Whether there is a record."""
        offsets = self.lines[place].offsets
        at = bisect_left(offsets, offset)
        return at < len(offsets) and offsets[at] == offset

    def _letter(self, headers: dict[str, bytes | None]) -> None:
        where = [headers.get(f"{CONNECT}{name}") or b"" for name in ("topic", "partition", "offset")]
        if where[0] == EVENTS.name.encode() and where[1].isdigit() and where[2].isdigit():
            self.letters[int(where[1]), int(where[2])] += 1

    def _line(self, record: Consumed, origin: str) -> Cell:
        cell = Cell(record.timestamp_ms // HOUR_MS, origin)
        number = self._numbers.setdefault(cell, len(self._cells))
        if number == len(self._cells):
            self._cells.append(cell)
        lines = self.lines[record.topic, record.partition]
        lines.offsets.append(record.offset)
        lines.cells.append(number)
        lines.last[cell.hour] = record.offset
        return cell
