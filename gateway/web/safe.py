"""What is shown while the gateway can't run: one page with what is wrong, its log and a support bundle.

Programs get the same list. There is no store here, and there are no dispensers; who may come in, access.db says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cloud_sync.log_ring import RING
from gateway import support
from gateway.access.access import Access
from gateway.config import Config
from gateway.web import safe_restore
from gateway.web.entry import sign_in
from gateway.web.entry.bare import Entry, TheEntry, draw, language_here
from gateway.web.guard import Guard
from gateway.web.language import Text
from gateway.web.machine.log_lines import scrubbed, select
from gateway.web.problems import Problem, handle_errors
from gateway.web.repairs.answers import Repairs, repairs_view
from gateway.web.repairs.repair import Repair
from gateway.web.statics import statics
from gateway.web.who import Owner, Technician, Viewer

TITLE = Text("Safe mode")
LOG_LINES = 50
CHECK_S = 15.0
"""s that *Check again* waits for a look; one that opens a large database takes longer, and goes on."""

router = APIRouter(include_in_schema=False)


@dataclass(slots=True)
class Safe:
    """What is wrong, and who may see it."""

    config: Config
    access: Access
    repairs: list[Repair] = field(default_factory=list)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to have everything looked at now."""
    looked: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Notified after each look."""


def make_safe_applications(safe: Safe) -> tuple[ASGIApp, ASGIApp]:
    """For browsers and programs, and for the console's socket."""
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    application.state.safe = safe
    application.state.entry = Entry(safe.access, safe.config)
    application.include_router(sign_in.router)
    application.include_router(safe_restore.router)
    application.include_router(router)
    application.mount("/static", statics, name="static")
    handle_errors(application)
    return Guard(application, safe.access), Guard(application, safe.access, console=True)


async def closed(scope: Scope, receive: Receive, send: Send) -> None:
    """Where nobody can be told from anybody else: that something is wrong, and where one finds out what."""
    if scope["type"] == "http":
        said = "This gateway can't run. Give this command on it: picante doctor\n"
        await PlainTextResponse(said, 503, {"retry-after": "10"})(scope, receive, send)


def _safe(request: Request) -> Safe:
    safe: Safe = request.app.state.safe
    return safe


@router.get("/")
async def page(request: Request, entry: TheEntry, who: Viewer) -> HTMLResponse:
    """What is wrong, and the log."""
    safe = _safe(request)
    scrub = await asyncio.to_thread(support.scrubber, safe.config)
    lines = select(RING.lines(), scrub, "info", "", LOG_LINES).lines
    return draw(request, entry, "safe/page.html", TITLE, 200, repairs=safe.repairs, lines=lines, who=who)


@router.get("/api/v1/repairs")
async def all_repairs(request: Request, entry: TheEntry, who: Viewer) -> Repairs:  # noqa: ARG001
    """As the running gateway tells it."""
    return repairs_view(_safe(request).repairs, language_here(request, entry))


@router.post("/repairs/check")
async def check_again(request: Request, who: Technician) -> Response:  # noqa: ARG001
    """Look at everything now. Where all is well, the gateway starts, and this page is the usual one."""
    await _look(_safe(request))
    return RedirectResponse("/", 303)


@router.post("/api/v1/repairs/check")
async def check_again_by_program(request: Request, entry: TheEntry, who: Technician) -> Repairs:  # noqa: ARG001
    """The same for programs."""
    await _look(_safe(request))
    return repairs_view(_safe(request).repairs, language_here(request, entry))


@router.get("/log.jsonl")
async def log(request: Request, who: Technician) -> PlainTextResponse:  # noqa: ARG001
    """The log's last lines, without secrets."""
    scrub = await asyncio.to_thread(support.scrubber, _safe(request).config)
    return PlainTextResponse("".join(scrubbed(RING.lines(), scrub)), media_type="application/jsonl")


@router.get("/bundle.zip")
async def bundle(request: Request, who: Owner) -> StreamingResponse:  # noqa: ARG001
    """A support bundle, as far as there is something to look at."""
    config = _safe(request).config
    scrub = await asyncio.to_thread(support.scrubber, config)
    parts = support.parts(config, lambda: [f"{line.json}\n" for line in RING.lines()])
    name = f"attachment; filename={config.gateway.id}-safe-mode.zip"
    return StreamingResponse(
        support.bundle(parts, scrub), media_type="application/zip", headers={"content-disposition": name}
    )


@router.get("/setup")
async def setup(request: Request, entry: TheEntry) -> HTMLResponse:
    """Nobody can sign in yet: no word of what is wrong, but where it is told."""
    return draw(request, entry, "safe/closed.html", TITLE, 503)


@router.get("/healthz")
@router.get("/readyz")
async def not_ready() -> Response:
    """The process lives and the gateway does not."""
    raise Problem(503, "safe-mode", "the gateway can't run", hint="Open its page, or give the command picante doctor")


@router.get("/{path:path}")
async def elsewhere(path: str) -> Response:
    """There is one page alone."""
    if path.startswith(("api/", "live", "metrics")):
        raise Problem(503, "safe-mode", "the gateway can't run", hint="/api/v1/repairs tells what is wrong")
    return RedirectResponse("/", 303)


async def _look(safe: Safe) -> Any:
    async with safe.looked:
        safe.woken.set()
        try:
            async with asyncio.timeout(CHECK_S):
                await safe.looked.wait()
        except TimeoutError:
            pass
