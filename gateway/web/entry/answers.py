"""What the API tells of people, sessions, tokens and changes, and what it is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.access.audit import Change
from gateway.access.passwords import LONGEST, SHORTEST
from gateway.access.people import LONGEST_NAME, Person
from gateway.access.roles import Role
from gateway.access.sessions import Session
from gateway.access.tokens import Token
from gateway.web.answers import SOURCE, Answer, example

A_PASSWORD: dict[str, Any] = {"minLength": SHORTEST, "maxLength": LONGEST}
A_NAME: dict[str, Any] = {"minLength": 1, "maxLength": LONGEST_NAME}
A_LABEL: dict[str, Any] = {"minLength": 1, "maxLength": 60}
A_SCOPE: dict[str, Any] = {"pattern": f"^(read|service|owner|metrics|kiosk:{SOURCE[1:-1]})$"}
"""What `gateway.access` wants, for whoever reads the schema; who gives something else gets its hint."""
Password = Annotated[str, Field(max_length=1_000, examples=["smoke and honey"], json_schema_extra=A_PASSWORD)]
RoleName = Literal["viewer", "technician", "owner"]


class Told(BaseModel):
    """Base of what is told."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class NewPerson(Told):
    """Somebody to let in."""

    name: Annotated[str, Field(max_length=200, examples=["Tomás"], json_schema_extra=A_NAME)]
    password: Password
    role: RoleName = "technician"


class NewRole(Told):
    """What somebody may do from now on."""

    role: RoleName


class NewPassword(Told):
    """Somebody's next password."""

    password: Password


class OwnPassword(NewPassword):
    """One's own next password; the one before proves who asks."""

    before: Annotated[str, Field(max_length=1_000, examples=["three hot words"])]


class OwnLanguage(Told):
    """What one reads; null: what the browser prefers."""

    language: Literal["en", "es", "de"] | None


class NewToken(Told):
    """A token to make."""

    name: Annotated[str, Field(max_length=200, examples=["prometheus"], json_schema_extra=A_LABEL)]
    scope: Annotated[str, Field(max_length=100, examples=["metrics"], json_schema_extra=A_SCOPE)]
    """`read`, `service`, `owner`, `metrics`, `kiosk:DISPENSER`."""
    days: Annotated[int | None, Field(ge=1, le=3_650)] = None


class PersonView(Answer):
    """Somebody who may sign in."""

    name: Annotated[str, example("Olga")]
    role: RoleName
    language: Annotated[str | None, example("es")]
    created: datetime


class PeopleView(Answer):
    """Everybody: owners first."""

    people: list[PersonView]


class SessionView(Answer):
    """A browser in which somebody is signed in."""

    id: Annotated[str, example("3f2a9c0d1b7e")]
    person: Annotated[str, example("Olga")]
    created: datetime
    seen: datetime
    """When it was used last, to the minute."""
    address: Annotated[str, example("192.168.1.40")]
    browser: Annotated[str, example("Mozilla/5.0 (Linux; Android 16)")]
    own: bool
    """Whether it is this one."""


class SessionsView(Answer):
    """Sessions, the last used first."""

    sessions: list[SessionView]


class TokenView(Answer):
    """A token, without its secret."""

    id: Annotated[str, example("3f2a9c0d1b7e")]
    name: Annotated[str, example("prometheus")]
    scope: Annotated[str, example("metrics")]
    maker: Annotated[str, example("Olga")]
    created: datetime
    expires: datetime | None


class TokensView(Answer):
    """Tokens that are good now."""

    tokens: list[TokenView]


class MadeToken(Answer):
    """A token's secret, which is never shown again."""

    token: Annotated[str, example("picante_2bD7...")]


class ChangeView(Answer):
    """Somebody changed something."""

    number: Annotated[int, example(17)]
    at: datetime
    who: Annotated[str, example("Olga")]
    via: Annotated[str, example("session")]
    method: Annotated[str, example("PUT")]
    route: Annotated[str, example("/api/v1/dispensers/{dispenser}/name")]
    parameters: Annotated[dict[str, str], example({"dispenser": "hot-bar-1"})]
    words: Annotated[str, example("called Bar, left, by Olga")]


class ChangesView(Answer):
    """A page of the audit log, the newest first."""

    changes: list[ChangeView]
    before: int | None
    """What to ask for the page after this; null at the end."""


class MeView(Answer):
    """Who asks."""

    name: Annotated[str, example("Olga")]
    role: RoleName
    via: Annotated[str, example("session")]
    language: str | None


def name_of(role: Role) -> RoleName:
    """A role's name in the API."""
    names: dict[Role, RoleName] = {Role.VIEWER: "viewer", Role.TECHNICIAN: "technician", Role.OWNER: "owner"}
    return names[role]


def person_view(person: Person) -> PersonView:
    """Somebody, for the API."""
    return PersonView(name=person.name, role=name_of(person.role), language=person.language, created=person.created)


def session_view(session: Session, own: str | None) -> SessionView:
    """A session, for the API; `own` is the asker's."""
    return SessionView(
        id=session.id,
        person=session.person,
        created=session.created,
        seen=session.seen,
        address=session.address,
        browser=session.browser,
        own=session.id == own,
    )


def token_view(token: Token) -> TokenView:
    """A token, for the API."""
    return TokenView(
        id=token.id,
        name=token.name,
        scope=token.scope,
        maker=token.maker,
        created=token.created,
        expires=token.expires,
    )


def change_view(change: Change) -> ChangeView:
    """A change, for the API."""
    return ChangeView(
        number=change.number,
        at=change.at,
        who=change.who,
        via=change.via,
        method=change.method,
        route=change.route,
        parameters=dict(change.parameters),
        words=change.words,
    )
