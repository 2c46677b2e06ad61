"""What is done with people, sessions and tokens, by the API's routes and by the pages' forms alike."""

from __future__ import annotations

from fastapi import Request

from gateway.access.access import Access
from gateway.access.passwords import Busy
from gateway.access.people import NoOwner, Person
from gateway.access.roles import Role
from gateway.web.audited import audit
from gateway.web.entry.answers import name_of
from gateway.web.entry.sign_in import Paused, address_of, check
from gateway.web.etags import check_match
from gateway.web.problems import Problem
from gateway.web.who import Who, not_allowed


def busy() -> Problem:
    """Too many passwords are being looked at."""
    return Problem(429, "busy", "too many passwords are being looked at", hint="Try again in a second", wait_s=1)


def the_person(access: Access, name: str) -> Person:
    """Somebody by name. Raises Problem."""
    person = access.people.get(name)
    if person is None:
        raise Problem(404, "no-such-person", "nobody is called so", hint="GET /api/v1/people lists everybody")
    return person


async def add(request: Request, access: Access, name: str, password: str, role: Role) -> None:
    """Let somebody in. Raises DataError, Problem."""
    try:
        await access.add_person(name, password, role)
    except Busy:
        raise busy() from None
    audit(request, f"{name.strip()} may come in as {name_of(role)}")


async def change_role(request: Request, access: Access, who: Who, name: str, role: Role, seen: str | None) -> None:
    """Another role; `seen` is the ETag of what was shown. Raises DataError, Problem."""
    person = the_person(access, name)
    try:
        before = await access.people.set_role(
            person.name, role, by=who.person, check=lambda now: check_match(seen, role_tag(now))
        )
    except NoOwner:
        raise not_allowed(who, Role.OWNER) from None
    audit(request, f"{before.name} is {name_of(role)} now, and was {name_of(before.role)}")


def role_tag(person: Person) -> list[str]:
    """What a change of role is checked against."""
    return [person.name, name_of(person.role)]


async def reset_password(request: Request, access: Access, name: str, password: str) -> None:
    """Another password for somebody; their sessions end. Raises DataError, Problem."""
    person = the_person(access, name)
    try:
        await access.set_password(person.name, password)
    except Busy:
        raise busy() from None
    audit(request, f"{person.name} has a new password")


async def remove(request: Request, access: Access, who: Who, name: str) -> None:
    """Let somebody in no more. Raises DataError, Problem."""
    person = the_person(access, name)
    try:
        await access.people.remove(person.name, by=who.person)
    except NoOwner:
        raise not_allowed(who, Role.OWNER) from None
    audit(request, f"{person.name} may not come in any more")


async def end_session(request: Request, access: Access, who: Who, session_id: str) -> None:
    """End a session: one's own, or, as an owner, anybody's. Raises Problem."""
    found = next((each for each in access.sessions.of() if each.id == session_id), None)
    if found is not None and found.person != who.person and who.role < Role.OWNER:
        raise not_allowed(who, Role.OWNER)
    if found is None or not await access.sessions.end(session_id):
        raise Problem(404, "no-such-session", "there is no such session", hint="It may have ended already")
    audit(request, f"a session of {found.person} is ended")


async def revoke(request: Request, access: Access, token_id: str) -> None:
    """End a token. Raises Problem."""
    found = next((each for each in access.tokens.all() if each.id == token_id), None)
    if found is None or not await access.tokens.revoke(token_id):
        raise Problem(404, "no-such-token", "there is no such token", hint="It may be over already")
    audit(request, f"token {found.name} of scope {found.scope} is revoked")


async def change_own_password(request: Request, access: Access, who: Who, before: str, password: str) -> None:
    """One's own password; all sessions end, this one too. Raises DataError, Problem."""
    if who.person is None or access.people.get(who.person) is None:
        raise Problem(409, "no-person", f"{who.name} has no password", hint="Sign in as a person")
    try:
        if await check(access, who.person, before, address_of(request)) is None:
            raise Problem(
                403, "wrong-password", "this is not the password so far", hint="Type the one you signed in with"
            )
    except Paused as paused:
        hint = f"Wait {paused.seconds} s"
        raise Problem(429, "paused", "too many wrong passwords", hint=hint, wait_s=paused.seconds) from None
    await reset_password(request, access, who.person, password)


async def make_token(request: Request, access: Access, who: Who, name: str, scope: str, days: int | None) -> str:
    """A new token's secret. Raises DataError."""
    shown = await access.tokens.add(name, scope, who.name, days)
    audit(request, f"token {name.strip()} of scope {scope} is made")
    return shown
