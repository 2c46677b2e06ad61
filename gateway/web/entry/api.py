"""The API of who may come in: people, sessions, tokens, the audit log, and one's own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from gateway.access.roles import Role
from gateway.web.entry import acts
from gateway.web.entry.answers import (
    ChangesView,
    MadeToken,
    MeView,
    NewPassword,
    NewPerson,
    NewRole,
    NewToken,
    OwnLanguage,
    OwnPassword,
    PeopleView,
    PersonView,
    SessionsView,
    TokensView,
    change_view,
    name_of,
    person_view,
    session_view,
    token_view,
)
from gateway.web.entry.bare import TheEntry
from gateway.web.once import holds_secret
from gateway.web.problems import Problem, documented
from gateway.web.who import Owner, Viewer
from heat.identity import SAFE_INTEGER

router = APIRouter(prefix="/api/v1", tags=["v1"])

Id = Annotated[str, Path(examples=["3f2a9c0d1b7e"])]
"""Of a session or a token; it opens nothing."""
PersonName = Annotated[str, Path(examples=["Tomás"])]
"""Paths have it as `{name:path}`: a slash in it is one, however it is written."""


@router.get("/people", responses=documented(401, 403))
async def people(entry: TheEntry, who: Owner) -> PeopleView:  # noqa: ARG001
    """Everybody who may sign in."""
    return PeopleView(people=[person_view(person) for person in entry.access.people.all()])


@router.post("/people", status_code=201, responses=documented(400, 401, 403, 422, 429))
async def add_person(request: Request, entry: TheEntry, who: Owner, told: NewPerson) -> PersonView:  # noqa: ARG001
    """Let somebody in."""
    await acts.add(request, entry.access, told.name, told.password, Role[told.role.upper()])
    return person_view(acts.the_person(entry.access, told.name))


@router.put("/people/{name:path}/role", responses=documented(400, 401, 403, 404, 412, 422))
async def change_role(
    request: Request,
    entry: TheEntry,
    who: Owner,
    name: PersonName,
    told: NewRole,
    if_match: Annotated[str | None, Header()] = None,
) -> PersonView:
    """What somebody may do from now on. The last owner stays one."""
    await acts.change_role(request, entry.access, who, name, Role[told.role.upper()], if_match)
    return person_view(acts.the_person(entry.access, name))


@router.put("/people/{name:path}/password", status_code=204, responses=documented(400, 401, 403, 404, 422, 429))
async def reset_password(
    request: Request,
    entry: TheEntry,
    who: Owner,  # noqa: ARG001
    name: PersonName,
    told: NewPassword,
) -> Response:
    """Another password for somebody; their sessions end."""
    await acts.reset_password(request, entry.access, name, told.password)
    return Response(status_code=204)


@router.delete("/people/{name:path}", status_code=204, responses=documented(400, 401, 403, 404, 422))
async def remove_person(request: Request, entry: TheEntry, who: Owner, name: PersonName) -> Response:
    """Let somebody in no more. The last owner can't go."""
    await acts.remove(request, entry.access, who, name)
    return Response(status_code=204)


@router.get("/sessions", responses=documented(401))
async def sessions(entry: TheEntry, who: Viewer) -> SessionsView:
    """One's own sessions; an owner sees everybody's."""
    if who.role is Role.OWNER:
        found = entry.access.sessions.of()
    else:
        found = [] if who.person is None else entry.access.sessions.of(who.person)
    return SessionsView(sessions=[session_view(session, who.session) for session in found])


@router.delete("/me/sessions/{session}", status_code=204, responses=documented(401, 403, 404, 422))
async def end_session(request: Request, entry: TheEntry, who: Viewer, session: Id) -> Response:
    """End a session of one's own; an owner may end anybody's."""
    await acts.end_session(request, entry.access, who, session)
    return Response(status_code=204)


@router.get("/tokens", responses=documented(401, 403))
async def tokens(entry: TheEntry, who: Owner) -> TokensView:  # noqa: ARG001
    """The tokens that are good now."""
    return TokensView(tokens=[token_view(token) for token in entry.access.tokens.all()])


@router.post("/tokens", status_code=201, responses=documented(400, 401, 403, 422))
async def add_token(request: Request, entry: TheEntry, who: Owner, told: NewToken) -> MadeToken:
    """Make a token. Its secret is in this answer, and nowhere else."""
    holds_secret(request)
    return MadeToken(token=await acts.make_token(request, entry.access, who, told.name, told.scope, told.days))


@router.delete("/tokens/{token}", status_code=204, responses=documented(401, 403, 404, 422))
async def revoke_token(request: Request, entry: TheEntry, who: Owner, token: Id) -> Response:  # noqa: ARG001
    """End a token."""
    await acts.revoke(request, entry.access, token)
    return Response(status_code=204)


@router.get("/audit", responses=documented(401, 403, 422))
async def changes(
    entry: TheEntry,
    who: Owner,  # noqa: ARG001
    before: Annotated[int | None, Query(ge=1, le=SAFE_INTEGER, description="Changes older than this number")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    person: Annotated[str | None, Query(max_length=100)] = None,
    text: Annotated[str | None, Query(max_length=100)] = None,
) -> ChangesView:
    """Who changed what, the newest first."""
    found = entry.access.audit.page(before, limit, person, text)
    after = found[-1].number if len(found) == limit else None
    return ChangesView(changes=[change_view(change) for change in found], before=after)


@router.get("/me", responses=documented(401))
async def me(who: Viewer) -> MeView:
    """Who asks, and what they may do."""
    return MeView(name=who.name, role=name_of(who.role), via=who.via, language=who.language)


@router.put("/me/password", status_code=204, responses=documented(400, 401, 403, 404, 409, 422, 429))
async def change_own_password(request: Request, entry: TheEntry, who: Viewer, told: OwnPassword) -> Response:
    """One's own password; all one's sessions end."""
    await acts.change_own_password(request, entry.access, who, told.before, told.password)
    return Response(status_code=204)


@router.put("/me/language", status_code=204, responses=documented(401, 422))
async def choose_language(entry: TheEntry, who: Viewer, told: OwnLanguage) -> Response:
    """What one reads, wherever one signs in."""
    if who.person is None:
        raise Problem(409, "no-person", f"{who.name} reads nothing here", hint="Sign in as a person")
    await entry.access.people.set_language(who.person, told.language)
    return Response(status_code=204)
