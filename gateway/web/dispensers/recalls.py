"""Lots: which bottles had one, what was poured from them, and which must not be poured any more. Through the API."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from gateway import bottle_pours, lots
from gateway.bottle_pours import PourOfLot
from gateway.lots import Recall
from gateway.web import reads
from gateway.web.answers import PSEUDONYM, Answer, example
from gateway.web.audited import audit
from gateway.web.dispensers.bottles import BottleView, bottle_view
from gateway.web.dispensers.told import Model
from gateway.web.examples import as_text
from gateway.web.problems import Fault, Problem, documented
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician
from heat.errors import DataError, StoreError

CSV = as_text("text/csv", "time,dispenser,nozzle\r\n2026-05-01T09:30:00+00:00,hot-bar-1,2\r\n")
router = APIRouter(prefix="/api/v1/lots", tags=["v1"])

A_LOT: dict[str, Any] = {"pattern": "^ *[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,30}[A-Za-z0-9])? *$"}
Lot = Annotated[str, Path(max_length=64, examples=["L2026-118"], json_schema_extra=A_LOT)]
PAGE = 500
"""Pours in one answer."""
CSV_ROWS = 1_000
"""Rows that are read at once."""
HEADER = ("time", "dispenser", "nozzle", "sauce", "customer", "volume_ml", "taken_back")


class WhereView(BottleView):
    """A bottle of the lot, and where it is or was."""

    dispenser: Annotated[str, example("hot-bar-1")]
    nozzle: Annotated[int, example(2)]


class PourView(Answer):
    """A pour from a bottle of the lot."""

    position: Annotated[int, example(1042)]
    time: datetime
    dispenser: Annotated[str, example("hot-bar-1")]
    nozzle: Annotated[int, example(2)]
    sauce: Annotated[str, example("chipotle-honey")]
    customer: Annotated[str | None, example(PSEUDONYM)]
    """A pseudonym or a session; None: nobody's."""
    volume_ml: Annotated[float, example(4.8)]
    taken_back: bool
    """It was no customer's."""


class RecallView(Answer):
    """That a lot must not be poured."""

    lot: Annotated[str, example("L2026-118")]
    since: datetime
    recalled_by: Annotated[str, example("Ada")]
    reason: Annotated[str, example("glass in a bottle")]


class Recalls(Answer):
    """All lots that must not be poured, the newest first."""

    recalls: list[RecallView]


class LotView(Answer):
    """A lot: its recall, its bottles, and a page of what was poured from them."""

    lot: Annotated[str, example("L2026-118")]
    recall: RecallView | None
    bottles: list[WhereView]
    pours: list[PourView]
    next: Annotated[int | None, example(1142)]
    """Give it as `after` for the next page; null at the end."""


class RecallAsked(Model):
    """Why the lot must not be poured."""

    reason: Annotated[str, Field(min_length=1, max_length=200, examples=["glass in a bottle"])]


@router.get("", responses=documented(422))
async def recalls(web: TheWeb) -> Recalls:
    """Lots that must not be poured."""
    return Recalls(recalls=[_recall_view(each) for each in web.state.lots.recalls])


@router.get("/{lot}", responses=documented(422))
async def look(web: TheWeb, lot: Lot, after: Annotated[int, Query(ge=0, le=2**53 - 1)] = 0) -> LotView:
    """Which bottles had a lot, where they are, and what was poured from them."""
    return await lot_view(web, checked(lot), after)


@router.get("/{lot}/pours.csv", response_class=StreamingResponse, responses={200: CSV, **documented(422)})
async def pours(web: TheWeb, lot: Lot) -> StreamingResponse:
    """Everything that was poured from a lot, as a table."""
    return csv_of(web, checked(lot))


@router.put("/{lot}/recall", responses=documented(422, 503))
async def recall(request: Request, web: TheWeb, lot: Lot, asked: RecallAsked, who: Technician) -> LotView:
    """A lot must not be poured any more: its bottles are never picked, and a Repair asks for each to be changed."""
    name = checked(lot)
    await recall_lot(request, web, name, who.name, asked.reason)
    return await lot_view(web, name)


@router.delete("/{lot}/recall", responses=documented(404, 422, 503))
async def lift(request: Request, web: TheWeb, lot: Lot, who: Technician) -> LotView:  # noqa: ARG001
    """A lot may be poured again."""
    name = checked(lot)
    await lift_recall(request, web, name)
    return await lot_view(web, name)


def checked(text: str) -> str:
    """A lot as it is kept. Raises Problem."""
    try:
        return lots.read_lot(text)
    except DataError as error:
        fault = Fault(where="lot", what=str(error.args[0]))
        raise Problem(422, "bad-lot", str(error.args[0]), hint=error.hint, faults=(fault,)) from None


async def recall_lot(request: Request, web: Web, lot: str, by: str, reason: str) -> None:
    """Have a lot never picked again. Raises Problem."""
    reason = " ".join(reason.split())
    if not reason:
        fault = Fault(where="reason", what="is missing")
        raise Problem(422, "bad-reason", "a recall needs its reason", hint="Say what is wrong", faults=(fault,))
    try:
        await web.state.lots.recall(Recall(lot, web.state.clock.now().wall_ms, by[:64], reason))
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
    audit(request, f"{lot}: {reason}")


async def lift_recall(request: Request, web: Web, lot: str) -> None:
    """Let a lot be poured again. Raises Problem."""
    try:
        known = await web.state.lots.lift(lot)
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
    if not known:
        raise Problem(404, "not-recalled", "this lot was not recalled", hint="GET /api/v1/lots lists those that were")
    audit(request, lot)


async def lot_view(web: Web, lot: str, after: int = 0, limit: int = PAGE) -> LotView:
    """A lot, and a page of its pours."""
    bottles, found = await asyncio.to_thread(_look, web, lot, after, limit)
    known = web.state.lots.recall_of(lot)
    return LotView(
        lot=lot,
        recall=None if known is None else _recall_view(known),
        bottles=[
            WhereView(dispenser=each.dispenser, nozzle=each.nozzle, **dict(bottle_view(web.state.lots, each)))
            for each in bottles
        ],
        pours=[_pour_view(pour) for pour in found[:limit]],
        next=found[limit - 1].position if len(found) > limit else None,
    )


def csv_of(web: Web, lot: str) -> StreamingResponse:
    """All pours of a lot, streamed."""
    headers = {"content-disposition": f'attachment; filename="lot-{lot.replace(" ", "_")}.csv"'}
    return StreamingResponse(_rows(web, lot), media_type="text/csv; charset=utf-8", headers=headers)


def _rows(web: Web, lot: str) -> Iterator[str]:
    """In a thread of the pool; the reader holds no transaction between two pieces."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    after = 0
    while True:
        with closing(web.state.store.reader()) as reader:
            found = list(bottle_pours.of_lot(reader, lot, after, CSV_ROWS))
        for pour in found:
            at = reads.moment(pour.time_ms).isoformat(timespec="seconds")
            row = at, pour.dispenser, pour.nozzle, pour.sauce, pour.subject or "", pour.volume_ul / 1000, pour.voided
            writer.writerow(row)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        if len(found) < CSV_ROWS:
            return
        after = found[-1].position


def _look(web: Web, lot: str, after: int, limit: int) -> tuple[list[lots.Bottle], list[PourOfLot]]:
    with closing(web.state.store.reader()) as reader:
        return lots.of_lot(reader, lot), list(bottle_pours.of_lot(reader, lot, after, limit + 1))


def _recall_view(found: Recall) -> RecallView:
    return RecallView(
        lot=found.lot, since=reads.moment(found.since_ms), recalled_by=found.recalled_by, reason=found.reason
    )


def _pour_view(pour: PourOfLot) -> PourView:
    return PourView(
        position=pour.position,
        time=reads.moment(pour.time_ms),
        dispenser=pour.dispenser,
        nozzle=pour.nozzle,
        sauce=pour.sauce,
        customer=pour.subject,
        volume_ml=pour.volume_ul / 1000,
        taken_back=bool(pour.voided),
    )
