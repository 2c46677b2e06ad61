"""What is pressed on a kiosk, for its page's forms and for the API: the same, and the same errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import Path, Query

from gateway.kiosk import NotNow, Over, TooOften
from gateway.web.answers import SOURCE
from gateway.web.problems import Problem
from gateway.web.web import Web
from heat.errors import StoreError
from heat.events import Verdict
from heat.identity import SAFE_INTEGER

Dispenser = Annotated[str, Path(pattern=SOURCE, examples=["hot-bar-1"])]
Key = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["3f2a9c0d1b7e4f6a"])]
"""Of a visit."""
Pour = Annotated[int | None, Query(ge=1, le=SAFE_INTEGER, examples=[1043])]
"""Position of what is rated; None: of whatever was poured last."""
Wish = Literal["forget", "remember", "stay", "leave"]


async def rate(web: Web, dispenser: str, key: str, verdict: Verdict, pour: int | None) -> None:
    """How hot the last pour was, where it is this one. Raises a Problem."""
    with _problems():
        kiosk = web.state.kiosk
        await kiosk.rate(kiosk.pressed(dispenser, key), verdict, pour)


async def wish(web: Web, dispenser: str, key: str, what: Wish) -> None:
    """What else can be pressed. Raises a Problem.

    To stay in a visit that is over, or to leave it, is nothing to complain of: whoever presses "I am done" touches the
    screen, too, and of the two words either comes first.
    """
    kiosk = web.state.kiosk
    with _problems():
        try:
            visit = kiosk.pressed(dispenser, key)
        except Over:
            if what in {"stay", "leave"}:
                return
            raise
        match what:
            case "forget":
                await kiosk.forget(visit)
            case "remember":
                await kiosk.remember(visit)
            case "stay":
                kiosk.visits.stay(visit)
            case "leave":
                kiosk.visits.leave(dispenser)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except NotNow as error:
        raise Problem(409, "not-now", str(error.args[0]), hint=error.hint) from None
    except TooOften as error:
        raise Problem(429, "too-often", str(error.args[0]), hint=error.hint) from None
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
