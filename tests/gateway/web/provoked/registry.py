"""The list of what provokes repairs: one context a code. Inside it the thing is wrong, at its end somebody mended it.

Where a repair's own button mends it, the context need not. What takes a daemon of its own yields it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.web.conftest import Inside
from tests.waiting import wait_until_async

WITHIN_S = 10.0
"""s within which a repair is told of, and gone: by the daemon's own looks, which nobody hurries."""
ASKED_S = 0.25
"""s between two questions."""

Provoke = Callable[[Inside, Path], AbstractAsyncContextManager[Inside | None]]
_Make = Callable[[Inside, Path], AsyncIterator[Inside | None]]
PROVOKED: dict[str, Provoke] = {}
BUTTONS: dict[str, str] = {}
"""The button that mends it, by code."""


def provokes(code: str, button: str | None = None) -> Callable[[_Make], None]:
    """Note a context as the one that provokes this code."""

    def note(make: _Make) -> None:
        assert code not in PROVOKED, code
        PROVOKED[code] = asynccontextmanager(make)
        if button is not None:
            BUTTONS[code] = button

    return note


async def told(inside: Inside, code: str) -> dict[str, Any] | None:
    """What the daemon tells of it to whoever asks now; nothing is looked at for the asking."""
    repairs: list[dict[str, Any]] = (await inside.json("/api/v1/repairs"))["repairs"]
    found = next((repair for repair in repairs if repair["code"] == code), None)
    await asyncio.sleep(ASKED_S)
    return found


async def seen(inside: Inside, code: str) -> dict[str, Any]:
    """Wait until it is told of."""
    found: dict[str, Any] | None = await wait_until_async(
        lambda: told(inside, code), WITHIN_S, f"{code} is told of", promised=True
    )
    assert found is not None
    return found


async def gone(inside: Inside, code: str) -> None:
    """Wait until it is told of no more."""

    async def untold() -> bool:
        return await told(inside, code) is None

    await wait_until_async(untold, WITHIN_S, f"{code} is gone", promised=True)
