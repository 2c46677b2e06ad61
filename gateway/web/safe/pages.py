"""What is shown while the gateway can't run: one page with what is wrong, its log and a support bundle.

Programs get the same (`safe.api`). There is no store here, and there are no dispensers;
who may come in, access.db says.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from gateway.web.entry.bare import TheEntry, draw
from gateway.web.language import Text
from gateway.web.machine.answers import LogLine
from gateway.web.machine.gathering import log_file
from gateway.web.problems import PROGRAMS, Problem
from gateway.web.safe.gathering import newest, scrubber_of, zipped
from gateway.web.safe.safe import TheSafe
from gateway.web.who import Role, Technician, Viewer

TITLE = Text("Safe mode")
ONE_MOMENT = Text("One moment, please")
LOG_LINES = 50

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request, safe: TheSafe, entry: TheEntry, who: Viewer) -> HTMLResponse:
    """What is wrong, and the log, for those who may read that."""
    lines: list[LogLine] = []
    if who.role >= Role.TECHNICIAN:
        lines = (await newest(safe, "info", "", LOG_LINES)).lines
    return draw(
        request, entry, "safe/page.html", TITLE, 200, repairs=safe.repairs, found=safe.found, lines=lines, who=who
    )


@router.post("/repairs/check")
async def check_again(safe: TheSafe, who: Technician) -> Response:  # noqa: ARG001
    """Look at everything now. Where all is well, the gateway starts, and this page is the usual one."""
    await safe.look()
    return RedirectResponse("/", 303)


@router.get("/log.jsonl")
async def log(safe: TheSafe, who: Technician) -> Response:  # noqa: ARG001
    """The log's last lines, without secrets."""
    content = await asyncio.to_thread(lambda: log_file(scrubber_of(safe)))
    return Response(content, media_type="application/jsonl")


@router.get("/bundle.zip")
async def bundle(safe: TheSafe, who: Technician) -> StreamingResponse:  # noqa: ARG001
    """A support bundle."""
    return zipped(safe, set())


@router.get("/setup")
async def setup(request: Request, entry: TheEntry) -> HTMLResponse:
    """Nobody can sign in yet: no word of what is wrong, but where it is told."""
    return draw(request, entry, "safe/closed.html", TITLE, 503)


@router.get("/kiosk/{dispenser}")
async def kiosk(request: Request, entry: TheEntry) -> HTMLResponse:
    """A screen that was switched on meanwhile looks again and again: nobody is there who would lead it back."""
    return draw(request, entry, "safe/kiosk.html", ONE_MOMENT, 503)


@router.get("/healthz")
@router.get("/readyz")
async def not_ready() -> Response:
    """The process lives and the gateway does not."""
    raise Problem(503, "safe-mode", "the gateway can't run", hint="Open its page, or give the command picante doctor")


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
async def elsewhere(request: Request) -> Response:
    """There is one page alone, and nothing is done but what it offers."""
    if request.method != "GET" or request.url.path.startswith(PROGRAMS):
        raise Problem(503, "safe-mode", "the gateway can't run", hint="/api/v1/repairs tells what is wrong")
    return RedirectResponse("/", 303)
