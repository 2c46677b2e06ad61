"""Where the parts disagree: the hour, the source, how many, and what to look at. Pure.

What can be compared exactly, and so is:

- **outbox and topics** by the numbers of rows: they count rows without a gap, so what lies between the lowest and the
  highest that a gateway sent in an epoch has to be there, once. What comes again after a restore is marked, and may be
  there twice. A hole is of the hour of what was received first after it, however long that took: whoever compares hour
  after hour says how far it has come (`reached`).
- **topic and state** by partition, hour and source, once the state has passed the hour's last record.
- **state and dead letters** by hour and source of what was refused: each has one letter, and nothing else has one.
- **topic and lake** by offset, as soon as the lake has passed the hour's last record.

An hour that a reader has not passed, or of which it can't be asked, is not judged but told of as waiting.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Literal

from cloud.fleet import Heard
from cloud.reconciliation.ledger import NOBODY, Cell, Ledger, Rows
from cloud_sync.topics import EVENTS, HOUR_MS

Kind = Literal[
    "rows_missing", "rows_doubled", "past_the_outbox",
    "folded_differs", "letters_missing", "letters_odd", "lake_missing", "lake_odd",
]  # fmt: skip
LOOK: dict[Kind, str] = {
    "rows_missing": "Kafka lost what it had confirmed: look at its log for unclean elections and deleted records",
    "rows_doubled": "Two databases sent under one name: look at who has this gateway's login",
    "past_the_outbox": "Another writer uses this gateway's name: look at who may write to the topic",
    "folded_differs": "Keep the state for whoever looks for the cause; raise pipeline.generation to fold all anew",
    "letters_missing": "These are in the topic and the lake alone: look at who moved the group picante-dead-letters",
    "letters_odd": "Somebody else writes dead letters, or Kafka broke a transaction: look at who may write there",
    "lake_missing": "Kafka has them still: look at what deleted them from the lake",
    "lake_odd": "Rows twice, or such as Kafka never had: look at who else writes to the lake",
}
"""What to look at."""
SURE_MS = 120_000
"""ms after which a gateway's heartbeat knows of what it sent."""
Reached = Mapping[tuple[str, int], int]
"""By gateway and epoch: the position up to which its rows were compared with the topics."""
_NONE: array[int] = array("q")


@dataclass(frozen=True, slots=True)
class Finding:
    """A disagreement."""

    hour: int
    """Hours since 1970, by the time of receipt."""
    source: str
    """A gateway, an app, a survey; empty where it can't be read."""
    kind: Kind
    count: int
    what: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What the state of one partition says."""

    position: int
    counts: Mapping[Cell, int]
    """Records of all outcomes."""
    refused: Mapping[Cell, int] = field(default_factory=dict)
    """Those of them that were refused."""


@dataclass(frozen=True, slots=True)
class InLake:
    """What the lake says of one partition of a topic."""

    position: int
    rows: Mapping[int, array[int]] = field(default_factory=dict)
    """By hour of receipt: the offsets of its rows, in their order; one as often as there are rows of it."""
    from_hour: int = 0
    """Of what is older, the lake drops some."""

    def count(self, hour: int, offset: int) -> int:
        """How many rows there are of a record."""
        rows = self.rows.get(hour, _NONE)
        return bisect_right(rows, offset) - bisect_left(rows, offset)


@dataclass(frozen=True, slots=True)
class Books:
    """What all others say."""

    fleet: Collection[Heard] = ()
    folded: Mapping[int, Folded] = field(default_factory=dict)
    """By partition of the events; those that a process on this machine has."""
    lacking: Mapping[int, str] = field(default_factory=dict)
    """By partition of the events: why its state can't be asked, though it should be here."""
    lake: Mapping[tuple[str, int], InLake] | None = None
    """None where there is to be no lake; empty where it is gone."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What could not be compared of an hour, in words."""

    hour: int
    what: str


@dataclass(slots=True)
class Report:
    """What came of it."""

    findings: list[Finding] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)
    """Partitions of the events whose states another process has."""
    reached: dict[tuple[str, int], int] = field(default_factory=dict)
    """For whoever compares the hours after these; what changed last comes last."""


def reconcile(ledger: Ledger, books: Books, hours: range, reached: Reached | None = None) -> Report:
    """Compare everything in these hours, which are over. `reached` is the report's on the hours before."""
    report = Report(reached=dict(reached or {}))
    report.findings += _outboxes(ledger, books.fleet, hours, report.reached)
    for partition in sorted({*_partitions(ledger, EVENTS.name), *books.folded}):
        _fold(ledger, partition, books, hours, report)
    report.findings += _letters(ledger, books.folded, hours)
    if books.lake is not None:
        for place in sorted(ledger.lines):
            _lake(ledger, place, books.lake.get(place), hours, report)
    report.findings.sort(key=lambda one: (one.hour, one.source, one.kind))
    return report


def _partitions(ledger: Ledger, topic: str) -> list[int]:
    return sorted(partition for name, partition in ledger.lines if name == topic)


# -- outbox and topics ------------------------------------------------------------------------------------------------


def _outboxes(
    ledger: Ledger, fleet: Iterable[Heard], hours: range, reached: dict[tuple[str, int], int]
) -> Iterator[Finding]:
    heard = {one.heartbeat.gateway: one for one in fleet if one.heartbeat.epoch}
    ends = {(name, one.heartbeat.epoch): one for name, one in heard.items()}
    for key in sorted({*ledger.rows, *ends}):
        rows, last, start = ledger.rows.get(key, Rows()), ends.get(key), reached.get(key)
        ours = sorted(row for row in zip(rows.positions, rows.times_ms, strict=True) if not _strange(*row, last))
        yield from _holes(key[0], ours, start, hours)
        yield from _doubles(key[0], rows, hours)
        yield from _strangers(key[0], rows, last, hours)
        passed = [position for position, time_ms in ours if time_ms // HOUR_MS < hours.stop]
        if last is not None and (tail := _tail(last, ours, start, hours)) is not None:
            yield tail
            passed.append(last.heartbeat.confirmed)
        if passed and (start is None or max(passed) > start):
            reached.pop(key, None)
            reached[key] = max(passed)
    for cell, n in sorted(ledger.unnumbered.items()):
        if cell.origin in heard and cell.hour in hours:
            yield Finding(*cell, "past_the_outbox", n, f"{_records(n)} that no outbox numbered")


def _holes(origin: str, ours: Sequence[tuple[int, int]], start: int | None, hours: range) -> Iterator[Finding]:
    above = [row for row in ours if start is None or row[0] > start]
    firsts_ms = [*accumulate((time_ms for _, time_ms in reversed(above)), min)][::-1]
    before = start
    for (position, _), first_ms in zip(above, firsts_ms, strict=True):
        lacking = 0 if before is None else position - before - 1
        if lacking > 0 and (hour := first_ms // HOUR_MS) in hours:
            what = f"{_rows(lacking)} of the outbox ({_span(position - lacking, position - 1)}) not in Kafka"
            yield Finding(hour, origin, "rows_missing", lacking, what)
        before = position


def _tail(one: Heard, ours: Sequence[tuple[int, int]], start: int | None, hours: range) -> Finding | None:
    """What a gateway holds for sent, above the highest that is there; it may be of the hour that is open."""
    told = one.heartbeat
    hour = (one.at_ms if told.sent_ms is None else min(told.sent_ms, one.at_ms)) // HOUR_MS
    there = [position for position, _ in ours[-1:]] + ([] if start is None else [start])
    if there:
        lacking = told.confirmed - max(there)
        what = f"{_rows(lacking)} of the outbox ({_span(max(there) + 1, told.confirmed)}) not in Kafka"
    else:
        lacking = 0 if told.sent_ms is None or hour < hours.start else told.confirmed
        what = f"nothing is in Kafka of what it sent, up to position {told.confirmed}"
    return Finding(hour, told.gateway, "rows_missing", lacking, what) if lacking > 0 else None


def _doubles(origin: str, rows: Rows, hours: range) -> Iterator[Finding]:
    counted = Counter(rows.positions)
    several = {position for position, n in counted.items() if n > 1 and position not in rows.again}
    if several:
        last = dict(zip(rows.positions, rows.times_ms, strict=True))
        by_hour = Counter(last[position] // HOUR_MS for position in several)
        for hour, n in sorted(by_hour.items()):
            if hour in hours:
                yield Finding(hour, origin, "rows_doubled", n, f"{_rows(n)} of the outbox more than once in Kafka")


def _strangers(origin: str, rows: Rows, last: Heard | None, hours: range) -> Iterator[Finding]:
    """Rows with numbers that the gateway has not given out."""
    pairs = zip(rows.positions, rows.times_ms, strict=True)
    above = Counter(time_ms // HOUR_MS for position, time_ms in pairs if _strange(position, time_ms, last))
    for hour, n in sorted(above.items()):
        if hour in hours:
            what = f"{_records(n)} with numbers that its outbox has not reached"
            yield Finding(hour, origin, "past_the_outbox", n, what)


def _strange(position: int, time_ms: int, last: Heard | None) -> bool:
    return last is not None and position > last.heartbeat.confirmed and last.at_ms - time_ms > SURE_MS


# -- the pipeline -----------------------------------------------------------------------------------------------------


def _fold(ledger: Ledger, partition: int, books: Books, hours: range, report: Report) -> None:
    place, folded = (EVENTS.name, partition), books.folded.get(partition)
    topic = Counter(cell for _, cell in ledger.of(place) if cell.hour in hours)
    last = ledger.lines[place].last
    if folded is None:
        if partition not in books.lacking:
            report.elsewhere.append(partition)
        else:
            report.waiting += [Waiting(hour, books.lacking[partition]) for hour in hours if hour in last]
        return
    for hour in hours:
        if folded.position <= last.get(hour, -1):
            report.waiting.append(Waiting(hour, f"the state of partition {partition} is behind"))
            continue
        said = {cell.origin: n for cell, n in folded.counts.items() if cell.hour == hour}
        there = {cell.origin: n for cell, n in topic.items() if cell.hour == hour}
        for origin in sorted(said.keys() | there.keys()):
            n, of = said.get(origin, 0), there.get(origin, 0)
            if n != of:
                what = f"{n:,} of {_records(of)} of partition {partition} were folded"
                report.findings.append(Finding(hour, origin, "folded_differs", abs(n - of), what))


def _letters(ledger: Ledger, folded: Mapping[int, Folded], hours: range) -> Iterator[Finding]:
    """What each state has refused, and the letters of it: both were made by one verdict, which may be an older one."""
    wanted: Counter[Cell] = Counter()
    there: Counter[Cell] = Counter()
    doubled: Counter[Cell] = Counter()
    for partition, state in folded.items():
        passed = {hour for hour in hours if ledger.lines[EVENTS.name, partition].last.get(hour, -1) < state.position}
        wanted.update({cell: n for cell, n in state.refused.items() if cell.hour in passed})
        for offset, cell in ledger.of((EVENTS.name, partition)):
            if cell.hour in passed and (n := ledger.letters[partition, offset]):
                there[cell] += 1
                doubled[cell] += n - 1
    for cell, n in (wanted - there).items():
        yield Finding(*cell, "letters_missing", n, f"{_records(n)} refused, and no dead letter of them")
    for cell, n in ((there - wanted) + doubled).items():
        yield Finding(*cell, "letters_odd", n, f"{n:,} dead letters too many")


# -- the lake ---------------------------------------------------------------------------------------------------------


def _lake(ledger: Ledger, place: tuple[str, int], lake: InLake | None, hours: range, report: Report) -> None:
    topic, partition = place
    last = ledger.lines[place].last
    lake = lake or InLake(0)
    behind = {hour for hour in hours if last.get(hour, -1) >= lake.position}
    what = "is behind on" if lake.position else "has nothing (look whether lake.path is right) of"
    report.waiting += [Waiting(hour, f"the lake {what} {topic} {partition}") for hour in sorted(behind)]
    passed = {hour for hour in hours if hour not in behind and hour >= lake.from_hour}
    missing: Counter[Cell] = Counter()
    odd: Counter[Cell] = Counter()
    for offset, cell in ledger.of(place):
        if cell.hour in passed:
            n = lake.count(cell.hour, offset)
            (missing if n == 0 else odd)[cell] += abs(n - 1)
    for hour in passed & lake.rows.keys():
        odd[Cell(hour, NOBODY)] += sum(not ledger.has(place, offset) for offset in lake.rows[hour])
    for cell, n in (+missing).items():
        report.findings.append(Finding(*cell, "lake_missing", n, f"{_records(n)} of {topic} not in the lake"))
    for cell, n in (+odd).items():
        report.findings.append(Finding(*cell, "lake_odd", n, f"{_rows(n)} of {topic} too many in the lake"))


# -- in words ---------------------------------------------------------------------------------------------------------


def hour_text(hour: int) -> str:
    """An hour as people write it, in UTC."""
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%d %H}h UTC"


def _rows(n: int) -> str:
    return f"{n:,} row" if n == 1 else f"{n:,} rows"


def _records(n: int) -> str:
    return f"{n:,} record" if n == 1 else f"{n:,} records"


def _span(first: int, last: int) -> str:
    return f"position {first}" if first == last else f"positions {first} to {last}"
