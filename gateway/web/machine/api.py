"""`/api/v1/system`: the gateway itself, its log, support bundles, backups, wiping."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from cloud_sync.log_ring import RING
from gateway.web.examples import as_bytes, as_text
from gateway.web.language import Text
from gateway.web.machine import doing
from gateway.web.machine.answers import (
    BundlePreview,
    ClockView,
    LogLines,
    Restarting,
    RestoreView,
    Settings,
    SystemView,
)
from gateway.web.machine.gathering import bundle_of, scrubber_of
from gateway.web.machine.log_lines import MAX_SHOWN, Level, select
from gateway.web.machine.look import clock_view, setting_views, system_view
from gateway.web.machine.upload import file_of
from gateway.web.problems import documented
from gateway.web.web import TheWeb, Web
from gateway.web.who import Owner, Technician

router = APIRouter(prefix="/api/v1/system", tags=["system"])

RESTORE, TAKE_BACK, WIPE, RESTART = Text("restore"), Text("take back"), Text("wipe"), Text("restart")
"""Words that are typed, or said by holding the button."""
ZIP, BINARY = as_bytes("application/zip"), as_bytes("application/octet-stream")
TEXT = as_text("text/plain", '{"level": "info", "message": "the page is at http://127.0.0.1:8080/"}\n')


class Confirmed(BaseModel):
    """That somebody means it: by the word of what is done, as an API has no button to be held."""

    model_config = ConfigDict(extra="forbid")


class RestartConfirmed(Confirmed):
    """The daemon is to begin anew."""

    confirm: Literal["restart"]


class RestoreConfirmed(Confirmed):
    """What was checked is to be put back."""

    confirm: Literal["restore"]


class TakeBackConfirmed(Confirmed):
    """What was there before a restore is to be put back."""

    confirm: Literal["take back"]


class SettleConfirmed(Confirmed):
    """All is well after a restore."""

    confirm: Literal["yes"]


class Passphrase(BaseModel):
    """What seals a backup, or opens one."""

    model_config = ConfigDict(extra="forbid")
    passphrase: Annotated[str | None, Body(max_length=1000)] = None
    """Null: the backup is plain, and has no secrets."""


class Without(BaseModel):
    """What is left out of a bundle."""

    model_config = ConfigDict(extra="forbid")
    without: Annotated[list[str], Body(max_length=50, examples=[["logs.jsonl"]])] = []
    """Names of files."""


class Wipe(Confirmed):
    """What is to be wiped."""

    what: Literal["customers", "everything"]
    confirm: Literal["wipe"]


@router.get("", responses=documented(503))
async def system(web: TheWeb) -> SystemView:
    """The gateway itself: clock, disk, machine, certificates, versions, parts of the daemon."""
    return await asyncio.to_thread(system_view, web.state)


@router.get("/settings")
async def settings(web: TheWeb) -> Settings:
    """The configuration as it counts now, and what of it was set."""
    return Settings(settings=setting_views(web.state.config))


@router.post("/clock/vouch", responses=documented(403, 409))
async def vouch(web: TheWeb, who: Technician) -> ClockView:
    """Say that the gateway's clock is right: events that wait for the time go on."""
    doing.vouch_for_the_clock(web, who.name)
    return clock_view(web.state.clock, web.state.config)


@router.post("/restart", status_code=202, responses=documented(403, 422))
async def restart(web: TheWeb, who: Technician, body: RestartConfirmed) -> Restarting:  # noqa: ARG001 -- it is confirmed
    """Have the daemon begin anew. It answers again in some seconds; dispensers keep their events meanwhile."""
    doing.restart(web, f"{who.name} said so")
    return Restarting()


# -- log and bundle -------------------------------------------------------------------------------------------------


@router.get("/log", responses=documented(403, 422))
async def log(
    web: TheWeb,
    who: Technician,  # noqa: ARG001
    level: Level = "info",
    search: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_SHOWN)] = 100,
) -> LogLines:
    """The last lines of the daemon's log, newest first, without secrets."""
    return await asyncio.to_thread(_select, web, level, search, limit)


def _select(web: Web, level: Level, search: str, limit: int) -> LogLines:
    return select(RING.lines(), scrubber_of(web.state), level, search, limit)


@router.get("/bundle", responses=documented(403))
async def bundle_preview(web: TheWeb, who: Technician) -> BundlePreview:  # noqa: ARG001
    """What a support bundle would hold now."""
    return await (await bundle_of(web)).preview()


@router.get("/bundle/{name}", response_class=Response, responses={200: TEXT, **documented(403, 404, 422)})
async def bundle_file(web: TheWeb, who: Technician, name: Annotated[str, Path(examples=["logs.jsonl"])]) -> Response:  # noqa: ARG001
    """One file of the bundle, as it would leave."""
    return Response(await (await bundle_of(web)).one(name), media_type="text/plain; charset=utf-8")


@router.post("/bundle", response_class=StreamingResponse, responses={200: ZIP, **documented(403, 422)})
async def bundle(web: TheWeb, who: Technician, body: Without) -> StreamingResponse:  # noqa: ARG001
    """A support bundle: a zip of at most 10 MB, without secrets and customers."""
    return await zipped(web, set(body.without))


async def zipped(web: Web, without: set[str]) -> StreamingResponse:
    """The bundle as a download, without some of its files."""
    return (await bundle_of(web)).zipped(without)


# -- backups --------------------------------------------------------------------------------------------------------


@router.post("/backup", response_class=StreamingResponse, responses={200: BINARY, **documented(403, 409, 422)})
async def backup(request: Request, web: TheWeb, who: Owner, body: Passphrase) -> StreamingResponse:  # noqa: ARG001
    """A backup; sealed by the passphrase, or plain and without secrets."""
    return await doing.back_up(request, web, body.passphrase)


@router.get("/restore", responses=documented(503))
async def restore_state(web: TheWeb, who: Technician) -> RestoreView:  # noqa: ARG001
    """How far a restore is."""
    return await doing.restore_view(web)


_UPLOAD = {"requestBody": {"required": True, **BINARY}}


@router.put("/restore", openapi_extra=_UPLOAD, responses=documented(400, 403, 408, 409, 413, 507))
async def send(web: TheWeb, who: Owner, request: Request) -> RestoreView:  # noqa: ARG001
    """Send a backup's file, as the body. Nothing in use is touched."""
    return await doing.receive(request, web, file_of(request))


@router.post("/restore/check", responses=documented(403, 409, 422))
async def check(web: TheWeb, who: Owner, body: Passphrase) -> RestoreView:  # noqa: ARG001
    """Check the file that was sent to its last byte, and every page of its database."""
    return await doing.check(web, body.passphrase)


@router.post("/restore/order", status_code=202, responses=documented(403, 409, 422))
async def order(request: Request, web: TheWeb, who: Owner, body: RestoreConfirmed) -> Restarting:  # noqa: ARG001
    """Put back what was checked: the daemon begins anew with it. What is there now is kept aside."""
    await doing.order(request, web, who.name)
    return Restarting()


@router.post("/restore/take-back", status_code=202, responses=documented(403, 409, 422))
async def take_back(web: TheWeb, who: Owner, body: TakeBackConfirmed) -> Restarting:  # noqa: ARG001
    """Put back what was there before the last restore."""
    await doing.take_back(web, who.name)
    return Restarting()


@router.post("/restore/settle", responses=documented(403, 409, 422))
async def settle(web: TheWeb, who: Owner, body: SettleConfirmed) -> RestoreView:  # noqa: ARG001
    """All is well: delete what was there before the last restore."""
    await doing.settle(web)
    return await doing.restore_view(web)


@router.delete("/restore", responses=documented(403, 409))
async def drop(web: TheWeb, who: Owner) -> RestoreView:  # noqa: ARG001
    """Forget the file that was sent."""
    await doing.drop(web)
    return await doing.restore_view(web)


@router.post("/wipe", status_code=202, responses=documented(403, 409, 422))
async def wipe(request: Request, web: TheWeb, who: Owner, body: Wipe) -> Restarting:
    """Wipe what customers left here, or everything; the daemon begins anew. It can't be taken back."""
    await doing.wipe(request, web, body.what, who.name)
    return Restarting()
