"""Who may come in, who is in, and who changed what. Everybody sees their own part, an owner all."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from gateway.access.roles import Role
from gateway.web import cookies
from gateway.web.entry import acts
from gateway.web.entry.answers import name_of
from gateway.web.etags import etag_of
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.once import holds_secret
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Owner, Viewer, Who
from heat.errors import DataError

router = APIRouter(include_in_schema=False)

CHANGES = 50
"""Rows of the audit log on a page."""
ROLES = {"viewer": Text("Viewer: reads"), "technician": Text("Technician: serves"), "owner": Text("Owner: everything")}
Field = Annotated[str, Form()]


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    access, owner = web.access, who.role is Role.OWNER
    before = query.get("before", "")
    filters = {name: query.get(name, "")[:100] for name in ("person", "text")}
    changes = []
    if owner:
        number = int(before[:15]) if before.isdecimal() else None
        changes = access.audit.page(number, CHANGES + 1, filters["person"], filters["text"])
    return {
        "mine": access.sessions.of(who.person) if who.person is not None else [],
        "people": access.people.all() if owner else [],
        "sessions": [session for session in access.sessions.of() if session.person != who.name] if owner else [],
        "tokens": access.tokens.all() if owner else [],
        "changes": changes[:CHANGES],
        "older": changes[CHANGES - 1].number if len(changes) > CHANGES else None,
        "before": before,
        "filters": filters,
        "roles": ROLES,
        "name_of": name_of,
        "tag_of": lambda person: etag_of(acts.role_tag(person)),
        "error": "",
        "made": "",
        "typed": {},
    }


PAGE = Page(
    "people",
    Text("People"),
    _context,
    ("people/mine", "people/everybody", "people/changes"),
    "people/page.html",
    personal=True,
    every_s=5.0,
)


@router.get("/people")
async def page(request: Request, web: TheWeb, who: Viewer) -> Response:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)


async def _done(request: Request, web: Web, work: Awaitable[None], **typed: str) -> Response:
    """Back to the page, or the page with what is wrong, and what was typed."""
    try:
        await work
    except (DataError, Problem) as error:
        return await _refused(request, web, error, typed)
    return RedirectResponse("/people", 303)


async def _refused(request: Request, web: Web, error: DataError | Problem, typed: Mapping[str, str]) -> Response:
    if isinstance(error, DataError):
        status, wrong = 422, heard(str(error.args[0]), error.hint)
    else:
        status, wrong = error.details.status, heard(error.details.detail, error.details.hint)
    return await show(request, web, PAGE, {}, status, error=wrong, typed=typed)


@router.post("/people/add")
async def add(
    request: Request,
    web: TheWeb,
    who: Owner,  # noqa: ARG001
    name: Field = "",
    password: Field = "",
    role: Field = "technician",
) -> Response:
    """Let somebody in."""
    wanted = Role[role.upper()] if role in ROLES else Role.VIEWER
    return await _done(request, web, acts.add(request, web.access, name, password, wanted), name=name, role=role)


@router.post("/people/role")
async def role(
    request: Request,
    web: TheWeb,
    who: Owner,
    name: Field = "",
    role: Field = "",
    etag: Field = "",
) -> Response:
    """Another role."""
    wanted = Role[role.upper()] if role in ROLES else Role.VIEWER
    return await _done(request, web, acts.change_role(request, web.access, who, name, wanted, etag))


@router.post("/people/password")
async def password(request: Request, web: TheWeb, who: Owner, name: Field = "", password: Field = "") -> Response:  # noqa: ARG001
    """Another password for somebody."""
    return await _done(request, web, acts.reset_password(request, web.access, name, password))


@router.post("/people/remove")
async def remove(request: Request, web: TheWeb, who: Owner, name: Field = "") -> Response:
    """Let somebody in no more."""
    return await _done(request, web, acts.remove(request, web.access, who, name))


@router.post("/people/tokens/add")
async def add_token(
    request: Request, web: TheWeb, who: Owner, label: Field = "", scope: Field = "", days: Field = ""
) -> Response:
    """Make a token: this page shows its secret, and no other does."""
    holds_secret(request)
    try:
        made = await acts.make_token(
            request, web.access, who, label, scope.strip(), int(days) if days.isdecimal() and len(days) < 6 else None
        )
    except DataError as error:
        return await _refused(request, web, error, {"label": label, "scope": scope})
    return await show(request, web, PAGE, {}, made=made)


@router.post("/people/tokens/revoke")
async def revoke(request: Request, web: TheWeb, who: Owner, token: Field = "") -> Response:  # noqa: ARG001
    """End a token."""
    return await _done(request, web, acts.revoke(request, web.access, token))


@router.post("/me/sessions/end")
async def end_session(request: Request, web: TheWeb, who: Viewer, session: Field = "") -> Response:
    """End a session."""
    return await _done(request, web, acts.end_session(request, web.access, who, session))


@router.post("/me/password")
async def own_password(
    request: Request, web: TheWeb, who: Viewer, before: Field = "", password: Field = ""
) -> Response:
    """One's own password; then one signs in with it."""
    answer = await _done(request, web, acts.change_own_password(request, web.access, who, before, password))
    if answer.status_code == 303:
        answer.headers["location"] = "/sign-in?next=/people"
        cookies.drop(answer, cookies.SESSION)
    return answer
