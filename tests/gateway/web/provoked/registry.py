"""The list of what provokes repairs: one context a code. Inside it the thing is wrong, at its end somebody mended it.

Where a repair's own button mends it, the context need not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.web.conftest import Inside

WITHIN_S = 10.0
"""s within which a repair is told of, and gone."""

Provoke = Callable[[Inside, Path], AbstractAsyncContextManager[None]]
PROVOKED: dict[str, Provoke] = {}
BUTTONS: dict[str, str] = {}
"""The button that mends it, by code."""


def provokes(code: str, button: str | None = None) -> Callable[[Callable[[Inside, Path], AsyncIterator[None]]], None]:
    """Note a context as the one that provokes this code."""

    def note(make: Callable[[Inside, Path], AsyncIterator[None]]) -> None:
        assert code not in PROVOKED, code
        PROVOKED[code] = asynccontextmanager(make)
        if button is not None:
            BUTTONS[code] = button

    return note


def setting(code: str, what: Callable[[Inside], Any], name: str, value: Any) -> None:
    """Provoke it by an attribute of the daemon's state, as whoever finds it out sets it."""

    @provokes(code)
    async def _set(inside: Inside, _directory: Path) -> AsyncIterator[None]:
        owner = what(inside)
        before = getattr(owner, name)
        setattr(owner, name, value)
        yield
        setattr(owner, name, before)
