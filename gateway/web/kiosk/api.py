"""The kiosk's API: what it shows, and what may be pressed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.web.kiosk import presses
from gateway.web.kiosk.answers import KioskView, kiosk_view
from gateway.web.kiosk.live import stream
from gateway.web.kiosk.presses import Dispenser, Key, Wish
from gateway.web.kiosk.screen import screen_of
from gateway.web.problems import documented
from gateway.web.seats import FreeSeat
from gateway.web.shell import language_of
from gateway.web.stream import STREAM, EventStream
from gateway.web.web import TheWeb, Web
from gateway.web.who import asker
from heat.events import Verdict
from heat.identity import SAFE_INTEGER

router = APIRouter(prefix="/api/v1/kiosk/{dispenser}", tags=["v1"])


class Rating(BaseModel):
    """How hot the last pour was."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [{"verdict": "just_right"}]}
    )

    verdict: Verdict
    pour: Annotated[int | None, Field(ge=1, le=SAFE_INTEGER)] = None
    """Which pour is meant, from `question`: refused where another came since. Null: the last."""


@router.get("", responses=documented(404, 422))
async def look(request: Request, web: TheWeb, dispenser: Dispenser) -> KioskView:
    """What the kiosk of a dispenser shows now, in the language of Accept-Language."""
    return _view(request, web, dispenser)


@router.get("/live", response_class=EventStream, responses={200: STREAM, **documented(404, 422, 503)})
async def live(
    request: Request, seat: FreeSeat, dispenser: Dispenser, last_event_id: Annotated[str | None, Header()] = None
) -> EventStream:
    """The same whenever it has changed: events `start` and `visit`, and ticks between them."""
    told = language_of(request, seat.web, seat.who)
    return stream(seat, dispenser, lambda screen: kiosk_view(screen, told).model_dump_json(), last_event_id)


@router.post("/visits/{visit}/rating", responses=documented(404, 409, 422, 429, 503))
async def rate(request: Request, web: TheWeb, dispenser: Dispenser, visit: Key, rating: Rating) -> KioskView:
    """Say how hot the last pour was, once a pour: an event of the gateway's own, on disk when this answers."""
    screen_of(web.state, dispenser)
    await presses.rate(web, dispenser, visit, rating.verdict, rating.pour)
    return _view(request, web, dispenser)


@router.post("/visits/{visit}/{wish}", responses=documented(404, 409, 422, 429, 503))
async def press(request: Request, web: TheWeb, dispenser: Dispenser, visit: Key, wish: Wish) -> KioskView:
    """What else a customer can press.

    `forget`: not to be known; what was learned is deleted here, and nothing is learned from now on. `remember`: to be
    known by the card again. `stay`: they are still there. `leave`: they are done. In a visit that is over, these two do
    nothing.
    """
    screen_of(web.state, dispenser)
    await presses.wish(web, dispenser, visit, wish)
    return _view(request, web, dispenser)


def _view(request: Request, web: Web, dispenser: str) -> KioskView:
    return kiosk_view(screen_of(web.state, dispenser), language_of(request, web, asker(request)))
