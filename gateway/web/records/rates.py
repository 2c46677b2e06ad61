"""How fast events come and go up, and when Kafka will have caught up: of the last minute."""

from __future__ import annotations

from collections import deque
from typing import Annotated

from fastapi import APIRouter

from gateway.web.answers import Answer, example
from gateway.web.watch import Mark
from gateway.web.web import TheWeb, Web

router = APIRouter(prefix="/api/v1", tags=["v1"])


class Rates(Answer):
    """Rows a second, of the last minute or since the gateway started."""

    stored_per_s: Annotated[float, example(3.2)]
    sent_per_s: Annotated[float, example(410.0)]
    over_s: Annotated[float, example(60.0)]
    """s that were looked at; 0 right after the start."""
    caught_up_in_s: Annotated[float | None, example(35.0)]
    """s until nothing waits, if it goes on like this; null where nothing waits, or more comes than goes."""


@router.get("/sync/rates")
async def sync_rates(web: TheWeb) -> Rates:
    """How fast events are stored and sent, and when Kafka will have caught up."""
    return rates(web)


def rates(web: Web) -> Rates:
    """As of now."""
    return of_marks(web.watch.marks)


def of_marks(marks: deque[Mark]) -> Rates:
    """Of the oldest mark and the newest."""
    if len(marks) < 2 or marks[-1].at_s <= marks[0].at_s:
        return Rates(stored_per_s=0.0, sent_per_s=0.0, over_s=0.0, caught_up_in_s=None)
    first, last = marks[0], marks[-1]
    over_s = last.at_s - first.at_s
    stored, sent = ((after - before) / over_s for before, after in zip(first[1:], last[1:], strict=True))
    pending = last.stored - last.confirmed
    catching_up = sent - stored
    left_s = pending / catching_up if pending > 0 and catching_up > 0.01 else None
    return Rates(
        stored_per_s=round(max(stored, 0.0), 2),
        sent_per_s=round(max(sent, 0.0), 2),
        over_s=round(over_s, 1),
        caught_up_in_s=None if left_s is None else round(left_s, 1),
    )
