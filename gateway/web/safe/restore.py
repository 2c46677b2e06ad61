"""A restore in safe mode: sent, checked and ordered on a page of its own; the start that follows carries it out."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from gateway.backup import restoring
from gateway.web.audited import audit
from gateway.web.confirm import must_be_confirmed
from gateway.web.entry.bare import TheEntry, draw
from gateway.web.language import Text
from gateway.web.machine.api import RESTORE
from gateway.web.machine.doing import backup_view, said_of, take_in
from gateway.web.machine.upload import file_of
from gateway.web.problems import Problem
from gateway.web.safe.safe import Safe, TheSafe
from gateway.web.who import Owner
from heat.errors import BackupUnusable

TITLE = Text("Put a backup back")

router = APIRouter(include_in_schema=False)


@router.get("/system/backups")
async def page(request: Request, safe: TheSafe, entry: TheEntry, who: Owner) -> HTMLResponse:  # noqa: ARG001
    """How far it is."""
    return await _draw(request, safe, entry, None)


@router.post("/system/backups/send", response_model=None)
async def send(request: Request, safe: TheSafe, entry: TheEntry, who: Owner) -> Response:  # noqa: ARG001
    """A file comes."""
    try:
        audit(request, said_of(await take_in(safe.data_dir, file_of(request))))
    except Problem as problem:
        return await _draw(request, safe, entry, problem)
    return RedirectResponse("/system/backups", 303)


@router.post("/system/backups/check", response_model=None)
async def check(
    request: Request,
    safe: TheSafe,
    entry: TheEntry,
    who: Owner,  # noqa: ARG001
    passphrase: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """It is checked."""
    try:
        await asyncio.to_thread(restoring.check, safe.config, passphrase or None)
    except BackupUnusable as error:
        problem = Problem(409, "backup-unusable", str(error.args[0]), hint=error.hint)
        return await _draw(request, safe, entry, problem)
    return RedirectResponse("/system/backups", 303)


@router.post("/system/backups/order", response_model=None)
async def order(
    request: Request, safe: TheSafe, entry: TheEntry, who: Owner, confirm: Annotated[str, Form(max_length=40)] = ""
) -> Response:
    """It is put back: the next look sees the order, and has the gateway start."""
    try:
        must_be_confirmed(confirm, RESTORE)
        plan = await asyncio.to_thread(restoring.order, safe.data_dir, who.name)
    except BackupUnusable as error:
        problem = Problem(409, "backup-unusable", str(error.args[0]), hint=error.hint)
        return await _draw(request, safe, entry, problem)
    except Problem as problem:
        return await _draw(request, safe, entry, problem)
    audit(request, said_of(plan.header))
    answer = await _draw(request, safe, entry, None)
    safe.woken.set()
    return answer


async def _draw(request: Request, safe: Safe, entry: TheEntry, problem: Problem | None) -> HTMLResponse:
    data_dir = safe.data_dir
    try:
        header = await asyncio.to_thread(restoring.arrived, data_dir)
    except BackupUnusable:
        header = None
    return draw(
        request,
        entry,
        "safe/restore.html",
        TITLE,
        200 if problem is None else problem.details.status,
        sent=None if header is None else backup_view(header),
        checked=restoring.staged(data_dir) is not None,
        ordered=restoring.ordered(data_dir),
        error=None if problem is None else problem.details,
        word=RESTORE,
    )
