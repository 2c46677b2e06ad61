"""What a person may have the daemon itself do: let a stopped uplink go on, tell what passes on its links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from gateway import tracing
from gateway.web import views
from gateway.web.answers import SyncView
from gateway.web.dispenser_views import dispenser_view
from gateway.web.dispensers.commands import Dispenser
from gateway.web.examples import as_text
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician

router = APIRouter(prefix="/api/v1", tags=["v1"])

LINES = as_text("application/jsonl", '{"link": "/dev/ttyUSB0", "message": "EVENT"}\n')


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


@router.post("/trace", response_class=StreamingResponse, responses={200: LINES, **documented(409, 422)})
async def trace(web: TheWeb, wanted: Wanted) -> StreamingResponse:
    """What passes on all links from now on, without secrets: JSON lines, until it is over or the reader goes."""
    return await _traced(web, wanted)


@router.get(
    "/dispensers/{dispenser}/trace",
    response_class=StreamingResponse,
    responses={200: LINES, **documented(404, 409, 422)},
)
async def trace_one(
    web: TheWeb,
    dispenser: Dispenser,
    who: Technician,  # noqa: ARG001 -- customers' own words pass there
    seconds: Annotated[float, Query(gt=0, le=tracing.MAX_SECONDS)] = 60.0,
    max_bytes: Annotated[int, Query(ge=1_000, le=tracing.MAX_BYTES)] = 10_000_000,
) -> StreamingResponse:
    """What passes on the line of one dispenser, as a file."""
    view = dispenser_view(web.state, web.watch, dispenser)
    if view is None or view.link is None:
        hint = "/api/v1/dispensers lists those that there are"
        raise Problem(404, "no-such-dispenser", "there is no dispenser of this name, or it never came", hint=hint)
    answer = await _traced(web, Wanted(seconds=seconds, max_bytes=max_bytes), view.link)
    answer.headers["content-disposition"] = f'attachment; filename="{dispenser}.jsonl"'
    return answer


async def _traced(web: Web, wanted: Wanted, only: str | None = None) -> StreamingResponse:
    state = web.state
    if state.tracer.full:
        hint = "Wait for the end of one, or end it; a page that shows what passes is one, too"
        raise Problem(409, "traces-run", f"{tracing.MAX_LISTENERS} traces are being taken already", hint=hint)
    lines = state.tracer.lines(wanted.seconds, wanted.max_bytes, state.links, web.closing, only)
    first = await anext(lines)  # from here on it counts
    return StreamingResponse(_all(first, lines), media_type="application/jsonl")


async def _all(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in lines:
        yield line
