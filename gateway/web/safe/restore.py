"""A restore in safe mode: sent, checked and ordered on a page of its own; the start that follows carries it out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from gateway.web.confirm import must_be_confirmed
from gateway.web.entry.bare import TheEntry, draw
from gateway.web.language import Text
from gateway.web.machine import doing
from gateway.web.machine.api import RESTORE
from gateway.web.machine.upload import file_of
from gateway.web.problems import Problem
from gateway.web.safe.safe import Safe, TheSafe
from gateway.web.who import Owner

TITLE = Text("Put a backup back")
PATH = "/system/backups"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def page(request: Request, safe: TheSafe, entry: TheEntry, who: Owner) -> HTMLResponse:  # noqa: ARG001
    """How far it is."""
    return await _draw(request, safe, entry)


@router.post(f"{PATH}/send", response_model=None)
async def send(request: Request, safe: TheSafe, entry: TheEntry, who: Owner) -> Response:  # noqa: ARG001
    """A file comes."""
    try:
        await doing.receive(request, safe, file_of(request))
    except Problem as problem:
        return await _draw(request, safe, entry, problem)
    return RedirectResponse(PATH, 303)


@router.post(f"{PATH}/check", response_model=None)
async def check(
    request: Request,
    safe: TheSafe,
    entry: TheEntry,
    who: Owner,  # noqa: ARG001
    passphrase: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """It is checked."""
    try:
        await doing.check(safe, passphrase or None)
    except Problem as problem:
        return await _draw(request, safe, entry, problem)
    return RedirectResponse(PATH, 303)


@router.post(f"{PATH}/drop", response_model=None)
async def drop(request: Request, safe: TheSafe, entry: TheEntry, who: Owner) -> Response:  # noqa: ARG001
    """It is forgotten: there is a better one."""
    try:
        await doing.drop(safe)
    except Problem as problem:
        return await _draw(request, safe, entry, problem)
    return RedirectResponse(PATH, 303)


@router.post(f"{PATH}/order", response_model=None)
async def order(
    request: Request, safe: TheSafe, entry: TheEntry, who: Owner, confirm: Annotated[str, Form(max_length=40)] = ""
) -> Response:
    """It is put back: the next look sees the order, and has the gateway start."""
    try:
        must_be_confirmed(confirm, RESTORE)
        await doing.order(request, safe, who.name)
    except Problem as problem:
        return await _draw(request, safe, entry, problem)
    return await _draw(request, safe, entry)


async def _draw(request: Request, safe: Safe, entry: TheEntry, problem: Problem | None = None) -> HTMLResponse:
    error = None if problem is None else problem.details
    restore = await doing.restore_view(safe)
    status = 200 if error is None else error.status
    return draw(request, entry, "safe/restore.html", TITLE, status, restore=restore, error=error, word=RESTORE)
