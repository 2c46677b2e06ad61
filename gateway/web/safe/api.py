"""`/api/v1` in safe mode: what its pages do, by the same functions, at the paths that a gateway has that runs.

`/openapi.json` of one that runs describes them; all else answers 503.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.web.entry.bare import TheEntry, language_here
from gateway.web.machine import doing
from gateway.web.machine.answers import BundlePreview, LogLines, Restarting, RestoreView
from gateway.web.machine.api import Passphrase, RestoreConfirmed, Without
from gateway.web.machine.log_lines import MAX_SHOWN, Level
from gateway.web.machine.upload import file_of
from gateway.web.repairs.answers import Repairs, repairs_view
from gateway.web.safe.gathering import bundle_of, newest, zipped
from gateway.web.safe.safe import TheSafe
from gateway.web.who import Owner, Technician, Viewer

router = APIRouter(prefix="/api/v1")


@router.get("/repairs")
async def all_repairs(request: Request, safe: TheSafe, entry: TheEntry, who: Viewer) -> Repairs:  # noqa: ARG001
    """What is wrong, what can't wait first."""
    return repairs_view(safe.repairs, language_here(request, entry), safe.found)


@router.post("/repairs/check")
async def look_again(request: Request, safe: TheSafe, entry: TheEntry, who: Technician) -> Repairs:  # noqa: ARG001
    """Look at everything now. Where all is well, the gateway starts."""
    await safe.look()
    return repairs_view(safe.repairs, language_here(request, entry), safe.found)


@router.get("/system/log")
async def log(
    safe: TheSafe,
    who: Technician,  # noqa: ARG001
    level: Level = "info",
    search: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_SHOWN)] = 100,
) -> LogLines:
    """The last lines of the log, newest first, without secrets."""
    return await newest(safe, level, search, limit)


@router.get("/system/bundle")
async def bundle_preview(safe: TheSafe, who: Technician) -> BundlePreview:  # noqa: ARG001
    """What a support bundle would hold now."""
    return await bundle_of(safe).preview()


@router.get("/system/bundle/{name}", response_class=Response)
async def bundle_file(safe: TheSafe, who: Technician, name: str) -> Response:  # noqa: ARG001
    """One file of the bundle, as it would leave."""
    return Response(await bundle_of(safe).one(name), media_type="text/plain; charset=utf-8")


@router.post("/system/bundle", response_class=StreamingResponse)
async def bundle(safe: TheSafe, who: Technician, body: Without) -> StreamingResponse:  # noqa: ARG001
    """A support bundle, as far as there is something to look at."""
    return zipped(safe, set(body.without))


@router.get("/system/restore")
async def restore_state(safe: TheSafe, who: Technician) -> RestoreView:  # noqa: ARG001
    """How far a restore is."""
    return await doing.restore_view(safe)


@router.put("/system/restore")
async def send(request: Request, safe: TheSafe, who: Owner) -> RestoreView:  # noqa: ARG001
    """Send a backup's file, as the body."""
    return await doing.receive(request, safe, file_of(request))


@router.post("/system/restore/check")
async def check(safe: TheSafe, who: Owner, body: Passphrase) -> RestoreView:  # noqa: ARG001
    """Check the file that was sent."""
    return await doing.check(safe, body.passphrase)


@router.post("/system/restore/order", status_code=202)
async def order(request: Request, safe: TheSafe, who: Owner, body: RestoreConfirmed) -> Restarting:  # noqa: ARG001
    """Put back what was checked: the gateway starts with it."""
    await doing.order(request, safe, who.name)
    return Restarting()


@router.delete("/system/restore")
async def drop(safe: TheSafe, who: Owner) -> RestoreView:  # noqa: ARG001
    """Forget the file that was sent."""
    await doing.drop(safe)
    return await doing.restore_view(safe)
