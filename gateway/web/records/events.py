"""Events for programs: pages by position, with filters; and streams of them as JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, date
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from gateway.web import reads, views
from gateway.web.answers import SOURCE, Events, EventView
from gateway.web.examples import as_text
from gateway.web.problems import Problem, documented
from gateway.web.reads import Row
from gateway.web.records import search
from gateway.web.records.reading import date_of, in_thread, number_of
from gateway.web.records.search import Filters
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer
from heat.identity import SAFE_INTEGER, SAUCE_ID, EventId

router = APIRouter(prefix="/api/v1", tags=["v1"])

CHUNK = 500
"""Rows that are read at once for a stream: each time with a connection of its own, so that no reading is long."""
TEXT_CHARS = 100
A_TYPE = r"^picante\.[a-z-]{1,32}\.v[0-9]{1,3}$"
A_SAUCE = "^" + SAUCE_ID.pattern.replace(r"\Z", "$")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula."""


def _filters(  # noqa: PLR0913, PLR0917 -- what can be looked for
    source: Annotated[str | None, Query(pattern=SOURCE, description="A dispenser, or the gateway itself")] = None,
    type: Annotated[str | None, Query(pattern=A_TYPE, description="picante.poured.v1, say")] = None,  # noqa: A002
    subject: Annotated[
        str | None, Query(min_length=1, max_length=100, description="A pseudonym or a session, never a token")
    ] = None,
    sauce: Annotated[str | None, Query(pattern=A_SAUCE, description="Poured, rated, refilled or shown")] = None,
    day: Annotated[date | None, Query(description="A UTC date")] = None,
    refused: Annotated[bool, Query(description="Dead letters alone")] = False,
    text: Annotated[
        str | None, StringConstraints(min_length=1, max_length=TEXT_CHARS), Query(description="Stands in it somewhere")
    ] = None,
) -> Filters:
    number = None if day is None else number_of(day)
    return Filters(source, type, subject, sauce, number, refused, text)


Wanted = Annotated[Filters, Depends(_filters)]
Position = Annotated[int, Path(ge=1, le=SAFE_INTEGER, examples=[1042])]


@router.get("/events", response_model=Events, responses=documented(422))
async def events(
    web: TheWeb,
    _who: Viewer,
    filters: Wanted,
    after: Annotated[int, Query(ge=0, le=SAFE_INTEGER, description="Events above this position")] = 0,
    before: Annotated[
        int | None, Query(ge=1, le=SAFE_INTEGER, description="Instead: events below this position, newest first")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Events and refusals in the order of their commits. What Kafka has, and 200,000 rows have followed, is pruned.

    With filters a request looks at 100,000 rows at most, at 20,000 if it must read their data (`sauce`, `text`): a
    page may hold few events, or none, and have a `next`.
    """

    def read(reader: sqlite3.Connection) -> bytes:
        if before is not None:
            found = search.older(reader, filters, before, limit)
        else:
            found = search.newer(reader, filters, after, limit)
        page = {"events": [views.event(row) for row in found.rows], "next": found.next, "looked_to": found.looked_to}
        return msgspec.json.encode(page)

    return Response(await in_thread(web.state, read), media_type="application/json")


EXPORTED = {
    "content": {
        **as_text("application/jsonl", '{"position": 1042, "source": "hot-bar-1"}\n')["content"],
        **as_text("text/csv", "position,source\n1042,hot-bar-1\n")["content"],
    }
}


@router.get(
    "/events/export",
    response_class=StreamingResponse,
    responses={200: EXPORTED, **documented(422)},
)
async def export(
    web: TheWeb,
    _who: Viewer,
    filters: Wanted,
    format: Annotated[Literal["jsonl", "csv"], Query(description="JSON Lines, or CSV")] = "jsonl",  # noqa: A002
    after: Annotated[int, Query(ge=0, le=SAFE_INTEGER, description="Events above this position")] = 0,
) -> StreamingResponse:
    """All events that fit, oldest first, as long as there are any; those that come meanwhile are not among them.

    If the gateway stops before the end, the last line says so, with the position to go on after.
    """
    write, media_type = (_json_lines, "application/jsonl") if format == "jsonl" else (_csv, "text/csv; charset=utf-8")
    name = f"events-{web.state.config.gateway.id}.{format}"
    last = await in_thread(web.state, lambda reader: reads.backlog(reader).stored)
    return StreamingResponse(
        _stream(web, filters, after, last, write),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{name}"', "x-accel-buffering": "no"},
    )


@router.get("/events/{position}", response_model=EventView, responses=documented(404, 422))
async def event(web: TheWeb, _who: Viewer, position: Position) -> Response:
    """One event."""
    row = await find_event(web, position)
    return Response(msgspec.json.encode(views.event(row)), media_type="application/json")


async def find_event(web: Web, position: int) -> Row:
    """The row at a position. Raises Problem: there is none (any more)."""
    found = await in_thread(web.state, lambda reader: search.newer(reader, Filters(), position - 1, 1).rows)
    if not found or found[0].position != position:
        hint = "What Kafka has, and 200,000 rows have followed, is pruned"
        raise Problem(404, "no-such-event", "there is no event at this position", hint=hint)
    return found[0]


# -- streams --------------------------------------------------------------------------------------------------------

Write = Callable[[Iterable[Row], bool], bytes]
"""Rows as bytes; the second says whether they are the first."""
STOPPED = "the gateway stopped here; go on with after="
"""In the last line of a stream that is not whole."""


async def _stream(web: Web, filters: Filters, after: int, last: int, write: Write) -> AsyncIterator[bytes]:
    first = True
    position: int | None = after
    while position is not None and position < last:
        if web.closing.is_set():
            yield write([], first) + _stopped(write, position)
            return
        at = position
        found = await in_thread(web.state, lambda reader: search.newer(reader, filters, at, CHUNK))  # noqa: B023
        rows = [row for row in found.rows if row.position <= last]
        yield write(rows, first)
        first, position = False, found.next
    if first:
        yield write([], True)


def _stopped(write: Write, position: int) -> bytes:
    if write is _csv:
        return f"{position},{STOPPED}{position}\r\n".encode()
    return msgspec.json.encode({"stopped": STOPPED + str(position), "after": position}) + b"\n"


def _json_lines(rows: Iterable[Row], _first: bool) -> bytes:
    return b"".join(msgspec.json.encode(views.event(row)) + b"\n" for row in rows)


COLUMNS = (
    *("position", "id", "source", "type", "time", "date", "clock", "subject", "sauce", "shu", "volume_ml", "verdict"),
    *("pick_id", "reason", "detail", "data"),
)
"""Of a CSV; `data` is all of the event's data as JSON."""


def _csv(rows: Iterable[Row], first: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    if first:
        writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    return text.getvalue().encode()


def _cells(row: Row) -> list[object]:
    data: dict[str, Any] = {}
    if row.type is not None:
        try:
            data = msgspec.json.decode(row.data, type=dict[str, Any])
        except msgspec.DecodeError:
            data = {}
    heat, volume_ul = data.get("heat"), data.get("volume_ul")
    day = date_of(row.day)
    cells = (
        row.position,
        str(EventId(row.source, row.generation, row.sequence)),
        row.source,
        row.type,
        reads.moment(row.time_ms).astimezone(UTC).isoformat(),
        None if day is None else day.isoformat(),
        row.clock,
        row.subject,
        data.get("sauce"),
        heat.get("shu") if isinstance(heat, dict) else None,
        volume_ul / 1000 if isinstance(volume_ul, int) else None,
        data.get("verdict"),
        data.get("pick_id"),
        row.reason,
        row.detail,
        msgspec.json.encode(data).decode() if data else None,
    )
    return [_harmless(cell) for cell in cells]


def _harmless(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: one that begins like one gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell
