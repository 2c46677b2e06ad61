"""Backups: one is made and downloaded, one is sent, checked and put back; and wiping, which wants one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from gateway.backup.sealed import SHORTEST_PASSPHRASE
from gateway.web.confirm import YES, must_be_confirmed
from gateway.web.language import Text
from gateway.web.machine import doing
from gateway.web.machine.api import RESTORE, TAKE_BACK, WIPE
from gateway.web.machine.upload import file_of
from gateway.web.pages.system import RESTARTING, back
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Owner, Role, Who

router = APIRouter(include_in_schema=False)

TypedIn = Annotated[str, Form(max_length=1000)]


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    return {
        "restore": await doing.restore_view(web),
        "kafka": web.state.config.kafka is not None,
        "shortest": SHORTEST_PASSPHRASE,
        "words": {"restore": RESTORE, "take_back": TAKE_BACK, "wipe": WIPE, "yes": YES},
        "errors": {},
    }


PAGE = Page("backups", Text("Backup and restore"), _context, (), "backups/page.html", Role.OWNER, menu="system")


@router.get("/system/backups")
async def page(request: Request, web: TheWeb, who: Owner) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)


async def _again(request: Request, web: Web, where: str, problem: Problem) -> Response:
    """The page with what is wrong, beside what it is wrong with."""
    return await show(request, web, PAGE, {}, problem.details.status, errors={where: problem.details})


@router.post("/system/backups/make", response_model=None)
async def make(
    request: Request, web: TheWeb, who: Owner, passphrase: TypedIn = "", again: TypedIn = "", plain: TypedIn = ""
) -> Response:
    """A backup, downloaded."""
    del who
    try:
        if not plain and passphrase != again:
            raise Problem(422, "not-the-same", "the two passphrases differ", hint="Type it twice, the same")
        return await doing.back_up(request, web, None if plain else passphrase)
    except Problem as problem:
        return await _again(request, web, "make", problem)


@router.post("/system/backups/send", response_model=None)
async def send(request: Request, web: TheWeb, who: Owner) -> Response:  # noqa: ARG001
    """A file comes."""
    try:
        await doing.receive(request, web, file_of(request))
    except Problem as problem:
        return await _again(request, web, "send", problem)
    return back("/system/backups#restore")


@router.post("/system/backups/check", response_model=None)
async def check(request: Request, web: TheWeb, who: Owner, passphrase: TypedIn = "") -> Response:  # noqa: ARG001
    """It is checked."""
    try:
        await doing.check(web, passphrase or None)
    except Problem as problem:
        return await _again(request, web, "check", problem)
    return back("/system/backups#restore")


@router.post("/system/backups/order", response_model=None)
async def order(request: Request, web: TheWeb, who: Owner, confirm: TypedIn = "") -> Response:
    """It is put back."""
    try:
        must_be_confirmed(confirm, RESTORE)
        response = await show(request, web, RESTARTING, {}, 202)
        await doing.order(request, web, who.name)
    except Problem as problem:
        return await _again(request, web, "order", problem)
    return response


@router.post("/system/backups/take-back", response_model=None)
async def take_back(request: Request, web: TheWeb, who: Owner, confirm: TypedIn = "") -> Response:
    """What was there before is put back."""
    try:
        must_be_confirmed(confirm, TAKE_BACK)
        response = await show(request, web, RESTARTING, {}, 202)
        await doing.take_back(web, who.name)
    except Problem as problem:
        return await _again(request, web, "restored", problem)
    return response


@router.post("/system/backups/settle", response_model=None)
async def settle(request: Request, web: TheWeb, who: Owner, confirm: TypedIn = "") -> Response:  # noqa: ARG001
    """All is well."""
    try:
        must_be_confirmed(confirm, YES)
        await doing.settle(web)
    except Problem as problem:
        return await _again(request, web, "restored", problem)
    return back("/system/backups")


@router.post("/system/backups/drop", response_model=None)
async def drop(request: Request, web: TheWeb, who: Owner) -> Response:  # noqa: ARG001
    """The file is forgotten."""
    try:
        await doing.drop(web)
    except Problem as problem:
        return await _again(request, web, "check", problem)
    return back("/system/backups#restore")


@router.post("/system/wipe", response_model=None)
async def wipe(
    request: Request,
    web: TheWeb,
    who: Owner,
    what: Annotated[Literal["customers", "everything"], Form()],
    confirm: TypedIn = "",
) -> Response:
    """It is wiped."""
    try:
        must_be_confirmed(confirm, WIPE)
        response = await show(request, web, RESTARTING, {}, 202)
        await doing.wipe(request, web, what, who.name)
    except Problem as problem:
        return await _again(request, web, f"wipe-{what}", problem)
    return response
