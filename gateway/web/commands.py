"""What a person at the machine may have the daemon do. `gateway.web.guard` names these paths, and keeps pages away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from gateway import tracing
from gateway.web import views
from gateway.web.answers import SyncView
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb

router = APIRouter(prefix="/api/v1", tags=["v1"])


@router.post("/uplink/adopt", responses=documented(409))
async def adopt(web: TheWeb) -> SyncView:
    """Have a stopped uplink go on: whoever wrote its position was this gateway, with another card or database."""
    uplink = web.state.uplink
    if uplink is None or uplink.status.foreign_instance is None:
        hint = "Only an uplink that is stopped, as another gateway wrote its position, can be told to go on"
        raise Problem(409, "not-stopped", "the uplink is not stopped", hint=hint)
    await uplink.adopt()
    return views.sync_view(web.state, web.watch)


class Wanted(BaseModel):
    """How long a trace may be."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(gt=0, le=tracing.MAX_SECONDS)] = 60.0
    max_bytes: Annotated[int, Field(ge=1_000, le=tracing.MAX_BYTES)] = 10_000_000


@router.post("/trace", response_class=StreamingResponse, responses=documented(409, 422))
async def trace(web: TheWeb, wanted: Wanted) -> StreamingResponse:
    """What passes on all links from now on, without secrets: JSON lines, until it is over or the reader goes."""
    state = web.state
    if state.tracer.active:
        raise Problem(409, "trace-runs", "a trace is being taken already", hint="Wait for its end, or end it")
    lines = state.tracer.lines(wanted.seconds, wanted.max_bytes, state.links, web.closing)
    first = await anext(lines)  # from here on nobody else can begin one
    return StreamingResponse(_all(first, lines), media_type="application/jsonl")


async def _all(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in lines:
        yield line
