"""What is shown while the gateway can't run: one page with what is wrong, its log and a support bundle.

Programs get the same list. There is no store here, and there are no dispensers; who may come in, access.db says.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse

from cloud_sync.log_ring import RING
from gateway import support
from gateway.web.entry.bare import TheEntry, draw, language_here
from gateway.web.language import Text
from gateway.web.machine.answers import LogLine
from gateway.web.machine.log_lines import scrubbed, select
from gateway.web.problems import Problem
from gateway.web.repairs.answers import Repairs, repairs_view
from gateway.web.safe.safe import TheSafe
from gateway.web.who import Role, Technician, Viewer

TITLE = Text("Safe mode")
LOG_LINES = 50

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request, safe: TheSafe, entry: TheEntry, who: Viewer) -> HTMLResponse:
    """What is wrong, and the log, for those who may read that."""
    lines: list[LogLine] = []
    if who.role >= Role.TECHNICIAN:
        scrub = await asyncio.to_thread(support.scrubber, safe.config)
        lines = select(RING.lines(), scrub, "info", "", LOG_LINES).lines
    return draw(
        request, entry, "safe/page.html", TITLE, 200, repairs=safe.repairs, found=safe.found, lines=lines, who=who
    )


@router.get("/api/v1/repairs")
async def all_repairs(request: Request, safe: TheSafe, entry: TheEntry, who: Viewer) -> Repairs:  # noqa: ARG001
    """As the running gateway tells it."""
    return repairs_view(safe.repairs, language_here(request, entry), safe.found)


@router.post("/repairs/check")
async def check_again(safe: TheSafe, who: Technician) -> Response:  # noqa: ARG001
    """Look at everything now. Where all is well, the gateway starts, and this page is the usual one."""
    await safe.look()
    return RedirectResponse("/", 303)


@router.post("/api/v1/repairs/check")
async def check_again_by_program(request: Request, safe: TheSafe, entry: TheEntry, who: Technician) -> Repairs:  # noqa: ARG001
    """The same for programs."""
    await safe.look()
    return repairs_view(safe.repairs, language_here(request, entry), safe.found)


@router.get("/log.jsonl")
async def log(safe: TheSafe, who: Technician) -> PlainTextResponse:  # noqa: ARG001
    """The log's last lines, without secrets."""
    scrub = await asyncio.to_thread(support.scrubber, safe.config)
    return PlainTextResponse("".join(scrubbed(RING.lines(), scrub)), media_type="application/jsonl")


@router.get("/bundle.zip")
async def bundle(safe: TheSafe, who: Technician) -> StreamingResponse:  # noqa: ARG001
    """A support bundle, as far as there is something to look at: no more than a technician gets of one that runs."""
    config = safe.config
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
