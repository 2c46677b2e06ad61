"""The sums of each source, part by part, as `picante cloud reconcile` prints them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cloud.reconciliation.findings import Books
from cloud.reconciliation.ledger import Cell, Ledger
from cloud_sync.topics import DEAD_LETTERS, EVENTS, HOUR_MS, SAMPLES


@dataclass(frozen=True, slots=True)
class Line:
    """The sums of one source."""

    source: str
    outbox: int
    """Rows of its outbox that Kafka has."""
    events: int
    samples: int
    letters: int
    """Dead letters of its gateway and of the pipeline."""
    folded: int
    lake: int


def sums(ledger: Ledger, books: Books, hours: range) -> list[Line]:
    """The sums of each source over the hours, by name."""
    topics = {topic.name: _by_origin(ledger.counts(topic.name), hours) for topic in (EVENTS, SAMPLES, DEAD_LETTERS)}
    outbox: Counter[str] = Counter()
    for (origin, _), rows in ledger.rows.items():
        outbox[origin] += sum(time_ms // HOUR_MS in hours for time_ms in rows.times_ms)
    folded: Counter[str] = Counter()
    for one in books.folded.values():
        folded += _by_origin(one.counts, hours)
    lake: Counter[str] = Counter()
    for place, in_lake in (books.lake or {}).items():
        lake.update(
            cell.origin for offset, cell in ledger.of(place) if cell.hour in hours and in_lake.count(cell.hour, offset)
        )
    sources = sorted({*(+outbox), *folded, *(origin for counts in topics.values() for origin in counts)})
    events, samples, letters = topics.values()
    return [Line(name, *(each[name] for each in (outbox, events, samples, letters, folded, lake))) for name in sources]


def _by_origin(counts: Mapping[Cell, int], hours: range) -> Counter[str]:
    summed: Counter[str] = Counter()
    for cell, n in counts.items():
        if cell.hour in hours:
            summed[cell.origin] += n
    return summed
