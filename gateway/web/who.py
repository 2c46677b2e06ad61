"""Who asks: a person in a session, a program with a token, or whoever sits at the machine; and what each may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request

from gateway.access.roles import Role as Role  # noqa: PLC0414 -- for those who ask for a role's endpoint
from gateway.access.tokens import KIOSK
from gateway.web.problems import Problem


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever asks."""

    name: str
    role: Role
    via: Literal["session", "token", "console", "setup"]
    session: str | None = None
    """What tells this browser's session from others, where there is one; it opens nothing."""
    language: str | None = None
    """What they chose; None: what their browser prefers."""
    scope: str | None = None
    """The scope of a token."""

    @property
    def is_kiosk(self) -> bool:
        """Whether whoever asks is a dispenser's kiosk, and no person."""
        return self.scope is not None and self.scope.startswith(KIOSK)

    @property
    def person(self) -> str | None:
        """Which of those who may sign in; None: a program, a kiosk or the console, and be it called like somebody."""
        return self.name if self.via == "session" and self.scope is None else None


CONSOLE = Who("console", Role.OWNER, "console")
"""Whoever may open the daemon's socket on this machine."""


def asker(request: Request) -> Who:
    """Who asks, as the guard found out. Raises Problem where nobody did."""
    who: Who | None = request.scope.get("picante.who")
    if who is None:
        raise Problem(401, "not-signed-in", "this needs a sign-in", hint="Sign in, or send a token")
    return who


def _at_least(role: Role) -> Who:
    def check(who: Annotated[Who, Depends(asker)]) -> Who:
        if who.role < role:
            raise not_allowed(who, role)
        return who

    return Depends(check)  # type: ignore[no-any-return]


def not_allowed(who: Who, role: Role) -> Problem:
    """What is answered to somebody who may less than a role."""
    hint = f"Ask somebody who is {role.name.lower()} here"
    return Problem(403, "not-allowed", f"{who.name} may not do this", hint=hint)


Viewer = Annotated[Who, _at_least(Role.VIEWER)]
"""An endpoint's parameter of this type lets everybody in who may read."""
Technician = Annotated[Who, _at_least(Role.TECHNICIAN)]
Owner = Annotated[Who, _at_least(Role.OWNER)]
