"""Who asks: a person in a session, a program with a token, or whoever sits at the machine; and what each may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Literal

from fastapi import Depends, Request

from gateway.web.problems import Problem


class Role(IntEnum):
    """What somebody may do; each may do what those below may."""

    VIEWER = 1
    """Reads."""
    TECHNICIAN = 2
    """Serves the dispensers and the gateway."""
    OWNER = 3
    """Lets people in, restores, wipes."""


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever asks."""

    name: str
    role: Role
    via: Literal["session", "token", "console"]
    session: str | None = None
    """What tells this browser's session from others, where there is one; it opens nothing."""
    language: str | None = None
    """What they chose; None: what their browser prefers."""


CONSOLE = Who("console", Role.OWNER, "console")
"""Whoever may open the daemon's socket on this machine."""


def asker(request: Request) -> Who:
    """Who asks, as the guard found out."""
    who: Who = request.scope.get("picante.who", CONSOLE)
    return who


def _at_least(role: Role) -> Who:
    def check(who: Annotated[Who, Depends(asker)]) -> Who:
        if who.role < role:
            raise Problem(
                403,
                "not-allowed",
                f"{who.name} may not do this",
                hint=f"Ask somebody who is {role.name.lower()} here",
            )
        return who

    return Depends(check)  # type: ignore[no-any-return]


Viewer = Annotated[Who, _at_least(Role.VIEWER)]
"""An endpoint's parameter of this type lets everybody in who may read."""
Technician = Annotated[Who, _at_least(Role.TECHNICIAN)]
Owner = Annotated[Who, _at_least(Role.OWNER)]
