"""Taking back a pour that no customer made, through the API."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field

from gateway import voids
from gateway.dating import stamp
from gateway.voids import MAX_AGE_DAYS, Refused, Voided
from gateway.web.answers import Answer, example
from gateway.web.audited import audit
from gateway.web.dispensers.told import Model
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician
from heat.errors import StoreError
from heat.events import VoidReason
from heat.identity import SAFE_INTEGER

router = APIRouter(prefix="/api/v1/events", tags=["v1"])

Position = Annotated[int, Path(ge=1, le=SAFE_INTEGER, examples=[1042])]

_WHY: dict[Refused, tuple[int, str, str]] = {
    "no-such-event": (404, "no event is at this position (any more)", "GET /api/v1/events tells what is"),
    "not-a-pour": (409, "this is no pour", "Only pours can be taken back, and a void is final"),
    "already-voided": (409, "this pour was taken back before", "There is nothing left to do"),
    "too-old": (409, f"this pour is more than {MAX_AGE_DAYS} days old", "It stays: what learned from it has moved on"),
}


class VoidAsked(Model):
    """Why it was no customer's."""

    reason: Annotated[VoidReason, Field(examples=["leak"])]


class VoidView(Answer):
    """A pour that was taken back."""

    position: Annotated[int, example(1043)]
    """Of the event that says so."""
    id: Annotated[str, example("gw-1:9d0c3b1e:5230447129331742")]
    voided: Annotated[str, example("hot-bar-1:5e3a09c1:42")]
    """The pour's identity."""
    sauce: Annotated[str, example("chipotle-honey")]
    volume_ul: Annotated[int, example(4800)]
    reason: Annotated[str, example("leak")]


@router.post("/{position}/void", status_code=201, responses=documented(404, 409, 422, 503))
async def void(request: Request, web: TheWeb, position: Position, asked: VoidAsked, who: Technician) -> VoidView:  # noqa: ARG001
    """Take back a pour that no customer made: it is in no profile any more, here and in the cloud.

    It is final. The sauce did flow: levels stay.
    """
    return await take_back(request, web, position, asked.reason)


async def take_back(request: Request, web: Web, position: int, reason: VoidReason) -> VoidView:
    """Take a pour back; it is on disk when this returns. Raises Problem."""
    state = web.state
    when = stamp(state.clock.now(), state.boot, 0, sure=True)
    try:
        done = await asyncio.wrap_future(
            state.store.write(lambda tx: voids.void(tx, position, reason, when, state.boot))
        )
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
    if not isinstance(done, Voided):
        status, detail, hint = _WHY[done]
        raise Problem(status, done, detail, hint=hint)
    state.outbox.wake()
    state.kiosk.visits.taken_back(position)
    audit(request, f"{done.data.voided}: {reason}")
    return VoidView(
        position=done.position,
        id=str(done.id),
        voided=done.data.voided,
        sauce=done.data.sauce,
        volume_ul=done.data.volume_ul,
        reason=reason,
    )
