"""Wait for a condition by polling it against a deadline: what tests use where others would sleep and hope."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_S = 0.01
"""Seconds between two looks: short beside anything that we wait for."""
LOOKING = 0.03
"""Of a processor at most looks may take from whoever looks (those who answer have their own): dear ones are rarer."""
SELDOM_S = 0.2
"""Seconds between two looks at most."""
BUSY = 4
"""Times as long as on a machine at rest things may take beside another worker, browsers and brokers."""
LONG_S = 20.0
"""Seconds; deadlines that are as long have thought of that."""


class TooLate(AssertionError):
    """What was waited for did not come before its deadline."""


def wait_until(
    predicate: Callable[[], T], deadline_s: float, what: str, *, promised: bool = False, brief: bool = False
) -> T:
    """Return the predicate's first truthy value.

    `deadline_s` is a guess for a machine at rest; `patience_s` is what it gets. Where the documentation promises it to
    somebody it is `promised`: exact, however busy the machine is. What is `brief` is over soon: it is looked for all
    the time, whatever that costs.

    Raises:
        TooLate: naming `what` and the last value, when none came by then. The predicate is asked at least once, and
            what it raises itself passes through.
    """
    deadline_s = deadline_s if promised else patience_s(deadline_s)
    give_up, began_s = time.monotonic() + deadline_s, time.process_time()
    while not (value := predicate()):
        left_s = give_up - time.monotonic()
        if left_s <= 0:
            raise TooLate(_complaint(what, deadline_s, value))
        time.sleep(min(POLL_S if brief else _pause_s(began_s), left_s))
        began_s = time.process_time()
    return value


@overload
async def wait_until_async(
    predicate: Callable[[], Awaitable[T]], deadline_s: float, what: str, *, promised: bool = False
) -> T: ...
@overload
async def wait_until_async(
    predicate: Callable[[], T], deadline_s: float, what: str, *, promised: bool = False
) -> T: ...
async def wait_until_async(
    predicate: Callable[[], object], deadline_s: float, what: str, *, promised: bool = False
) -> object:
    """Like `wait_until`, leaving the event loop free between two looks; the predicate may be a coroutine function.

    A coroutine that hangs is cancelled at the deadline.
    """
    value: object = None
    deadline_s = deadline_s if promised else patience_s(deadline_s)
    deadline = asyncio.timeout(deadline_s)
    try:
        async with deadline:
            while not value:
                began_s = time.process_time()
                answer = predicate()
                value = await answer if inspect.isawaitable(answer) else answer
                if not value:
                    await asyncio.sleep(_pause_s(began_s))
    except TimeoutError:
        if deadline.expired():
            raise TooLate(_complaint(what, deadline_s, value)) from None
        raise
    return value


def patience_s(deadline_s: float) -> float:
    """How long is waited for what comes within `deadline_s` on a machine at rest."""
    return max(deadline_s, min(BUSY * deadline_s, LONG_S))


def _pause_s(began_s: float) -> float:
    """How long to leave alone what was looked at, since this process time."""
    return min(max(POLL_S, (time.process_time() - began_s) / LOOKING), SELDOM_S)


def _complaint(what: str, deadline_s: float, value: object) -> str:
    return f"not within {deadline_s:g} s: {what} (last seen: {value!r})"
