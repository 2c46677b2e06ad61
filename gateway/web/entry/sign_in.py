"""Signing in and out, and choosing a language. Nobody is told whether a name exists: the work is the same."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from gateway.access.access import Access
from gateway.access.lockout import place_of
from gateway.access.passwords import LONGEST
from gateway.access.people import fold
from gateway.web import cookies
from gateway.web.entry.bare import Entry, TheEntry, draw
from gateway.web.entry.wrong import note_wrong
from gateway.web.language import LANGUAGES, Text
from gateway.web.who import Who

router = APIRouter(include_in_schema=False)

TITLE = Text("Sign in")
Field = Annotated[str, Form()]


class Paused(Exception):
    """Nobody is let try for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = math.ceil(seconds)


@router.get("/sign-in")
async def page(request: Request, entry: TheEntry, next: str = "/") -> Response:  # noqa: A002 -- as the address has it
    """Where one signs in; or what to do where nobody can."""
    if entry.access.stage == "setup":
        return RedirectResponse("/setup", 303)
    if request.scope.get("picante.who") is not None:
        return RedirectResponse(own_path(next), 303)
    return _page(request, entry, next=next)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    entry: TheEntry,
    name: Field = "",
    password: Field = "",
    next: Field = "/",  # noqa: A002 -- as above
) -> Response:
    """Begin a session, whatever session there was before."""
    access = entry.access
    try:
        person = await check(access, name, password, address_of(request))
    except Paused as paused:
        error = Text("Wait {n} second, then try again", "Wait {n} seconds, then try again", n=paused.seconds)
        answer = _page(request, entry, 429, name=name, next=next, error=error)
        answer.headers["retry-after"] = str(paused.seconds)
        return answer
    if person is None:
        error = Text("Name or password is wrong")
        return _page(request, entry, 401, name=name, next=next, error=error)
    before: Who | None = request.scope.get("picante.who")
    if before is not None and before.session is not None:
        await access.sessions.end(before.session)
    answer = RedirectResponse(own_path(next), 303)
    await begin_session(access, request, answer, person)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, entry: TheEntry) -> Response:
    """End this session."""
    who: Who = request.scope["picante.who"]
    if who.session is not None:
        await entry.access.sessions.end(who.session)
    answer = RedirectResponse("/sign-in", 303)
    cookies.drop(answer, cookies.SESSION)
    return answer


@router.post("/language")
async def choose_language(
    request: Request,
    entry: TheEntry,
    language: Field = "",
    next: Field = "/",  # noqa: A002 -- as above
) -> Response:
    """What is read from now on, in this browser, and wherever they sign in."""
    who: Who | None = request.scope.get("picante.who")
    answer = RedirectResponse(own_path(next), 303)
    if language in LANGUAGES:
        cookies.put(answer, cookies.LANGUAGE, language, cookies.LONGEST_S)
        if who is not None and who.person is not None:
            await entry.access.people.set_language(who.person, language)
    return answer


async def check(access: Access, name: str, password: str, address: str) -> str | None:
    """The name of whoever this is; None: wrong. Raises Paused."""
    account, place = f"account:{fold(name)[:80]}", f"address:{place_of(address)}"
    if (pause_s := access.lockout.pause_s([account, place])) > 0:
        raise Paused(pause_s)
    if access.passwords.full:  # this is no wrong try
        raise Paused(1)
    access.lockout.failed([account, place])
    matches = await access.passwords.matches(password[: LONGEST + 1], access.people.kept(name))
    person = access.people.get(name)
    if not matches:
        await note_wrong(access, "password", None if person is None else person.name, address, (account, place))
        return None
    access.lockout.passed(account, place)
    return None if person is None else person.name


async def begin_session(access: Access, request: Request, answer: Response, person: str) -> None:
    """Give a browser a new session's cookie, and note it."""
    cookie = await access.sessions.begin(person, address_of(request), request.headers.get("user-agent", ""))
    cookies.put(answer, cookies.SESSION, cookie)
    await access.audit.note((person, "session"), ("POST", "/sign-in"), {}, f"signed in from {address_of(request)}")


def address_of(request: Request) -> str:
    """Where somebody asks from; behind a tunnel that is this machine."""
    return request.client.host if request.client is not None else "console"


def own_path(path: str) -> str:
    """Where to go on: a path of our own, or the first page."""
    is_own = path.startswith("/") and not path.startswith("//")
    return path if is_own and path.isprintable() and "\\" not in path and len(path) < 1_000 else "/"


def _page(request: Request, entry: Entry, status: int = 200, **values: object) -> Response:
    shown = {"name": "", "next": "/", "error": ""} | values
    stage = entry.access.stage
    return draw(request, entry, "entry/sign_in.html", TITLE, 503 if stage == "lost" else status, stage=stage, **shown)
