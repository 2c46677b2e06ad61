"""The ledger as people and programs read it: of each source and day, what became of all its sequences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import groupby
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from gateway import ledger
from gateway.ledger import Entry
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import SOURCE, Answer, example
from gateway.web.problems import documented
from gateway.web.records.reading import date_of, in_thread, number_of
from gateway.web.web import TheWeb, Web

router = APIRouter(prefix="/api/v1", tags=["v1"])

DAYS = 60
"""Days of one source that are shown, and days to choose from."""
COUNTED = 50_000
"""Rows above Kafka's position that are counted one by one, some 50 ms; of more the ledger's own sums are taken."""

Flaw = Literal["missing", "dated_elsewhere", "pending_differs"]
"""Sequences of which nothing is known; some that are counted on the day beside; events that wait are more or fewer than
the stored that Kafka lacks."""


class Range(Answer):
    """Sequences of one ring, from first to last."""

    generation: Annotated[int, example(1581910465)]
    first: Annotated[int, example(1041)]
    last: Annotated[int, example(1072)]


class LedgerRow(Answer):
    """A source's day: generated = stored + refused - replayed + lost, and stored = pending + in_kafka."""

    source: Annotated[str, example("hot-bar-1")]
    """A dispenser, or the gateway itself."""
    day: Annotated[int, example(20776)]
    """UTC day number; negative while the time is not known."""
    date: Annotated[date | None, example("2026-11-19")]
    sequences: list[Range]
    """Those that were given out on this day, as far as they are known."""
    generated: Annotated[int, example(412)]
    """By the sequences alone."""
    stored: Annotated[int, example(408)]
    pending: Annotated[int, example(12)]
    in_kafka: Annotated[int, example(396)]
    refused: Annotated[int, example(3)]
    """Dead letters, replayed ones too."""
    refused_in_kafka: Annotated[int, example(3)]
    """Those that are among Kafka's dead letters."""
    replayed: Annotated[int, example(1)]
    """Dead letters that became events after all: they count among the stored."""
    lost: Annotated[int, example(2)]
    """Pushed out of the dispenser's memory before they came: the gaps."""
    missing: list[Range]
    """Between the day before and this one, and neither here nor known to be lost."""
    flaws: list[Flaw]
    """What does not add up; empty where the sums agree."""


class GapView(Range):
    """Sequences that a dispenser lost."""

    source: Annotated[str, example("hot-bar-1")]
    day: Annotated[int, example(20776)]
    date: Annotated[date | None, example("2026-11-19")]
    """When they were missed."""


class LedgerView(Answer):
    """The ledger of a day, or of a source."""

    day: Annotated[int | None, example(20776)]
    source: Annotated[str | None, example(None)]
    rows: list[LedgerRow]
    gaps: list[GapView]
    agrees: bool
    """Whether all sums do."""
    counted: bool
    """Whether what is pending was counted row by row; where very much waits, it is what Kafka lacks of the stored."""
    days: list[date]
    """Those that have rows, newest first."""


@router.get("/ledger", responses=documented(422))
async def the_ledger(
    web: TheWeb,
    day: Annotated[date | None, Query(description="A UTC date; without it, the newest that has rows")] = None,
    source: Annotated[str | None, Query(pattern=SOURCE, description="All its days instead, newest first")] = None,
) -> LedgerView:
    """What became of all that was generated: stored, pending, in Kafka, refused, lost; and whether the sums agree."""
    return await read_ledger(web, None if day is None else number_of(day), source)


async def read_ledger(web: Web, day: int | None, source: str | None) -> LedgerView:
    """The ledger of a day (None: the newest), or of all days of a source."""
    return await in_thread(web.state, lambda reader: _view(web.state, reader, day, source))


def _view(state: GatewayState, reader: sqlite3.Connection, day: int | None, source: str | None) -> LedgerView:
    days = ledger.days(reader, DAYS)
    if source is not None:
        entries = ledger.of_source(reader, source, DAYS)
    else:
        day = day if day is not None else max((each for each in days if each >= 0), default=days[0] if days else None)
        entries = ledger.of_day(reader, day) if day is not None else []
    backlog = reads.backlog(reader)
    counted = backlog.pending <= COUNTED
    waiting = ledger.waiting(reader, backlog.confirmed) if counted else None
    rows = [_row(list(group), waiting) for _, group in groupby(entries, lambda entry: (entry.source, entry.day))]
    rows.sort(
        key=lambda row: (row.source == state.config.gateway.id, not row.flaws) if source is None else (False, False)
    )
    return LedgerView(
        day=None if source is not None else day,
        source=source,
        rows=rows,
        gaps=[_gap(gap) for gap in ledger.gaps(reader, None if source is not None else day, source)],
        agrees=not any(row.flaws for row in rows),
        counted=counted,
        days=[found for each in days if (found := date_of(each)) is not None],
    )


def _row(entries: list[Entry], waiting: Mapping[tuple[str, int, int], tuple[int, int]] | None) -> LedgerRow:
    """The row of a source's day; a dispenser that got a new memory has several entries."""
    sums = {name: sum(getattr(entry, name) for entry in entries) for name in _SUMMED}
    stored, sent = sums["stored"], sums["sent"]
    if waiting is None:
        pending = stored - sent
    else:
        pending = sum(waiting.get((entry.source, entry.generation, entry.day), (0, 0))[0] for entry in entries)
    missing = [_range(entry, *entry.missing) for entry in entries if entry.missing is not None]
    off = sums["generated"] - (stored + sums["refused"] - sums["replayed"] + sums["lost"])
    flaws: list[Flaw] = []
    if missing:
        flaws.append("missing")
    elif off:
        flaws.append("dated_elsewhere")
    if stored != pending + sent:
        flaws.append("pending_differs")
    day = entries[0].day
    return LedgerRow(
        source=entries[0].source,
        day=day,
        date=date_of(day),
        sequences=[_range(entry, entry.first, entry.last) for entry in entries],
        generated=sums["generated"],
        stored=stored,
        pending=pending,
        in_kafka=sent,
        refused=sums["refused"],
        refused_in_kafka=sums["sent_letters"],
        replayed=sums["replayed"],
        lost=sums["lost"],
        missing=missing,
        flaws=flaws,
    )


_SUMMED = ("generated", "stored", "refused", "replayed", "lost", "sent", "sent_letters")


def _range(entry: Entry, first: int, last: int) -> Range:
    return Range(generation=entry.generation, first=first, last=last)


def _gap(gap: ledger.Gap) -> GapView:
    return GapView(
        source=gap.dispenser,
        generation=gap.generation,
        first=gap.first,
        last=gap.last,
        day=gap.day,
        date=date_of(gap.day),
    )


def totals(rows: Iterable[LedgerRow]) -> dict[str, int]:
    """The sums of a page's rows."""
    names = ("generated", "stored", "pending", "in_kafka", "refused", "replayed", "lost")
    counted = list(rows)
    return {name: sum(getattr(row, name) for row in counted) for name in names}
